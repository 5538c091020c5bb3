"""The service manager.

::

    activation  sockets that it passes
    herald      what it hears, and when; notify: the datagrams
"""

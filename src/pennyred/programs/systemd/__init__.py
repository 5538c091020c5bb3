"""Working with the service manager systemd.

::

    activation  sockets that it passes
    herald      decides what systemd is told, and when; notify: sends the datagrams
"""

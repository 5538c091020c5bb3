"""The composition root: knows every name, connects the rooms, has no opinions in between.

::

    office      opens a ledger and an office
    gate        builds a worker's gate
    serve       runs what the settings enable
    log         its log
    supervisor  several worker processes; board, pulse, wakeup: their signs of life
    herald      what systemd hears (notify), and the sockets it passes (activation)
    probes      what `check` complains of; hints: what it only mentions; certificates
    descriptors how many files a worker may open
    demo        all of it, for a minute; story: what it tells
    template    what `init` writes
"""

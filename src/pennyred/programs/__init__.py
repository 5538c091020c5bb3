"""The composition root: knows every name, connects the rooms, has no opinions in between.

::

    office      opens a ledger and an office; officework: one worker's share of it; witness: a ledger that went back
    gate        builds the parts of a worker's gate; policy: its rules
    offices     a worker's ways to the post offices whose stamps count; officeprobes: whether they are there
    serve       runs what the settings enable; gatework: one worker's gate at work; chores: what runs beside the mail
    tallies     what all workers count together
    watch       what a worker measures and how ready it is (readiness)
    release     delivers refused letters after all
    log         its log
    supervisor  several worker processes; board, pulse, wakeup: their signs of life
    herald      what systemd hears (notify), and the sockets it passes (activation)
    probes      what `check` complains of; hints: what it only mentions; certificates
    descriptors how many files a worker may open
    demo        all of it, for a minute; story: what it tells
    template    what `init` writes
"""

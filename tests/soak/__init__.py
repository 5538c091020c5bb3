"""Faults by the thousand while mail flows: `python -m tests.soak --faults 1000`. By hand, or every night.

::

    faults      what can happen, each for a moment
    stage       the gate at work, the mail server behind it, the disk and the clock under it
    senders     mail servers that try again until they hear yes
    verdict     each letter delivered, each charged once, nothing held, every second delivery explained
"""

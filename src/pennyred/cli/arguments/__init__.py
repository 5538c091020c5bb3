"""What is typed, read before a command runs, and named when it is wrong.

::

    typed      addresses, domains, free text
    databases  one of two kinds
    logfiles   logs as they lie about: plain, packed, or on standard input
"""

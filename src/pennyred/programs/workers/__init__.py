"""Several worker processes.

::

    supervisor  starts them, watches them; wakeup: signals, one after another
    board       their signs of life; pulse: a worker's own
    tallies     what they count together
    chores      what runs beside the mail
    watch       what a worker says of how things stand; readiness: whether it can work
"""

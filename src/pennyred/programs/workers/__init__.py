"""Several worker processes: starting them, watching them, and what they share.

::

    supervisor  starts them, watches them; wakeup: signals, one after another
    board       their signs of life; pulse: a worker's own
    tallies     counts that all workers keep together
    chores      background work
    watch       a worker's gauges and pages; readiness: whether a gate can work
"""

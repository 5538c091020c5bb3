"""What can be measured of a running program, for Prometheus.

::

    catalogue   every metric: its name, what it means, the label values there can be
    sheet       the figures of all workers, in memory they share
    meter       what one worker counts
    redeeming   the office, as its answers are counted; counted: the desk
    exposition  the figures as Prometheus reads them

Every label value is known before the first worker is forked, so nothing a stranger says can become one, and counting is
an addition to a word of memory.
"""

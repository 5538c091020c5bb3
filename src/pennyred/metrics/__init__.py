"""Metrics of a running program, for Prometheus.

::

    catalogue   every metric: its name, what it means, the label values there can be
    sheet       the figures of all workers, in shared memory
    meter       the figures that one worker counts
    redeeming   counts the office's answers
    exposition  the page that Prometheus reads

Every label value is known before the first worker is forked. So no stranger's word can become one, and to count is only
to add to a word of memory.
"""

"""Show a report, or what a probe has found.

::

    text   as text, in a terminal or a mail from cron
    plot   as one picture
    paths  what a path has made of a probe
"""

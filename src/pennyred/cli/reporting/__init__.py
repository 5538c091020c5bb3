"""Show a report.

::

    text  as text, in a terminal or a mail from cron
    plot  as one picture
"""

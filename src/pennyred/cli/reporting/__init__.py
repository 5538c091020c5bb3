"""How a report is shown.

::

    text  for people, in a terminal or a mail of cron's
    plot  as one picture
"""

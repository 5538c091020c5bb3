"""Read the arguments of commands before they run, and name what is wrong with them.

::

    typed      addresses, domains, free text
    databases  an SQLite file or a PostgreSQL URL
    logfiles   log files: plain, compressed, or on standard input
"""

"""`pennyred demo`: all of it, for a minute.

::

    demo     builds it and runs it
    story    what it tells
    standin  a mail server that keeps every letter in memory
"""

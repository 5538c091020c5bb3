"""`pennyred demo`: office, gate, mail server and sender together, for a minute.

::

    demo     builds it and runs it
    story    the steps and the table that it prints
    standin  a mail server that counts letters
"""

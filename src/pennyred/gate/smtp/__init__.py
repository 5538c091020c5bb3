"""What both sides of the gate need of SMTP: replies, addresses, the letter as it comes, limits.

::

    replies         every reply in the gate's own words: the only file with three-digit codes
    path            the arguments of MAIL and RCPT
    letter_end      where a letter ends (CRLF.CRLF), its dots, its line ends
    spool           a letter as it comes: hashed, kept in memory or in a file
    memory_budget   how much memory letters may take; disk_budget: how much disk
    sources         the network that a connection is counted for
    seldom          a log line that strangers can cause, written at most once a minute
"""

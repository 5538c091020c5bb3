"""Reads from the logs of mail servers who has written to whom.

::

    reading   a whole log, or a list of pairs; secondpass: letters that a content filter hands in again
    loglines  the front of a line, as syslog, journals and containers write it
    postfix   Postfix's lines; exim: Exim's
"""

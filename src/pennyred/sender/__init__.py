"""What a sender runs: stamps on a letter, and the account that pays for them.

::

    parsedletter  a letter parsed once, for all steps that follow
    franking      a copy for each domain, a stamp for each recipient; stamps_borne: those it has already
    travel        a letter made fit to travel before it is stamped
    submitting    copies sent to a mail server
    wallet        the account's key and licence
    client        the office, asked over HTTP
"""

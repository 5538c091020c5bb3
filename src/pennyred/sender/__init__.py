"""What a sender runs: it puts stamps on a letter, and manages the account that pays for them.

::

    parsedletter  a letter parsed once, for all later steps
    franking      makes a copy for each domain, a stamp for each recipient; stamps_borne: the stamps it has already
    travel        makes a letter safe to travel, before it is stamped
    submitting    sends the copies to a mail server
    probing       letters that try out a path, and what it made of them
    wallet        keeps the account's key and licence
    client        asks the office over HTTP
"""

"""A letter made fit to travel before it is stamped: afterwards nobody may have a reason to alter it. Pure.

::

    preparing      the whole letter
    fields         header fields; fieldgrammar: what each may hold
    addressforms   addresses, as every mail server leaves them
    phrases        names, comments, free text; encodedwords: in RFC 2047's words
    parameters     of Content-Type and Content-Disposition
    mimeparts      how a letter is made of parts; labels: of transfer encodings
    transfer       eight bits carried in seven; leaves: parts that may be altered; closing: the last boundary
    serverlimits   what servers on the way would cut or drop
"""

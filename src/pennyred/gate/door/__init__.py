"""The client's side: SMTP as a server. It judges nothing: a letter goes to the desk, and the answer comes back.

::

    server        listens, stops in good order
    gatehouse     what all sessions share; the words of EHLO
    admission     who may come in; tally: counts that all workers share
    arrival       a connection before it is known whose it is; proxying: the PROXY header
    hostnames     what a client's address is called
    client        who the client is, and what a trusted front says of it
    wire          bytes, deadlines; sink: what takes a letter; tls: STARTTLS; tlsoffer: what is offered there
    conversation  command by command, and its limits
    formalities   commands that carry no letter
    envelopes     MAIL and RCPT; one_policy: recipients that differ in their rules
    session       a whole session, with DATA; chunking: BDAT
    reception     a letter to the desk, its answer back
    trace         the Received field
"""

"""The client's side: SMTP as a server. It judges nothing. A letter goes to the desk, and the desk's answer goes back.

::

    server        listens, stops in good order
    gatehouse     what all sessions share; the words of EHLO
    admission     who may come in; tally: counts that all workers share
    arrival       a connection before it is known whose it is; proxying: the PROXY header
    hostnames     what a client's address is called
    client        who the client is, and what a trusted front says of it
    wire          bytes, deadlines, the end of it; occupant: what it needs of those it serves
    tls           STARTTLS; tlsoffer: what is offered there
    session       all that is known of one client's session
    conversation  command by command; commands: what each of them does, in one table
    one_policy    recipients that differ in their rules
    chunking      a letter in chunks
    reception     a letter to the desk, its answer back
    trace         the Received field
"""

"""What gate, office and sender say to each other over HTTP, and the server that hears it.

::

    messages    the JSON of senders and office
    redemptions the JSON of gates and offices
    tokens      a sender's signed request
    server      an application on a socket, inside a running event loop; heads: HEAD for those that know GET
    listener    takes connections; admission: who may be connected; pieces: how much is read in one turn
    exchange    one connection, with a deadline for each thing waited for; turnedaway: what others are told
"""

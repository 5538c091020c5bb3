"""What gate, office and sender say to each other over HTTP, and the HTTP server.

::

    messages    the JSON between senders and office
    redemptions the JSON between gates and offices
    probes      the JSON of what the mirror has found
    tokens      how a sender signs a request
    server      serves an application on a socket, inside a running event loop; heads: answers HEAD like GET
    listener    accepts connections; admission: who may be connected; pieces: no bodies in tiny chunks
    exchange    one connection, with a deadline for each wait; turnedaway: answers without the application
"""

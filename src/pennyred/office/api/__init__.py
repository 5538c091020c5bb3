"""The office on the web: what senders and gates ask of it over HTTP, and the clients that ask.

::

    messages    the JSON that senders and office speak
    redemptions the JSON that gates and offices speak; examples of all of it
    tokens      a sender's signed request: EdDSA JWT, made and checked
    limits      how often strangers may ask; repeats: the same answer to the same request
    problems    what is answered when it is not done
    app         the application (Litestar): desk, for senders; gates; proofs, for those who doubt it
    senders     who signs a request; requestid: its name
    server      an application on a socket, inside a running event loop
    measured    how long the office took, and /metrics; watching: a few pages of a gate's
    client      the sender's side (aiohttp)
    redeemer    the gate's side: many letters in one request (batching), asked until answered (asking, circuit);
                what may be held though nothing was heard is given back (doubtful)
"""

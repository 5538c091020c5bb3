"""The office over HTTP (CONTRACT: HTTP).

::

    app         the application (Litestar)
    senders     routes for senders' commands; receivers: for gates elsewhere; proofs: for those who doubt it
    signers     who signs a request; requestid: its name
    limits      how often strangers may ask; repeats: the same answer to the same request
    problems    what is answered when it is not done
    measured    how long the office took, and /metrics
    examples    one of each body, for the description
"""

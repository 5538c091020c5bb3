"""The office over HTTP; docs/offices.md says who may do what.

::

    app         the application (Litestar)
    senders     routes for senders' commands; receivers: for gates elsewhere; proofs: totals, receipts, revocations
    probes      routes of the mirror, its page
    signers     who signed a request; requestid: the name of each request
    limits      how often strangers may ask; repeats: the same answer to a repeated request
    problems    the error answers
    measured    measures each request, and answers /metrics
    examples    an example of each body, for the API's description
"""

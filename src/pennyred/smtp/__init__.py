"""The door: speaks SMTP with clients and with the mail server behind the gate, and LMTP with the latter.

::

    server      listens, stops in good order             upstream    where the mail server is, what it offers
    gatehouse   what all sessions share; EHLO's words     connection  one connection to it
    session     a client's commands; a letter to the desk dialogue    what is said over it; security: TLS
    trace       the Received field                        pool        the connections, used again when surely clean
    wire        a client's bytes, deadlines, TLS          delivery    one transaction with it, MAIL to final answer
    tls         with a client, by STARTTLS                patience    how long an answer may take
    path        the arguments of MAIL and RCPT            spool       a letter as it comes, hashed, kept
    identity    XCLIENT, XFORWARD, PROXY                  newlines    where a letter ends, its dots and newlines
    answers     a mail server's replies, as they come     health      whether one is worth asking
    upstreams   several mail servers, in order            offers      what several offer together
    replies     every reply in the gate's own words: the only file with three-digit codes

It judges nothing: a letter goes to the desk (`services.letterbox`) and the desk's answer comes back as a reply.
"""

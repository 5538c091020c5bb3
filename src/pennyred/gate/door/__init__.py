"""The door: speaks SMTP with clients and with the mail server behind the gate, and LMTP with the latter.

::

    with a client                                         with the mail server

    server      listens, stops in good order             upstream    where it is, what it offers
    gatehouse   what all sessions share; EHLO's words     upstreams   several of them, in order; member: each
    admission   who may come in; tally: counts, shared    addresses   of a name; health: whether one is worth asking
    arrival     PROXY from a front; proxying: its header  opening     at one of them; racing: several at a time
    wire        a client's bytes, deadlines; tls: by STARTTLS   pool  connections, used again; slots: by whom
    conversation  command by command, and its limits      connection  one of them, as a client; offers: what is offered
    formalities   those that carry no letter              dialogue    what is said over it; security: TLS
    envelopes   MAIL and RCPT; path: their arguments      answers     its replies; patience: how long they may take
    mixed       recipients that differ in their rules     transaction one of them, MAIL to DATA; delivery: the letter
    session     DATA and BDAT; chunking: the latter       identity    who a client is; telling: XCLIENT, PROXY
    reception   a letter to the desk, its answer back     probing     what `pennyred check` asks
    newlines    where a letter ends, its dots and newlines
    spool       a letter as it comes, hashed, kept        as a sender, and in the demo
    trace       the Received field                        submit, client, standin

    replies     every reply in the gate's own words: the only file with three-digit codes

It judges nothing: a letter goes to the desk (`gate.letterbox`) and the desk's answer comes back as a reply.
"""

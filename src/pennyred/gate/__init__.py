"""The gate: an SMTP proxy in front of a mail server. Each letter must be exempt, wanted, or paid for.

Rooms, from the client to the mail server::

    door            SMTP with the client
    authentication  who the sender is: SPF, DKIM, DMARC, ARC
    judging         what each recipient's rules, permits and stamps are worth
    rules           pure: who needs no stamp, what is proven, what is counted
    issuers         the post offices: their keys, and asking them for the money
    upstream        SMTP or LMTP with the mail server; smtp: what both sides need
    memory          what the gate remembers
    quarantine      copies of refused letters
    maillogs        who wrote to whom, before there was a gate

One letter's life::

    letterbox   what passes between the door and the desk
    desk        a letter's whole life; case: all that is known of it
    policy      what the administrator asks
    holding     hold what pays; settling: take it; outbox: while the disk is full; patience: for how long
    part_delivery
                who has had the letter already
    headers     fields added and taken out
    outgoing    the desk of outgoing mail
    mirror      says what their way has done to letters, and delivers none
    letterlog   what is written down of a letter
    counting    what is counted of it; reporting: what that means; timing: how long it took
    pages       for whoever watches a gate
    ports       what is needed from outside, as shapes
    answercache answers of the DNS, kept in bounded memory
"""

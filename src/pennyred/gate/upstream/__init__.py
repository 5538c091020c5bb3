"""The mail server's side: SMTP or LMTP as a client.

::

    endpoint      where a mail server is, and what it offers
    choice        several of them, in order; member: one of them; health: whether it is up, and when to try again
    capabilities  what several offer together, and which of it a letter needs
    addresses     the addresses of a name; opening: a connection to one; racing: to several at a time
    pool          connections, used again; idle: those that nobody uses; slots: who may use how many
    connection    one connection; dialogue: lines and replies over it; reply_reader: replies cut from the input
    deadlines     how long an answer may take; tls: TLS to the mail server
    identity      who a client is, as a front tells it; xclient: saying it by XCLIENT, XFORWARD, PROXY
    transaction   MAIL to DATA; delivery: the letter; sending: how it goes, by DATA or in chunks
    probing       what `pennyred check` asks
"""

"""Finds out who a sender is, by SPF, DKIM, DMARC and ARC; questions to the DNS are limited.

::

    checker     all methods for one letter, in threads
    fronts      what a trusted front has found out before; claims: the field that says so
    spf, dkim, arc
                the methods; signatures: what the last two share; bodies: their body hashes
    alignment   DMARC: whether the author is proven; dmarc: its records
    lookups     the DNS: cached, counted, with an end; dns_shares: whose letters may wait for it
"""

"""Who a sender is: SPF, DKIM, DMARC and ARC, looked up in the DNS within bounds.

::

    checker     all of it for one letter, off the event loop
    fronts      or what a trusted front has found out already; claims: its field
    spf, dkim, arc
                the methods; signatures: what the last two share; bodies: their body hashes
    alignment   DMARC: whether the author is proven; dmarc: its records; author: who that is
    registered  under which domain a sender is counted
    lookups     the DNS: cached, counted, with an end; dns_shares: whose letters may wait for it
"""

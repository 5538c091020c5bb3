"""What a stamp is and when it counts: all that gate, office and sender must agree on. Pure; STAMP.md is the format.

::

    address, addressfields, letter, structured, lineends, canonical, digest
                what is stamped, in one form, and its hashes
    stamp, licence, taglist, encoding, signing, minting
                what pays, how it is spelled and signed
    keyrecord, domainproof
                what stands in the DNS
    candidates, verdict, redemption, ledger_rules
                when it counts, and what the ledger makes of it
    proofs      how a journal proves what a stamp was used for
    networks    under which names a source is counted
    reasons     the names of all that can be said of a recipient
    errors      what can go wrong that is no outcome
"""

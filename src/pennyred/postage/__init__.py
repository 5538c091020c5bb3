"""What a stamp is and when it counts: all that gate, office and sender must agree on.

Everything here is pure: no clock, no randomness, no files, no network. STAMP.md defines the format.

::

    address, letter, lineends, canonical, digest
                what is stamped, in one form, and its hashes
    reading     what readers make of its header fields, however they are spelled
    stamp, licence, taglist, encoding, signing, minting
                the stamp and the licence, how they are written and signed
    keyrecord, domainproof, policyrecord
                the TXT records in the DNS
    candidates, alteration, verification, redemption, ledger_rules
                when a stamp counts, and what the ledger does with it
    proofs      how a journal proves what a stamp was used for
    networks    the network names under which a client is counted
    reasons     every reason why a recipient is accepted, refused or deferred
    errors      the exceptions
"""

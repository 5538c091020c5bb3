"""What a stamp is and when it counts: pure values and rules. STAMP.md is the wire format.

::

    address, letter, canonical, digest, addressfields
                what is stamped, in one form, and its hashes
    stamp, licence, taglist, encoding, keyrecord, signing, minting
                what pays, how it is spelled and signed
    verdict, candidates, redemption, ledger_rules
                when it counts, and what the ledger makes of it
    chain, merkle, receipt
                how a ledger's journal proves what a stamp was used for
    policy, recipients, reasons
                who needs none, by rules that have names; what single recipients have of their own
    claims, authentication, dmarc, wanted, permitaddress
                what a letter says of its sender, what of it is proven, and who wants it therefore
    authres, authresults, passes
                fields that the gate writes
    travel, travelfields, transfer
                a letter made fit to travel before it is stamped
    figures     what became of letters, added up
    errors      what can go wrong that is no outcome
"""

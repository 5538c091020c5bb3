"""The verbs: the gate's desk, the office's desk, franking; and the ports they need from outside.

::

    gate        a letter's whole life                     office      accounts, licences, redemption, vouchers
    standing    what each recipient's stamps are worth    redeemer    the office as a gate inside the process sees it
    holding     hold what pays; settling: take it         officekeys, vouchers
    debts       settlements while the disk is full        franking    stamps on a sender's letter; wallet
    freely      what comes free; partly: who has had it
    dressing    fields added and taken out                ports       what is needed from outside, as shapes
    gatelog     what is written down of a letter          letterbox   what passes between the door and the desk
"""

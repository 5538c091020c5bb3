"""The verbs: the gate's desk, the office's desk, franking; and the ports they need from outside.

::

    gate        a letter's whole life; case: all that is known of one
    gatepolicy  what the administrator asks
    standing    what each recipient's rules and stamps are worth
    wanting     who wants the letter: correspondents, replies, permits, forwarders
    freely      what comes free by allowances; partly: who has had it
    holding     hold what pays; settling: take it; debts: while the disk is full
    dressing    fields added and taken out
    keeping     copies of what is refused; approval: of who sent one that is released; lettertext: its text
    outgoing    the desk of outgoing mail; maillog: what the past has to say of it
    gatelog     what is written down of a letter; figures: what is counted; reporting: what that means
    timing      how long a letter's phases took
    office      accounts, licences, redemption; officekeys, vouchers
    redeemer    the office as a gate sees it; stampchecker: what others bring; receipts: what it signs
    keyring     offices' public keys, as long as they count; revocations: licences that count no more
    routing     several offices, each for its own stamps; trust: stamps accepted while an office does not answer
    franking    stamps on a sender's letter; borne: those it has; wallet
    ports       what is needed from outside, as shapes; letterbox: what passes between the door and the desk
"""

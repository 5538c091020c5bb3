"""What a gate remembers: a small SQLite file for all workers of a machine, or PostgreSQL for sister gates.

It is never the ledger: the office may be a stranger's. Whatever is forgotten goes by the time that has really passed
(`store.PassedTimes`)::

    store           opens it; shared: in PostgreSQL
    outbox          settlements that their office has not confirmed
    accepted        stamps accepted while their office did not answer; taking: which ones are
    allowances      what came free today
    part_deliveries who has had a letter that others must wait for
    correspondents  whom our users write to; bounces: what answers letters of ours
    permits         what recipients have approved; grants: all of these at once
    grantkeys       for which letters none of these has anything: a filter; keyfilter: how it is made
    recipientrules  what single recipients have of their own; paidnames: names that were paid for
    deliveredtexts  which text each stamp has paid for
    foundkeys       keys of offices as DNS had them
    probes          who may write to the mirror, and what it found
    figures         what became of mail, by day
    moving          a state's move from SQLite to PostgreSQL; leftbehind: whether one was forgotten
"""

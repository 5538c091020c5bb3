"""The composition root: builds the parts out of the settings and runs them, with no opinions of its own.

::

    serve         runs what the settings enable; rereading: what a reload takes over
    gate_parts    the parts of a worker's gate; gate_worker: a gate at work; policy: its rules
    issuer_ways   a worker's ways to post offices; keysearch: for their keys
    office        opens a ledger and an office; office_worker: an office at work; witness: a ledger that went back
    housekeeping  what is forgotten, by the time that has passed
    refusedcopies the quarantine; release: delivers a copy after all
    log           its log; descriptors: how many files may be open
    workers       several processes; systemd: the service manager
    checks        what `pennyred check` complains of
    demo          all of it, for a minute
    template      what `init` writes; examples: the files of config/; papers: the pages of `pennyred help`
"""

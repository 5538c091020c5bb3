"""The programs: build the parts from the settings and run them. Only these modules read settings.

::

    serve         runs what the settings enable; rereading: which settings a reload changes
    gate_parts    the parts of a worker's gate; gate_worker: a gate at work; policy: its rules
    issuer_ways   how a worker reaches post offices; keysearch: looks for their keys
    office        opens an office; office_worker: an office at work; witness: notices a ledger set back
    ledger        who has its file, and how others come to it
    mirroring     the mirror, of a gate and its office
    housekeeping  forgets old data, by the time that has passed
    refusedcopies the quarantine; release: delivers a copy after all
    log           the log; clock: the time of day; descriptors: how many files may be open
    workers       several processes; systemd: the service manager
    checks        what `pennyred check` complains of
    demo          office, gate and sender together, for a minute
    published     what is published in the DNS
    template      what `init` writes; examples: the files of config/; papers: the pages of `pennyred help`
"""

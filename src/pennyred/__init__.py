"""Penny Red makes spam cost a cent: a gate in front of a mail server, and a post office that sells one-cent stamps.

The map, outermost first; arrows point inward only, and import-linter checks it::

    cli         arguments and printing
    programs    the composition root: builds the parts and runs them
    config      frozen settings; every complaint at once
    metrics     what is measured, for Prometheus
    smtp        edge: the gate's door, the way to the mail server
    web         edge: the office's HTTP API and its client
    discovery   edge: an issuer's keys in DNS
    hostnames   edge: the verified name of a client
    services    the verbs: gate, office, franking; and the ports they need
    ledger      the vault: accounts and stamps, durable
    state       the gate's own memory: allowances, outbox
    storage     SQLite: opening, migrations, group commit
    postage     pure: what a stamp is and when it counts
"""

__version__ = "0.1.0"

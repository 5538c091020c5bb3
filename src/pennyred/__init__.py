"""Penny Red makes spam cost a cent: a gate in front of a mail server, and a post office that sells one-cent stamps.

Three programs, which run on separate machines: gate, office and sender never import each other. All arrows point down,
and import-linter checks them::

    cli         arguments and printing
    programs    builds the parts out of the settings, and runs them
    config      the settings, typed; every complaint at once
    metrics     what is measured, for Prometheus

    gate        in front of a mail server: asks each letter for its stamps
    office      the post office: sells postage, redeems stamps, keeps the books
    sender      stamps letters, and makes them fit to travel

    http        what the three say to each other over HTTP
    storage     SQLite and PostgreSQL
    postage     pure: what a stamp is and when it counts; STAMP.md is the wire format
    failures    what went wrong outside, in words, and what to do next
    days        how long a day is, and which one a time is of

`python -m pennyred` is `__main__`.
"""

__version__ = "0.1.0"

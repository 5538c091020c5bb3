"""The books: the rules of `postage.ledger_rules` made durable.

`protocol` says what every back end promises, `redemptions` says it for stamps, `callers` for the receivers and tokens
that ask. `requests` are calls as values. `batch` applies the rules to a list of stamps. `chaining` links what a batch
has changed to all batches before. `daily` names the entry that a day's payments are posted to.

`sql` names each operation, with the function of a connection that does it. `sqlite` and `postgresql` have these
functions; `rows` is what they read alike. `owned` is an SQLite file in the hands of one process, whose memory has what
need not be written. A back end decides nothing: it reads the rows that a list touches, lets `batch` decide, and writes
the rows back. `moving` takes a ledger from SQLite to PostgreSQL. The plain model that all must agree with is among the
tests (`tests/support/memory_ledger.py`).

`remote` lets the processes of one machine use a ledger that one of them has.
"""

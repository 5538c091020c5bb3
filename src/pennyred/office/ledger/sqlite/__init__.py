"""The ledger in an SQLite file, which several processes may share.

`ledger` is the back end itself; the other modules are functions of a connection inside a transaction: `stamps` (a table
per expiry day), `journal` (accounts, entries, postings), `redemption` and `sweep` (what `batch` decides), `accounts`
(accounts, vouchers), `receivers` (receivers, tokens, answers), `chain` (what proves the journal), `audit` (the
audit), `moved` (the end of one that has moved). `backup` copies a file.
"""

from pennyred.office.ledger.sqlite.ledger import SqliteLedger, migrate_ledger

__all__ = ["SqliteLedger", "migrate_ledger"]

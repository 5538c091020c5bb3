"""The ledger in an SQLite file, which several processes may share.

`vault` is the back end itself; the other modules are functions of a connection inside a transaction: `stamps` (a table
per expiry day), `journal` (accounts, entries, postings), `redemption` and `sweep` (what `batch` decides), `offices`
(accounts, vouchers), `callers` (receivers, tokens, answers), `chain` (what proves the journal), `inspection` (the
audit), `seal` (the end of one that has moved). `backup` copies a file.
"""

from pennyred.office.ledger.sqlite.ledger import SqliteLedger, migrate_ledger

__all__ = ["SqliteLedger", "migrate_ledger"]

"""The ledger in an SQLite file. A service opens it as its one owner (`owned`), by the functions that are here.

`ledger` is a back end that flushes whatever it is asked: a move to another store reads by it. The other modules are
functions of a connection inside a transaction: `stamps` (a table per expiry day), `journal` (accounts, entries,
postings), `redemption` and `sweep` (what `batch` decides), `accounts` (accounts, vouchers), `receivers` (receivers,
tokens, answers), `chain` (what proves the journal), `audit` (the audit), `moved` (the end of one that has moved).
`opening` opens a file, `backup` copies it.
"""

from pennyred.office.ledger.sqlite.ledger import SqliteLedger
from pennyred.office.ledger.sqlite.opening import audit_file, begin_anew, migrate_ledger, require_ready

__all__ = ["SqliteLedger", "audit_file", "begin_anew", "migrate_ledger", "require_ready"]

"""The ledger in a PostgreSQL database, which any number of offices share.

`ledger` is the back end itself; the others are functions of a connection inside a transaction: `lookup`, `stamps` and
`days` (what is remembered of stamps, in a partition for each expiry day; it is read and written), `journal` (accounts,
postings, the chain's next link), `redemption` and `sweep` (what `batch` decides), `openholds` and `lasting` (holds that
need not last, and those that have lasted), `accounts` (accounts, vouchers), `receivers` (receivers, tokens, answers),
`chain` and `audit` (proofs and the audit); `literals` writes lists for them.

Redemptions lock the rows of their senders first, in the order of their ids; then, at their end, those of receivers, and
the chain's last. Everything about a stamp is read and written under its sender's lock.
"""

from pennyred.office.ledger.postgresql.ledger import PostgresLedger, migrate_ledger

__all__ = ["PostgresLedger", "migrate_ledger"]

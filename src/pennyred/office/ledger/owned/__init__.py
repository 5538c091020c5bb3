"""The ledger in an SQLite file that one process owns: its memory may know more than the file.

`ledger` is the back end itself. `lock` says who the owner is. `asks` and `turns` gather what is asked in one turn of
the event loop and answer it in the loop; `books` is a turn's transaction; `memory` is what the file does not say yet;
`flushing` brings to the disk what is committed, `checkpoints` from the -wal file into the ledger's. The file and its
functions are those of `sqlite`.
"""

from pennyred.office.ledger.owned.ledger import OwnedLedger
from pennyred.office.ledger.owned.lock import LedgerLock, LedgerTaken, lock_path

__all__ = ["LedgerLock", "LedgerTaken", "OwnedLedger", "lock_path"]

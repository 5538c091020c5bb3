"""The journal's chain in SQLite: a head for each batch that moved stamps, and the proofs of what stamps were used for.

Functions of a connection inside a transaction.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import apsw

from pennyred.office.ledger.batch import use_of
from pennyred.office.ledger.chaining import HASH_BYTES, ChainAudit, Moved, epochs_of, joined, next_head, split_hashes
from pennyred.office.ledger.sqlite import stamps
from pennyred.postage.proofs.chain import GENESIS, BatchHead, Epoch, Totals, split_place
from pennyred.postage.proofs.merkle import Tree
from pennyred.postage.proofs.receipt import SealedUse, seal
from pennyred.postage.stamp import StampKey

_HEADS = "SELECT number, at, sold, settled, refunded, count, root, hash FROM batch"
_JOURNAL_TOTALS = """
SELECT -coalesce(sum(CASE WHEN account GLOB 'office:*' THEN amount END), 0),
  coalesce(sum(CASE WHEN account GLOB 'receiver:*' AND kind IN ('settle', 'sweep') THEN amount END), 0),
  -coalesce(sum(CASE WHEN account GLOB 'receiver:*' AND kind = 'refund' THEN amount END), 0)
FROM posting JOIN entry ON entry.id = entry_id
"""


def next_number(connection: apsw.Connection) -> int:
    """The number that the next batch will have in the chain."""
    ((number,),) = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM batch")
    return int(number)


def last_head(connection: apsw.Connection) -> BatchHead | None:
    """The newest link of the chain. None before the first batch."""
    return _head(connection, "ORDER BY number DESC LIMIT 1", ())


def head_of(connection: apsw.Connection, number: int) -> BatchHead | None:
    """The link with this number."""
    return _head(connection, "WHERE number = ?", (number,))


def append(
    connection: apsw.Connection, details: Sequence[bytes], moved: Moved, *, last_day: int, now: int
) -> BatchHead:
    """Add a batch to the chain. Its details are remembered until `last_day`."""
    head = next_head(last_head(connection), details, moved, now=now)
    write_link(connection, head, details, last_day=last_day)
    return head


def write_link(connection: apsw.Connection, head: BatchHead, details: Sequence[bytes], *, last_day: int) -> None:
    """Write a link that follows the newest one, and its details."""
    _insert(connection, head)
    if details:
        connection.execute(
            "INSERT INTO detail (number, last_day, hashes) VALUES (?, ?, ?)", (head.number, last_day, joined(details))
        )


def _insert(connection: apsw.Connection, head: BatchHead) -> None:
    totals = head.totals
    connection.execute(
        "INSERT INTO batch (number, at, sold, settled, refunded, count, root, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (head.number, head.at, totals.sold, totals.settled, totals.refunded, head.count, head.root, head.hash),
    )


def begin_epoch(connection: apsw.Connection, epoch_id: bytes, after: Sequence[Epoch] | None, now: int) -> BatchHead:
    """Begin a new epoch, unless others than those of `after` were begun. Answers the newest link."""
    last = last_head(connection)
    if after is not None and last is not None and last.epochs != tuple(after):
        return last
    head = next_head(last, (), Moved(), now=now, begins=epoch_id)
    _insert(connection, head)
    connection.execute("INSERT INTO epoch (follows, id, at) VALUES (?, ?, ?)", (head.number - 1, epoch_id, now))
    return head


def begin(connection: apsw.Connection, *, now: int) -> None:
    """Give a journal that is older than its chain a first link, with what had gone through it by then."""
    totals = journal_totals(connection)
    if last_head(connection) is None and totals != Totals():
        append(connection, (), Moved(totals.sold, totals.settled, totals.refunded), last_day=0, now=now)


def journal_totals(connection: apsw.Connection) -> Totals:
    """The totals that the postings sum to."""
    ((sold, settled, refunded),) = connection.execute(_JOURNAL_TOTALS)
    return Totals(sold, settled, refunded)


def uses(connection: apsw.Connection, keys: Sequence[StampKey]) -> list[SealedUse | None]:
    """What these stamps were settled for, proven; None where they are not settled, or from before the chain."""
    records = stamps.load(connection, set(keys))
    found = {key: record for key, record in records.items() if record.place}
    sealed: dict[StampKey, SealedUse] = {}
    by_number: dict[int, list[StampKey]] = {}
    for key, record in found.items():
        by_number.setdefault(split_place(record.place)[0], []).append(key)
    for number, its_keys in by_number.items():
        head = head_of(connection, number)
        details = _details(connection, number)
        if head is None or details is None:
            continue
        tree = Tree(details)
        for key in its_keys:
            index = split_place(found[key].place)[1]
            sealed[key] = seal(use_of(key, found[key]), head, index, tree)
    return [sealed.get(key) for key in keys]


def forget(connection: apsw.Connection, floor_day: int, limit: int) -> None:
    """Delete details whose stamps are forgotten, in pieces."""
    connection.execute(
        "DELETE FROM detail WHERE number IN (SELECT number FROM detail WHERE last_day <= ? LIMIT ?)",
        (floor_day, limit),
    )


def differences(connection: apsw.Connection, days: Collection[int]) -> Iterator[str]:
    """Recompute the chain: every head, every root whose details are still there, every use's place."""
    audit, epochs = ChainAudit(journal_totals(connection)), _epochs(connection)
    details: Iterable[Any] = connection.execute(
        "SELECT batch.number, at, sold, settled, refunded, count, root, hash, hashes"
        " FROM batch LEFT JOIN detail USING (number) ORDER BY batch.number"
    )
    for *columns, hash_, hashes in details:
        yield from audit.link(_of_columns(columns, audit.previous, epochs), hash_, hashes)
    yield from audit.end()
    for day in days:
        yield from _misplaced(connection, day)


def _misplaced(connection: apsw.Connection, day: int) -> Iterator[str]:
    """What is wrong with settled stamps that differ from what stands at their place in the chain."""
    audit = ChainAudit(Totals())
    for key, record in stamps.placed(connection, day):
        number, _ = split_place(record.place)
        if number != audit.number:
            audit.open_batch(number, _details(connection, number))
        yield from audit.use(key, record)


def _head(connection: apsw.Connection, which: str, values: tuple[object, ...]) -> BatchHead | None:
    row: Any = connection.execute(f"{_HEADS} {which}", values).fetchone()
    if row is None:
        return None
    before: Any = connection.execute("SELECT hash FROM batch WHERE number = ?", (row[0] - 1,)).fetchone()
    return _of_columns(row, GENESIS if before is None else before[0], _epochs(connection))


def _of_columns(columns: Sequence[Any], previous: bytes, epochs: Sequence[Epoch]) -> BatchHead:
    number, at, sold, settled, refunded, count, root = columns[:7]
    totals = Totals(sold, settled, refunded)
    return BatchHead(number, at, totals, count, root, previous, epochs_of(number, epochs))


def _epochs(connection: apsw.Connection) -> list[Epoch]:
    """All epochs that were begun."""
    rows: Any = connection.execute("SELECT id, follows, at FROM epoch ORDER BY follows")
    return [Epoch(*row) for row in rows]


def _details(connection: apsw.Connection, number: int) -> list[bytes] | None:
    row: Any = connection.execute("SELECT hashes FROM detail WHERE number = ?", (number,)).fetchone()
    return None if row is None or len(row[0]) % HASH_BYTES else split_hashes(row[0])

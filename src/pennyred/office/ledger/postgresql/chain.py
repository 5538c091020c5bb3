"""Proofs from the journal's chain: its newest link, what stamps were used for, and whether all of it still fits.

Functions of a connection inside a transaction; `differences` in one that sees one moment of the database.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

from asyncpg import Connection

from pennyred.office.ledger.batch import use_of
from pennyred.office.ledger.chaining import ChainAudit, Moved, epochs_of, next_head, split_hashes
from pennyred.office.ledger.postgresql import lookup, stamps
from pennyred.postage.proofs.chain import GENESIS, BatchHead, Epoch, Totals, pack_epochs, split_place
from pennyred.postage.proofs.merkle import Tree
from pennyred.postage.proofs.receipt import SealedUse, seal
from pennyred.postage.stamp import StampKey

_HEAD = """
SELECT number, at, sold, settled, refunded, count, root,
  (SELECT hash FROM batch AS before WHERE before.number = batch.number - 1) AS previous, id FROM batch
"""
_EPOCHS = "SELECT id, follows, at FROM epoch ORDER BY follows"
_BEGIN = """
WITH link AS (UPDATE chain SET number = $1::bigint, hash = $2::bytea, epochs = $3::bytea),
noted AS (INSERT INTO epoch (follows, id, at) VALUES ($1::bigint - 1, $4::bytea, $5::bigint))
INSERT INTO batch (number, id, at, sold, settled, refunded, count, root, hash)
SELECT $1::bigint, nextval('batch_id'), $5::bigint, sold, settled, refunded, 0, $6::bytea, $2::bytea
FROM chain
"""
_LINKS = """
SELECT number, at, sold, settled, refunded, count, root, NULL, batch.id, hash, hashes
FROM batch LEFT JOIN detail ON detail.id = batch.id ORDER BY number
"""
_JOURNAL_TOTALS = """
SELECT coalesce(-sum(amount) FILTER (WHERE account LIKE 'office:%'), 0)::bigint,
  coalesce(sum(amount) FILTER (WHERE account LIKE 'receiver:%' AND kind IN ('settle', 'sweep')), 0)::bigint,
  coalesce(-sum(amount) FILTER (WHERE account LIKE 'receiver:%' AND kind = 'refund'), 0)::bigint
FROM posting
"""


async def last_head(connection: Connection) -> BatchHead | None:
    """The newest link of the chain. None before the first batch."""
    row = await connection.fetchrow(_HEAD + " ORDER BY number DESC LIMIT 1")
    return None if row is None else _head(row, await _epochs(connection))


async def head_of(connection: Connection, number: int) -> BatchHead | None:
    """The link with this number."""
    row = await connection.fetchrow(_HEAD + " WHERE number = $1", number)
    return None if row is None else _head(row, await _epochs(connection))


async def begin_epoch(connection: Connection, epoch_id: bytes, after: Sequence[Epoch] | None, now: int) -> BatchHead:
    """Begin a new epoch, unless others than those of `after` were begun. Answers the newest link."""
    await connection.execute("SELECT FROM chain FOR UPDATE")  # whoever adds a link waits
    last = await last_head(connection)
    if after is not None and last is not None and last.epochs != tuple(after):
        return last
    head = next_head(last, (), Moved(), now=now, begins=epoch_id)
    await connection.execute(_BEGIN, head.number, head.hash, pack_epochs(head.epochs), epoch_id, now, head.root)
    return head


async def _epochs(connection: Connection) -> list[Epoch]:
    """All epochs that were begun."""
    return [Epoch(*row) for row in await connection.fetch(_EPOCHS)]


async def journal_totals(connection: Connection) -> Totals:
    """The totals that the postings sum to."""
    return Totals(*await connection.fetchrow(_JOURNAL_TOTALS))


async def uses(connection: Connection, keys: Sequence[StampKey]) -> list[SealedUse | None]:
    """What these stamps were settled for, proven; None where they are not settled."""
    known = await lookup.load(connection, set(keys))
    found = {key: record for key, record in known.records.items() if record.place}
    ids = sorted({split_place(record.place)[0] for record in found.values()})
    epochs = await _epochs(connection)
    linked = await connection.fetch(_HEAD + " WHERE id = ANY($1::bigint[])", ids)
    heads = {row["id"]: _head(row, epochs) for row in linked}
    rows = await connection.fetch("SELECT id, hashes FROM detail WHERE id = ANY($1::bigint[])", ids)
    trees = {row["id"]: Tree(split_hashes(row["hashes"])) for row in rows}
    sealed: dict[StampKey, SealedUse] = {}
    for key, record in found.items():
        batch_id, index = split_place(record.place)
        if batch_id in heads and batch_id in trees:
            sealed[key] = seal(use_of(key, record), heads[batch_id], index, trees[batch_id])
    return [sealed.get(key) for key in keys]


async def differences(connection: Connection, present_days: Collection[int]) -> AsyncIterator[str]:
    """Recompute the chain: every head, every root whose details are still there, every use's place."""
    audit, epochs = ChainAudit(await journal_totals(connection)), await _epochs(connection)
    async for row in connection.cursor(_LINKS, prefetch=200):
        *columns, noted_hash, hashes = row
        for sentence in audit.link(_head(columns, epochs, audit.previous), noted_hash, hashes):
            yield sentence
    for sentence in audit.end():
        yield sentence
    for day in present_days:
        async for sentence in _misplaced(connection, day):
            yield sentence


async def _misplaced(connection: Connection, day: int) -> AsyncIterator[str]:
    """What is wrong with settled stamps that differ from what stands at their place in the chain."""
    audit = ChainAudit(Totals())
    async for row in connection.cursor(stamps.PLACED, day, prefetch=1000):
        ((key, record),) = stamps.as_records([row]).items()
        batch_id, _ = split_place(record.place)
        if batch_id != audit.number:
            hashes = await connection.fetchval("SELECT hashes FROM detail WHERE id = $1", batch_id)
            audit.open_batch(batch_id, None if hashes is None else split_hashes(hashes))
        for sentence in audit.use(key, record):
            yield sentence


def _head(row: Any, epochs: Sequence[Epoch], previous: bytes | None = None) -> BatchHead:
    number, at, sold, settled, refunded, count, root, before = tuple(row)[:8]
    totals, previous = Totals(sold, settled, refunded), previous or before or GENESIS
    return BatchHead(number, at, totals, count, root, previous, epochs_of(number, epochs))

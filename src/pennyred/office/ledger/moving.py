"""A ledger's move from SQLite's file to PostgreSQL: all rows, a proof that the books are the same, and a seal.

While it is copied, the file is locked. So mail waits (4xx), and is not charged in a book that is left behind. After the
proof the file is sealed: programs that still have it open cannot write in it, and no program opens it any more.
"""

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import apsw
from asyncpg import Connection

from pennyred.failures import told
from pennyred.office.ledger.postgresql import PostgresLedger, days
from pennyred.office.ledger.protocol import Ledger
from pennyred.office.ledger.sqlite import accounts, audit, chain
from pennyred.office.ledger.sqlite.moved import seal
from pennyred.office.ledger.sqlite.opening import open_here
from pennyred.postage.errors import PennyRedError, Unavailable
from pennyred.postage.proofs.chain import EPOCH_ID_BYTES
from pennyred.postage.reasons import Reason
from pennyred.storage.database import BUSY_TIMEOUT_SECONDS, WORLD_ERRORS
from pennyred.storage.migrations import SchemaTooNew
from pennyred.storage.postgres import connect, is_world, shown, unavailable

Note = Callable[[float], object]
"""Told how much of the work is done, up to 1."""
_PAGE = 1000
_ROWS_PER_NOTE = 5000
_SENTENCES_MAX = 20


class NotEmpty(PennyRedError):  # noqa: N818 - a state of the database
    """The database to copy to has accounts or entries already."""


class NotTheSame(PennyRedError):  # noqa: N818 - a state of the two
    """The copy is not the same as the ledger. The file is not sealed, and stays the ledger."""


@dataclass(frozen=True, slots=True)
class Table:
    """Where the rows of one table go: its name and columns there, and the query here that gives the rows."""

    name: str
    columns: str
    select: str
    convert: Callable[[tuple[Any, ...]], tuple[Any, ...]] = tuple


def _account(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:4], bool(row[4]), *row[5:])


def _receiver(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (row[0], json.loads(row[1]), *row[2:])


_TABLES = (
    Table("account", "id address public_key daily_cap is_open opened_at balance held spent", "", _account),
    Table(
        "posting",
        "account number entry_id at kind detail amount balance",
        "SELECT account, number, entry_id, at, kind, detail, amount, balance"
        " FROM posting JOIN entry ON entry.id = entry_id",
    ),
    Table("hold", "account expiry_day serial receiver domain letter tx price cap_day lease_until", ""),
    Table("daily_use", "account day stamps", ""),
    Table("pair_use", "account receiver day holds in_doubt", ""),
    Table(
        "batch",
        "number id at sold settled refunded count root hash",
        "SELECT number, number, at, sold, settled, refunded, count, root, hash FROM batch",
    ),
    Table("epoch", "follows id at", ""),
    Table("detail", "id last_day hashes", "SELECT number, last_day, hashes FROM detail"),
    Table("voucher", "hash stamps created_at account redeemed_at", ""),
    Table("receiver", "name domains token_hash added_at", "", _receiver),
    Table("token_seen", "hash expires_at", ""),
    Table("revocation", "number fingerprint", ""),
    Table("answer", "name body_hash answer expires_at", ""),
    Table("passed_time", "one believed_at forget_at clock_at", ""),
)
_STAMP_COLUMNS = "account expiry_day serial state receiver domain letter price cap_day settled_at place"
_ELSEWHERE = frozenset({"entry", "stamp_day", "floor", "schema_migration", "passed_clock"})
"""Tables whose rows come with others, or are made there."""
_AFTER = """
DELETE FROM floor;
SELECT setval('entry_id', greatest((SELECT max(entry_id) FROM posting), 1));
SELECT setval('batch_id', greatest((SELECT max(id) FROM batch), 1));
UPDATE chain SET number = last.number, sold = last.sold, settled = last.settled, refunded = last.refunded,
  hash = last.hash, epochs = (
    SELECT coalesce(string_agg(id || int8send(follows) || int8send(at), ''::bytea ORDER BY follows), '') FROM (
      SELECT * FROM epoch ORDER BY follows DESC LIMIT 32
    ) AS named
  )
FROM (SELECT * FROM batch ORDER BY number DESC LIMIT 1) AS last;
"""


async def move(path: Path, url: str, *, now: int, note: Note, is_trial: bool = False) -> None:
    """Copy the ledger in the file to the database, prove that they are the same, and seal the file.

    A trial leaves the file as it is, and begins an epoch of its own in the database.

    Raises NotEmpty, NotTheSame, SchemaError, and Unavailable where one of the two
    does not answer.
    """
    source = open_here(path, now=now, busy_timeout_seconds=BUSY_TIMEOUT_SECONDS)
    try:
        target = await PostgresLedger.open(url, now=now)
        try:
            source.execute("BEGIN IMMEDIATE")
            await _copy(source, url, note=note)
            await _require_same(source, target)
            if is_trial:  # FROM goes on: two ledgers must not sign heads of one number
                await target.begin_epoch(os.urandom(EPOCH_ID_BYTES), now=now)
            else:
                seal(source, shown(url), now=now)
            source.execute("COMMIT")
        finally:
            await target.close()
    except WORLD_ERRORS as error:
        raise Unavailable(Reason.LEDGER_UNAVAILABLE, f"{path}: {told(error)}") from error
    except Exception as error:
        raise (unavailable(Reason.LEDGER_UNAVAILABLE, url, error) if is_world(error) else error) from error
    finally:
        source.close()


async def _copy(source: apsw.Connection, url: str, *, note: Note) -> None:
    """Copy all rows in one transaction: where it breaks off, the database is as empty as before."""
    stamp_days = [int(day) for (day,) in source.execute("SELECT day FROM stamp_day ORDER BY day")]
    tables = [*_TABLES, *(_stamps(day) for day in stamp_days)]
    _require_known(source, {table.name for table in _TABLES} | {f"stamp_{day}" for day in stamp_days})
    total = sum(_count(source, _select(table)) for table in tables)
    counter = _Counter(total, note)
    connection = await connect(url, application="pennyred ledger copy")
    try:
        await days.make(connection, stamp_days)
        async with connection.transaction():
            await _require_empty(connection, url)
            for table in tables:
                rows = counter.counted(table.convert(row) for row in source.execute(_select(table)))
                await connection.copy_records_to_table(
                    table.name, records=rows, columns=table.columns.split(), timeout=None
                )
            await connection.execute(_AFTER)
            await connection.executemany(
                "UPDATE stamp_day SET settled = $2, refunded = $3 WHERE day = $1",
                source.execute("SELECT day, settled, refunded FROM stamp_day").fetchall(),
            )
            await connection.executemany(
                "INSERT INTO floor (one, day, settled, refunded) VALUES ($1, $2, $3, $4)",
                source.execute("SELECT only, day, settled, refunded FROM floor").fetchall(),
            )
    finally:
        await connection.close()


def _require_known(source: apsw.Connection, known: set[str]) -> None:
    """Raise SchemaTooNew where there is a table that this version would not copy."""
    there = {str(name) for (name,) in source.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if strangers := sorted(there - known - _ELSEWHERE):
        raise SchemaTooNew(f"the ledger has the table {strangers[0]}, which this program cannot copy")


async def _require_empty(connection: Connection, url: str) -> None:
    """Remove what every new ledger begins with. Raise NotEmpty where there is more."""
    query = "SELECT (SELECT count(*) FROM posting) + (SELECT count(*) FROM account WHERE public_key IS NOT NULL)"
    if await connection.fetchval(query):
        raise NotEmpty(f"{shown(url)} has accounts already; give the copy a new, empty database")
    await connection.execute(
        "DELETE FROM account; DELETE FROM receiver; DELETE FROM token_seen; DELETE FROM passed_time"
    )


async def _require_same(source: apsw.Connection, target: Ledger) -> None:
    """Audit both ledgers, and compare all that people and programs rely on. Raises NotTheSame."""
    if found := [sentence async for sentence in differences(source, target)]:
        raise NotTheSame("\n".join(found[:_SENTENCES_MAX]))


async def differences(source: apsw.Connection, target: Ledger) -> AsyncIterator[str]:
    """In what a ledger differs from the one in a file, one sentence each: audits, the chain's head, accounts."""
    audits = audit.audit(source), await target.audit()
    for one in audits:
        for sentence in one.differences:
            yield sentence
    if astuple(audits[0]) != astuple(audits[1]):
        yield f"the audits differ: {audits[0]} and {audits[1]}"
    if chain.last_head(source) != await target.head():
        yield "the chains end differently"
    after = ""
    while page := accounts.accounts(source, after, _PAGE):
        if page != await target.accounts(after=after, limit=_PAGE):
            yield f"the accounts after {after!r} differ"
            return
        after = page[-1].id
    if await target.accounts(after=after, limit=1):
        yield f"the accounts after {after!r} differ"


def _stamps(day: int) -> Table:
    there = _STAMP_COLUMNS.replace("expiry_day", str(day)).replace(" ", ", ")
    return Table("stamp", _STAMP_COLUMNS, f"SELECT {there} FROM stamp_{day}")  # noqa: S608 - ours


def _select(table: Table) -> str:
    return table.select or f"SELECT {table.columns.replace(' ', ', ')} FROM {table.name}"  # noqa: S608 - ours


def _count(source: apsw.Connection, statement: str) -> int:
    ((count,),) = source.execute(f"SELECT count(*) FROM ({statement})")  # noqa: S608 - ours
    return int(count)


class _Counter:
    """Counts rows, and tells `note` now and then how far it has come."""

    def __init__(self, total: int, note: Note) -> None:
        self._total = total
        self._done = 0
        self._note = note

    def counted(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Yield the same rows, and count them."""
        for row in rows:
            self._done += 1
            if self._done % _ROWS_PER_NOTE == 0 or self._done == self._total:
                self._note(self._done / self._total)
            yield row

"""A connection to PostgreSQL for a thread that may block: `groupcommit` uses it in place of an SQLite file.

Only one transaction writes at a time, as with SQLite: each takes an advisory lock first, so work that expects a single
writer is correct here too. A reading transaction sees one moment. A lost connection is made again at the next BEGIN.
"""

import asyncio
import functools
import re
from collections.abc import Awaitable, Iterator, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import asyncpg

from pennyred.storage.postgres import connect

T = TypeVar("T")
WRITE = (
    "BEGIN; SELECT pg_advisory_xact_lock(8102015105121105); SELECT pg_logical_emit_message(true, 'pennyred', ''::text)"
)
"""How a writing transaction begins. The lock's number is this program's own; the lock ends with the transaction.

Nobody reads the message. It makes COMMIT wait for a synchronous standby, even if the transaction writes nothing else:
what it found may come from an unconfirmed attempt, and be lost with the primary.
"""
READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WORD = re.compile(r"'[^']*'|\?(\d*)|\buser\b")
_CHANGED = re.compile(r"(?:INSERT 0|UPDATE|DELETE) (\d+)")
_STATEMENTS_KEPT = 500


class Rows:
    """The rows that a statement has answered, as tuples."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows of the answer."""
        return self._rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)


class BlockingConnection:
    """Implements `statements.Connection`. Its calls block, so never make them inside a running event loop."""

    def __init__(self, url: str, *, application: str) -> None:
        """It connects when the first transaction begins; `application` is the name that PostgreSQL shows."""
        self._url = url
        self._application = application
        self._loop = asyncio.new_event_loop()
        self._connection: asyncpg.Connection | None = None
        self._changes = 0

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        """Execute one statement. Raises what asyncpg raises."""
        if statement.startswith("BEGIN"):
            return self._begin(statement)
        if statement in ("COMMIT", "ROLLBACK"):
            return self._script(statement)
        return self._run(self._do(translated(statement), values))

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]], /) -> Rows:
        """Execute a statement for each of these rows of values. Raises what asyncpg raises."""
        if statement.startswith("SELECT"):
            found = [row for values in rows for row in self.execute(statement, values)]
            return Rows(found)
        self._run(self._open.executemany(translated(statement), rows))
        self._changes += len(rows)  # an upper bound; `execute` counts exactly
        return Rows([])

    def total_changes(self) -> int:
        """How many rows were changed since it was opened; see `statements.Connection`."""
        return self._changes

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended; False if it was lost with the connection."""
        return self._connection is not None and not self._connection.is_closed() and self._open.is_in_transaction()

    def close(self) -> None:
        """Close the connection. May be called again."""
        if self._loop.is_closed():
            return
        if self._connection is not None:
            self._connection.terminate()
            self._run(asyncio.sleep(0))
        self._loop.close()

    @property
    def _open(self) -> asyncpg.Connection:
        if self._connection is None:
            raise asyncpg.InterfaceError("connection is closed")
        return self._connection

    def _begin(self, statement: str) -> Rows:
        if self._connection is None or self._connection.is_closed():
            self._connection = self._run(connect(self._url, application=self._application))
        return self._script(statement)

    def _script(self, statement: str) -> Rows:
        self._run(self._open.execute(statement))
        return Rows([])

    async def _do(self, statement: str, values: Sequence[Any]) -> Rows:
        if statement.startswith("SELECT") or " RETURNING " in statement:
            return Rows([tuple(map(_plain, row)) for row in await self._open.fetch(statement, *values)])
        if changed := _CHANGED.match(await self._open.execute(statement, *values)):
            self._changes += int(changed[1])
        return Rows([])

    def _run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self._loop.run_until_complete(wait())


@functools.lru_cache(_STATEMENTS_KEPT)
def translated(statement: str) -> str:
    """The statement for PostgreSQL: parameters as `$1`, and the column `user` in quotes, as it is a function there."""
    count = 0

    def one(match: re.Match[str]) -> str:
        nonlocal count
        if match[0][0] == "'":
            return match[0]
        if match[0] == "user":
            return '"user"'
        count += 1
        return f"${match[1] or count}"

    return _WORD.sub(one, statement)


def _plain(value: Any) -> Any:
    """A column's value as SQLite would give it: PostgreSQL makes a Decimal of a sum of integers."""
    return int(value) if isinstance(value, Decimal) else value

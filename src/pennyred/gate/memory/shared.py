"""A gate's state in PostgreSQL, which sister gates share: the same tables and the same work as in a file."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

import asyncpg

from pennyred.postage.errors import PennyRedError
from pennyred.postage.reasons import Reason
from pennyred.storage import postgres
from pennyred.storage.blocking import READ, WRITE, BlockingConnection
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.migrations import load_migrations
from pennyred.storage.postgres_migrations import migrate
from pennyred.storage.statements import Connection

T = TypeVar("T")
APPLICATION = "pennyred gate"

Shared = GroupCommit[BlockingConnection]


def open_shared(url: str, *, now: int) -> tuple[Shared, Shared, bytes]:
    """Open the state at a URL: who writes, who reads, and the salt. Tables are made or brought up to date.

    Raises SchemaError, and Unavailable when the database does not answer.
    """

    async def prepare() -> bytes:
        connection = await postgres.connect(url, application=APPLICATION)
        try:
            await migrate(connection, load_migrations("pennyred.gate.memory", "migrations/postgresql"), now=now)
            salt: bytes = await connection.fetchval("SELECT salt FROM secret")
            return salt
        finally:
            await connection.close()

    salt = _beside(url, lambda: asyncio.run(prepare()))
    return _group(url, "state writer", WRITE), _group(url, "state reader", READ), salt


def read(url: str, work: Callable[[Connection], T]) -> T:
    """Read in one transaction that sees one moment, and change nothing. Blocks.

    Raises FileNotFoundError where the tables are not there, and Unavailable.
    """

    def reading() -> T:
        connection = BlockingConnection(url, application=APPLICATION)
        try:
            connection.execute(READ)
            return work(connection)
        except asyncpg.UndefinedTableError as error:
            place = postgres.shown(url)
            raise FileNotFoundError(
                f"{place} is empty yet: no gate with these settings has run (pennyred serve)"
            ) from error
        finally:
            connection.close()

    return _beside(url, reading)


def _group(url: str, name: str, begin: str) -> Shared:
    return GroupCommit(
        BlockingConnection(url, application=APPLICATION),
        name=name,
        reason=Reason.STATE_UNAVAILABLE,
        begin=begin,
        is_world=postgres.is_world,
        patience_seconds=postgres.TRIES_SECONDS,
        place=postgres.shown(url),
    )


def _beside(url: str, work: Callable[[], T]) -> T:
    """Do the work in a thread of its own, because the caller's thread may have an event loop that runs."""
    answers: list[T] = []
    troubles: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:  # noqa: BLE001 - raised where it was asked
            troubles.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if answers:
        return answers[0]
    [trouble] = troubles
    if not isinstance(trouble, PennyRedError | FileNotFoundError) and postgres.is_world(trouble):
        raise postgres.unavailable(Reason.STATE_UNAVAILABLE, url, trouble) from trouble
    raise trouble

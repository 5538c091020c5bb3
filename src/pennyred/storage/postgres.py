"""Reaching a PostgreSQL database, and telling a world that does not answer from a mistake of ours.

The address is a URL as libpq has it, `postgresql://user:password@host1,host2/name?sslmode=verify-full`; with several
hosts the one that takes writes is looked for, so that a failover needs no settings. What fails because the database is
away, changing its primary or in somebody's way is tried again from the beginning, as long as nothing may have been
committed; then it is `Unavailable`. No text that leaves here has the password.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
from asyncpg import Connection, Pool

from pennyred.failures import told
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

CONNECTIONS_MAX = 8
"""Of one process; PostgreSQL's own default is 100 in all."""
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
COMMIT_SECONDS = 11.0
"""For any answer, above all for a COMMIT that waits for a synchronous standby: no limit of the server's ends that wait,
statement_timeout least of all, which is over when COMMIT begins. We give up, and have the server give up, too; then the
transaction stands on the primary, and whether on the standby nobody knows: "later", and whoever asks again waits again.
"""
LOCK_SECONDS = 5.0
IDLE_IN_TRANSACTION_SECONDS = 30.0
"""A process that hangs in a transaction must not hold its locks for ever."""
TRIES_SECONDS = 8.0
"""So long a piece of work is tried again: less than SMTP clients wait, more than a short trouble lasts."""
_PAUSE_SECONDS = 0.02
_PAUSE_SECONDS_MAX = 1.0
_STATEMENTS_CACHED = 200

__all__ = ["Connection", "Pool", "connect", "is_world", "open_pool", "persist", "shown", "transact", "unavailable"]

WORLD_ERRORS: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    ssl.SSLError,
    asyncpg.PostgresConnectionError,  # 08
    asyncpg.OperatorInterventionError,  # 57: shut down, terminated, starting up, statement timeout
    asyncpg.InsufficientResourcesError,  # 53: disk full, no memory, too many connections
    asyncpg.TransactionRollbackError,  # 40: serialisation, deadlock
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # it was the primary a moment ago
    asyncpg.InvalidAuthorizationSpecificationError,  # a standby that is being rebuilt has other roles for a moment
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,
    asyncpg.exceptions.ConnectionDoesNotExistError,
    asyncpg.exceptions.TargetServerAttributeNotMatched,
)
"""What asyncpg raises when the network, the server or another process is the cause; all else is a mistake of ours.

`asyncpg.InterfaceError` is of both kinds: `is_world` looks closer.
"""

T = TypeVar("T")


class NotCommitted(Exception):  # noqa: N818 - carries the trouble, and that nothing was done
    """The world did not answer before anything could be committed: the work may be done again."""


def is_world(error: BaseException) -> bool:
    """Whether an error has its cause outside this program."""
    if isinstance(error, asyncpg.InterfaceError):
        words = str(error)
        return "connection" in words or "closed" in words or "closing" in words
    return isinstance(error, WORLD_ERRORS)


def shown(url: str) -> str:
    """The address for people: where and which database, never who or with what password."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    return f"postgresql://{hosts}{parts.path}"


def unavailable(reason: Reason, url: str, error: BaseException) -> Unavailable:
    """For callers; not the error's own text, as it may quote rows."""
    return Unavailable(reason, f"{shown(url)}: {told(error, is_quoting=False)}")


async def connect(url: str, *, application: str) -> Connection:
    """One connection to the database that takes writes. Raises one of `WORLD_ERRORS`, or ValueError for a bad URL."""
    return await asyncpg.connect(url, timeout=CONNECT_SECONDS, **_options(application))


async def open_pool(url: str, *, application: str, connections_max: int = CONNECTIONS_MAX) -> Pool:
    """Connections that are made when they are needed; opens even while the database is away."""
    pool: Pool = await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=connections_max,
        timeout=CONNECT_SECONDS,
        max_inactive_connection_lifetime=60.0,
        **_options(application),
    )
    return pool


def _options(application: str) -> dict[str, Any]:
    return {
        "command_timeout": COMMIT_SECONDS,  # for statements the server's own limit comes first
        "statement_cache_size": _STATEMENTS_CACHED,
        "target_session_attrs": "read-write",
        "server_settings": {
            "application_name": application,
            "statement_timeout": _milliseconds(STATEMENT_SECONDS),
            "lock_timeout": _milliseconds(LOCK_SECONDS),
            "idle_in_transaction_session_timeout": _milliseconds(IDLE_IN_TRANSACTION_SECONDS),
            # Statements are few, prepared, and read rows by their keys: planning them anew for each list of keys
            # costs more than it finds, and a plan that reads whole tables is never the right one.
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
            "jit": "off",
        },
    }


async def transact(pool: Pool, work: Callable[[Connection], Awaitable[T]], *, is_reading: bool = False) -> T:
    """Do `work` in one transaction; when this returns, it is committed.

    Raises `NotCommitted` where nothing was done because the world did not answer, one of `WORLD_ERRORS` where it is not
    known whether it was, and what `work` raises.
    """
    try:
        async with pool.acquire(timeout=CONNECT_SECONDS) as connection:
            transaction = connection.transaction(
                isolation="repeatable_read" if is_reading else None, readonly=is_reading
            )
            await transaction.start()
            try:
                answer = await work(connection)
            except BaseException:
                await _rolled_back(transaction)
                raise
            await _commit(transaction)
            return answer
    except _Unknown as unknown:
        raise unknown.trouble from None
    except Exception as error:
        if is_world(error):
            raise NotCommitted from error
        raise


async def persist(
    pool: Pool, work: Callable[[Connection], Awaitable[T]], *, is_repeatable: bool, is_reading: bool = False
) -> T:
    """`transact`, again and again while the world does not answer, for `TRIES_SECONDS`.

    `is_repeatable`: whether to do it once more harms nothing where it may have been done. Raises the last of
    `WORLD_ERRORS`, and what `work` raises.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + TRIES_SECONDS
    pause = _PAUSE_SECONDS
    while True:
        try:
            return await transact(pool, work, is_reading=is_reading)
        except NotCommitted as not_committed:
            trouble: BaseException = not_committed.__cause__ or not_committed
        except BaseException as error:
            if not is_repeatable or not is_world(error):
                raise
            trouble = error
        if loop.time() + pause > deadline:
            raise trouble
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that many do not come back together
        pause = min(2 * pause, _PAUSE_SECONDS_MAX)


class _Unknown(Exception):  # noqa: N818
    """The connection broke while it was committing."""

    def __init__(self, trouble: BaseException) -> None:
        super().__init__()
        self.trouble = trouble


async def _commit(transaction: Any) -> None:
    try:
        await transaction.commit()
    except (asyncpg.TransactionRollbackError, asyncpg.IntegrityConstraintViolationError):
        raise  # the server says that it did not
    except Exception as error:
        if is_world(error):
            raise _Unknown(error) from error
        raise


async def _rolled_back(transaction: Any) -> None:
    """As well as can be: a connection that is gone has rolled back."""
    try:
        await transaction.rollback()
    except Exception as error:
        if not is_world(error):
            raise


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))

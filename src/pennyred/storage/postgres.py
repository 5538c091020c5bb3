"""Connect to a PostgreSQL database, and tell errors of the world outside (network, server) from mistakes of ours.

The address is a URL as in libpq, `postgresql://user:password@host1,host2/name?sslmode=verify-full`. With several hosts,
the one that accepts writes is used, so a failover needs no change of settings. Work that fails because the database is
away, is changing its primary or is locked is tried again from the beginning, as long as nothing can have been
committed; after some time it is `Unavailable`. No text that leaves this module contains the password.
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
"""How many connections one process makes; PostgreSQL's own default is 100 in all."""
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
COMMIT_SECONDS = 11.0
"""How long to wait for any answer, above all to a COMMIT that waits for a synchronous standby. No limit of the server
ends that wait; statement_timeout ends when COMMIT begins. So we give up, and cancel it at the server too. Then the
transaction is on the primary, but nobody knows whether it is on the standby: the answer is "later", and whoever asks
again waits again.
"""
LOCK_SECONDS = 5.0
IDLE_IN_TRANSACTION_SECONDS = 30.0
"""After how long the server ends an idle transaction: a process that hangs must not hold its locks for ever."""
TRIES_SECONDS = 8.0
"""How long work is tried again: shorter than SMTP clients wait, longer than a short trouble lasts."""
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
"""What asyncpg raises if the network, the server or another process is the cause; other errors are mistakes of ours.

`asyncpg.InterfaceError` can be either: `is_world` looks at its text.
"""

T = TypeVar("T")


class MayBeCommitted(Exception):  # noqa: N818 - carries the trouble, and that nobody knows
    """The database failed when it may have committed what is not to be done twice; `__cause__` says why."""


class NotCommitted(Exception):  # noqa: N818 - carries the trouble, and that nothing was done
    """The database failed before anything could be committed, so the work may be done again; `__cause__` says why."""


def is_world(error: BaseException) -> bool:
    """Whether an error has its cause outside this program."""
    if isinstance(error, asyncpg.InterfaceError):
        words = str(error)
        return "connection" in words or "closed" in words or "closing" in words
    return isinstance(error, WORLD_ERRORS)


def shown(url: str) -> str:
    """The URL to show to people: hosts and database, without user and password."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    return f"postgresql://{hosts}{parts.path}"


def unavailable(reason: Reason, url: str, error: BaseException) -> Unavailable:
    """The `Unavailable` for an error, without the error's own text, because that may quote rows."""
    return Unavailable(reason, f"{shown(url)}: {told(error, is_quoting=False)}")


async def connect(url: str, *, application: str) -> Connection:
    """Connect to the host that accepts writes. Raises one of `WORLD_ERRORS`, or ValueError for a bad URL."""
    return await asyncpg.connect(url, timeout=CONNECT_SECONDS, **_options(application))


async def open_pool(url: str, *, application: str, connections_max: int = CONNECTIONS_MAX) -> Pool:
    """A pool that connects when it needs to; it opens even while the database is away."""
    pool: Pool = await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=connections_max,
        timeout=CONNECT_SECONDS,
        max_inactive_connection_lifetime=60.0,
        reset=_nothing,  # a transaction leaves nothing behind, and a letter need not wait for a round trip more
        **_options(application),
    )
    return pool


async def _nothing(connection: Connection) -> None:
    """Leave the connection as it is."""


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
            # We have few statements, prepared, that read rows by their keys. To plan them again for each list of keys
            # costs more than it gains, and a plan that reads whole tables is never right.
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
            "jit": "off",
        },
    }


async def transact(pool: Pool, work: Callable[[Connection], Awaitable[T]], *, is_reading: bool = False) -> T:
    """Do `work` in one transaction; when this returns, it is committed.

    Raises `NotCommitted` if the database failed and nothing was done, one of `WORLD_ERRORS` if it is not known whether
    it was committed, and what `work` raises.
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
    """Do `transact`, and try again for `TRIES_SECONDS` while the database fails.

    `is_repeatable` says that it does no harm to do the work twice; else it is not tried again once it may have been
    committed. Raises the last of the `WORLD_ERRORS`, `MayBeCommitted` instead where it is not repeatable and not known,
    and what `work` raises.
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
            if not is_world(error):
                raise
            if not is_repeatable:
                raise MayBeCommitted from error
            trouble = error
        if loop.time() + pause > deadline:
            raise trouble
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that many do not try at once
        pause = min(2 * pause, _PAUSE_SECONDS_MAX)


class _Unknown(Exception):  # noqa: N818
    """The connection broke during COMMIT, so it is not known whether it was committed."""

    def __init__(self, trouble: BaseException) -> None:
        super().__init__()
        self.trouble = trouble


async def _commit(transaction: Any) -> None:
    try:
        await transaction.commit()
    except (asyncpg.TransactionRollbackError, asyncpg.IntegrityConstraintViolationError):
        raise  # the server says that it did not commit
    except Exception as error:
        if is_world(error):
            raise _Unknown(error) from error
        raise


async def _rolled_back(transaction: Any) -> None:
    """Roll back if possible; if the connection is gone, the server has rolled back."""
    try:
        await transaction.rollback()
    except Exception as error:
        if not is_world(error):
            raise


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))

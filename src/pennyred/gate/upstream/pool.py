"""The connections to one mail server: limited in number, and used again only if they are clean.

`slots` decides who may use one and who has to wait. A connection is kept only after the end of a transaction, or after
a 2xx to RSET. A doubtful one is closed.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

from pennyred.gate.smtp.sources import NOBODY, Source
from pennyred.gate.upstream.addresses import Address
from pennyred.gate.upstream.connection import Connection, NotTold
from pennyred.gate.upstream.endpoint import Capabilities, IdentityMode, UpstreamOptions
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.gate.upstream.idle import IdleConnections
from pennyred.gate.upstream.opening import Opener
from pennyred.gate.upstream.slots import PoolExhausted, Slots
from pennyred.postage.errors import Unavailable

_SWEEP_SECONDS = 5.0
_FOR_GOOD_SECONDS = 15.0
"""How long a connection that only one client can use is kept. It may never come again, and costs a process there."""


class UpstreamPool:
    """Lends connections on which EHLO is said and the client is told. Belongs to one event loop."""

    def __init__(
        self,
        options: UpstreamOptions,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random.random,
        log: Any = None,
    ) -> None:
        self.options = options
        self._opener = Opener(
            options, clock=clock, random=random, log=log, spare=self._spare, drop_idle=self._drop_idle_at
        )
        self.capabilities: Capabilities | None = None
        """What the mail server offered last; None until it has been asked."""
        self._idle = IdleConnections()
        self._open = 0
        self._slots = Slots(options.connections_max, options.connections_per_network_max)
        self._tasks: set[asyncio.Task[None]] = set()
        self._resetting: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._trusted_since = 0.0
        """Connections opened before (loop's clock, seconds) are not used again: their offers may be out of date."""

    @property
    def open_count(self) -> int:
        """How many connections are open or being opened, with the idle ones."""
        return self._open + self._opener.opening

    @property
    def idle_count(self) -> int:
        """How many connections are idle, ready to be used."""
        return len(self._idle)

    def at_hand(self, client: ClientIdentity, source: Source = NOBODY) -> Connection | None:
        """An idle connection on which MAIL may be said for `client` at once; None if `acquire` has to be asked."""
        if self._is_closed or (connection := self._knowing(client)) is None:
            return None
        if (slot := self._slots.take_at_once(source)) is None:
            return None
        self._idle.remove(connection)
        connection.is_reused = True
        connection.slot = slot
        return connection

    def offer_at_hand(self, client: ClientIdentity) -> Capabilities | None:
        """What the mail server offers to `client` on a connection that `at_hand` may lend; None if there is none."""
        connection = self._knowing(client)
        return None if connection is None else connection.capabilities

    async def acquire(
        self, client: ClientIdentity, source: Source = NOBODY, *, is_fresh: bool = False, is_modest: bool = False
    ) -> Connection:
        """A connection on which MAIL may be said for `client`; `is_fresh` asks for a new one.

        It is counted for `source`. `is_modest`: only if nobody has to make room or to wait. Raises `PoolExhausted` or
        another `Unavailable`, or `connection.Refused` if the mail server refuses the client.
        """
        if self._is_closed:
            raise PoolExhausted("the gate is shutting down")
        slot = self._slots.take_at_once(source, may_recall=not is_modest)
        if slot is None:
            slot = await self._slots.take(source, is_modest=is_modest)
        try:
            connection = None if is_fresh else self._take_idle(client)
            if connection is None:
                connection = await self._opened_for(client)
            elif connection.has_to_tell and not await self._is_told(connection, client):
                # The server may have closed the idle connection. A new one shows whether more is wrong.
                connection = await self._opened_for(client)
        except BaseException:
            self._slots.leave(slot)
            raise
        connection.slot = slot
        return connection

    def rest(self, connection: Connection, recall: Callable[[], None]) -> None:
        """The user waits for its client. Somebody else may take its place; then `recall` is called, perhaps at once.

        It has to discard the connection: to reset it would take time, and somebody waits.
        """
        if connection.slot is not None:
            self._slots.rest(connection.slot, recall)

    def resume(self, connection: Connection) -> None:
        """The user of a resting connection goes on."""
        if connection.slot is not None:
            self._slots.resume(connection.slot)

    async def _is_told(self, connection: Connection, client: ClientIdentity) -> bool:
        """Tell an idle connection of the client; False if it is of no use any more."""
        try:
            await connection.tell(client)
        except BaseException as error:
            self.discard(connection)
            if isinstance(error, NotTold) or not isinstance(error, Unavailable):
                raise
            return False
        return True

    async def _opened_for(self, client: ClientIdentity) -> Connection:
        while True:
            connection = await self._open_new(client)
            try:
                await connection.tell(client)
            except BaseException as error:
                self.discard(connection)
                if not self.pass_over(connection, error):
                    raise
            else:
                return connection

    def pass_over(self, connection: Connection, trouble: BaseException) -> bool:
        """Whether another address may be tried: this one is in trouble with every client."""
        if isinstance(trouble, NotTold) or not isinstance(trouble, Unavailable):
            return False
        return self._opener.pass_over(connection.address, trouble)

    def believe(self, connection: Connection) -> None:
        """The address of this connection has taken a letter."""
        self._opener.believe(connection.address)

    def release(self, connection: Connection) -> None:
        """Take back a connection whose transaction has ended."""
        options = self.options
        is_kept = (
            not self._is_closed
            and connection.is_clean
            and not connection.address.is_gone
            and options.identity is not IdentityMode.PROXY  # a PROXY header is for one client only
            and connection.refusals < options.refusals_max
            and connection.opened_at >= self._trusted_since
            and asyncio.get_running_loop().time() - connection.opened_at < options.age_seconds_max
        )
        if not is_kept:
            self.discard(connection)
            return
        self._leave(connection)
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.add(connection)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def reset(self, connection: Connection) -> None:
        """Take back a connection in the middle of a transaction: RSET in the background, then idle."""
        self.resume(connection)
        if connection.is_clean:
            self._resetting.add(connection)
            self._spawn(self._reset(connection))
        else:
            self.discard(connection)

    def discard(self, connection: Connection) -> None:
        """Close a connection that is not to be used again."""
        if connection.is_clean:
            connection.quit()
        else:
            connection.abort("given up by the gate")
        self._open -= 1
        self._leave(connection)

    async def reach(self) -> None:
        """Open a connection for nobody yet, learn what is offered, and keep it; raises what `acquire` raises."""
        if self.open_count >= self.options.connections_max and not self._drop_one_idle():
            raise PoolExhausted("all connections are in use")
        self.release(await self._open_new(None))

    def look(self) -> None:
        """Check in the background the addresses that have failed."""
        self._opener.look()

    def close_idle(self) -> None:
        """Close all idle connections, because the mail server is down."""
        for connection in self._idle.take_all():
            self.discard(connection)

    def renew(self) -> None:
        """Do not use again any connection that is open now: the mail server may offer something else by now."""
        self._trusted_since = asyncio.get_running_loop().time()
        self.close_idle()

    async def close(self) -> None:
        """Close idle connections and cancel background work; lent connections are closed when they come back."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        await self._opener.close()
        for connection in self._resetting:
            connection.abort("the gate is shutting down")
        if self._tasks:
            await asyncio.wait(self._tasks)
        idle = self._idle.take_all()
        for connection in idle:
            self.discard(connection)
        for connection in idle:
            await connection.wait_closed()

    def _knowing(self, client: ClientIdentity) -> Connection | None:
        connection = self._idle.knowing(client)
        return connection if connection is not None and connection.is_clean else None

    def _take_idle(self, client: ClientIdentity) -> Connection | None:
        while (connection := self._idle.take(client)) is not None:
            if connection.is_clean:
                connection.is_reused = True
                return connection
            self.discard(connection)
        return None

    async def _open_new(self, client: ClientIdentity | None) -> Connection:
        if self._is_closed:
            raise PoolExhausted("the gate is shutting down")
        if self.open_count >= self.options.connections_max:
            self._drop_one_idle()
        connection = await self._opener.open(client)
        self._open += 1
        if connection.offered is not None:
            self.capabilities = connection.offered
        return connection

    def _spare(self, connection: Connection) -> None:
        """Keep a connection that nobody needs now, if there is room; else close it."""
        self._open += 1
        if connection.offered is not None:
            self.capabilities = connection.offered
        if self.open_count > self.options.connections_max:
            self.discard(connection)
        else:
            self.release(connection)

    def _drop_idle_at(self, address: Address) -> None:
        for connection in [one for one in self._idle if one.address is address]:
            self._idle.remove(connection)
            self.discard(connection)

    def _leave(self, connection: Connection) -> None:
        slot, connection.slot = connection.slot, None
        if slot is not None:
            self._slots.leave(slot)

    def _drop_one_idle(self) -> bool:
        if (connection := self._idle.take_oldest()) is None:
            return False
        self.discard(connection)
        return True

    async def _reset(self, connection: Connection) -> None:
        is_fit = await connection.reset()
        self._resetting.discard(connection)
        if is_fit:
            self.release(connection)
        else:
            self.discard(connection)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in self._idle:
            patience_seconds = _FOR_GOOD_SECONDS if connection.is_for_good else self.options.idle_seconds_max
            is_stale = now - connection.idle_since >= patience_seconds
            is_old = now - connection.opened_at >= self.options.age_seconds_max
            if is_stale or is_old or connection.address.is_gone or not connection.is_clean:
                self._idle.remove(connection)
                self.discard(connection)
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep) if self._idle else None

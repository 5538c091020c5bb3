"""Opens a connection to a mail server, at the address that answers first (`racing`).

Each address has its own health. One that fails is tried after the others, and checked in the background.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from pennyred.failures import what
from pennyred.gate.smtp import replies
from pennyred.gate.upstream.addresses import Address, AddressBook
from pennyred.gate.upstream.connection import Connection, NotTold, Refused, connect
from pennyred.gate.upstream.dialogue import unavailable
from pennyred.gate.upstream.endpoint import IdentityMode, UpstreamOptions
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.gate.upstream.racing import Race, Unreachable
from pennyred.postage.errors import Unavailable

_DOUBT_SECONDS = 10.0
PASSED_OVER_SECONDS = 60.0
"""How long an address that takes connections, but no mail, is tried after the others."""


class Opener:
    """Opens connections to one mail server; belongs to one event loop."""

    def __init__(
        self,
        options: UpstreamOptions,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        log: Any,
        spare: Callable[[Connection], None],
        drop_idle: Callable[[Address], None],
    ) -> None:
        """`spare` is given a connection that nobody needs now; `drop_idle` is called with an address that fails."""
        self.opening = 0
        """How many attempts are under way."""
        self._options = options
        self._addresses = AddressBook(options.endpoint, clock)
        self._clock = clock
        self._random = random
        self._log = log
        self._spare = spare
        self._drop_idle = drop_idle
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self, client: ClientIdentity | None) -> Connection:
        """A connection on which EHLO is said; `client` is for PROXY, see `Connection.open`.

        Raises `Unreachable`; or another `Unavailable`, or `Refused`, if it concerns this client alone.
        """
        try:
            addresses = await self._addresses.in_order()
        except (OSError, TimeoutError, UnicodeError) as error:  # UnicodeError: a name that the DNS cannot have
            raise Unreachable(unavailable(f"{self._options.endpoint.host}: {what(error)}")) from error
        try:
            if len(addresses) == 1:
                return await self._attempt(addresses[0], client)
            self.look()
            return await Race(addresses, functools.partial(self._begin, client), self._leave_behind).won()
        except Unreachable:
            self._addresses.doubt()
            raise

    def look(self) -> None:
        """Check in the background the addresses whose wait is over."""
        now = self._clock()
        for address in self._addresses.known:
            if len(self._addresses.known) > 1 and address.health.is_due(now) and not address.is_probed:
                address.is_probed = True
                self._spawn(self._probe(address))

    def pass_over(self, address: Address, trouble: Unavailable) -> bool:
        """Try other addresses first for a while, as this one has let the gate in and then failed. Returns whether there
        is another one to try.
        """
        others = [one for one in self._addresses.liked() if one is not address]
        if not others:
            return False
        now = self._clock()
        if address.doubted_since is None:
            address.doubted_since = now
            self._log.warning(
                "smtp.address_down", upstream=self._options.endpoint.name, address=str(address), detail=str(trouble),
                retry_seconds=PASSED_OVER_SECONDS,
            )  # fmt: skip
        address.doubted_until = now + PASSED_OVER_SECONDS
        self._drop_idle(address)
        return True

    def believe(self, address: Address) -> None:
        """Note that an address takes mail. If it was passed over and that time has ended, it counts as up again."""
        if address.doubted_since is not None and address.doubted_until <= self._clock():
            since, address.doubted_since = address.doubted_since, None
            self._note_up(address, since)

    async def close(self) -> None:
        """Cancel all attempts and checks."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._addresses.close()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _begin(
        self, client: ClientIdentity | None, address: Address, connected: asyncio.Event
    ) -> asyncio.Task[Connection]:
        return self._spawn(self.attempt(address, client, connected))

    async def attempt(
        self, address: Address, client: ClientIdentity | None, connected: asyncio.Event | None = None
    ) -> Connection:
        """Open a connection to one of these addresses, and note their health; raises what `open` raises."""
        try:
            connection = await self._attempt(address, client, connected)
        except Unreachable as error:
            self._failed(address, error)
            raise
        except Refused:
            self._succeeded(address)
            raise
        self._succeeded(address)
        return connection

    def _leave_behind(self, attempt: "asyncio.Task[Connection]", address: Address) -> None:
        self._spawn(self._await_late(attempt, address))

    async def _await_late(self, attempt: "asyncio.Task[Connection]", address: Address) -> None:
        """Wait for an attempt that another has overtaken, to know its address's health."""
        address.slow += 1
        try:
            connection = await attempt
        except (Unavailable, Refused):
            return
        finally:
            address.slow -= 1
            attempt.cancel()
        if self._options.identity is IdentityMode.PROXY:
            _end(connection)  # it was made for a client, who has another connection now
        else:
            self._spare(connection)

    async def _attempt(
        self, address: Address, client: ClientIdentity | None, connected: asyncio.Event | None = None
    ) -> Connection:
        self.opening += 1
        try:
            try:
                connection = await connect(self._options, address)
            except Unavailable as error:
                raise Unreachable(error) from error
            if connected is not None:
                connected.set()
            try:
                await connection.open(client)
                _require_identity(connection)
            except BaseException as error:
                _end(connection)
                if not isinstance(error, Unavailable):
                    raise
                if client is not None and self._options.identity is IdentityMode.PROXY and not connection.is_greeted:
                    await self._doubt(address, client, connection, error)
                raise Unreachable(error) from error
        finally:
            self.opening -= 1
        return connection

    async def _doubt(
        self, address: Address, client: ClientIdentity, connection: Connection, trouble: Unavailable
    ) -> None:
        """Find out why a mail server has not greeted a client that it was told of by PROXY. If it greets the gate
        itself, the cause is this client or its kind: raises `NotTold`. Else the mail server is in trouble.
        """
        try:
            async with asyncio.timeout(_DOUBT_SECONDS):
                _end(await self._attempt(address, None))
        except (Unavailable, TimeoutError):
            return
        said = connection.refusal
        if said is not None and not replies.is_own_trouble(said):
            raise (trouble if replies.is_closing(said) else Refused(said)) from None
        raise NotTold(client, f"PROXY: {trouble}", connection.where) from trouble

    async def _probe(self, address: Address) -> None:
        try:
            self._spare(await self.attempt(address, None))
        except Unavailable:
            pass
        finally:
            address.is_probed = False

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as seen: nobody awaits an overtaken attempt

    def _failed(self, address: Address, error: Unavailable) -> None:
        now = self._clock()
        if address.health.failed(now, self._random):
            self._drop_idle(address)
            retry_seconds = round(address.health.retry_at - now, 1)
            self._log.warning(
                "smtp.address_down", upstream=self._options.endpoint.name, address=str(address), detail=str(error),
                retry_seconds=retry_seconds,
            )  # fmt: skip

    def _succeeded(self, address: Address) -> None:
        if address.health.succeeded():
            self._note_up(address, address.health.down_since)

    def _note_up(self, address: Address, since: float) -> None:
        down_seconds = round(self._clock() - since)
        self._log.info(
            "smtp.address_up", upstream=self._options.endpoint.name, address=str(address), down_seconds=down_seconds
        )


def _end(connection: Connection) -> None:
    if connection.is_clean:
        connection.quit()
    else:
        connection.abort("given up by the gate")


def _require_identity(connection: Connection) -> None:
    """Raise `Unavailable` if the mail server could not be told of clients on this connection."""
    identity = connection.options.identity
    if connection.offered is not None and not connection.offered.can_be_told(identity):
        text = f"{identity.upper()} is not offered to the gate, but upstream_identity is {identity}"
        raise connection.trouble(text)

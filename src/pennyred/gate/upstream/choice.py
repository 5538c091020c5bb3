"""The mail servers behind the gate, one or several: the first that is healthy in the order of the settings is used.

The load is not spread, unless a setting asks for it: the first does all the work while the second waits. MX preference
means that too, and a second server that is smaller or further away needs it. Another server is tried only until MAIL is
accepted. The content of a letter never goes to two servers within one attempt (`delivery`).

A mail server is down if it cannot be reached (no connection, no greeting, no EHLO). Then it is tried after the others.
When its wait is over, it is asked again in the background. If all are down, the one whose wait ends first is tried.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from pennyred.gate.smtp.sources import NOBODY, Source
from pennyred.gate.upstream import deadlines
from pennyred.gate.upstream.capabilities import NO_NEEDS, Needs, meeting
from pennyred.gate.upstream.connection import Connection
from pennyred.gate.upstream.dialogue import unavailable
from pennyred.gate.upstream.endpoint import Capabilities, UpstreamOptions
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.gate.upstream.member import Member, UpstreamStatus
from pennyred.gate.upstream.pool import UpstreamPool
from pennyred.gate.upstream.racing import Unreachable
from pennyred.gate.upstream.slots import PoolExhausted
from pennyred.postage.errors import Unavailable

_FIRST_ANSWERS_SECONDS = 2.0
"""How long to wait at the start until all have said what they offer; then those that have answered are enough."""


class Upstreams:
    """Lends connections on which EHLO is said and the client is told. Belongs to one event loop."""

    def __init__(
        self,
        options: Sequence[UpstreamOptions],
        log: Any,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        is_spread: bool = False,
    ) -> None:
        self._members = [
            Member(UpstreamPool(one, clock=clock, random=random, log=log), one.endpoint.name) for one in options
        ]
        self._log = log
        self._clock = clock
        self._random = random
        self._is_spread = is_spread
        self._turn = 0
        self._down = 0
        self._met_of: list[Capabilities] = []
        self._met: Capabilities | None = None
        self._learning: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_lmtp(self) -> bool:
        """Whether the mail servers speak LMTP, and so answer for each recipient; either all do, or none."""
        return self._members[0].pool.options.endpoint.is_lmtp

    @property
    def is_choice(self) -> bool:
        """Whether there is more than one mail server."""
        return len(self._members) > 1

    @property
    def open_count(self) -> int:
        """How many connections are open or being opened, with the idle ones."""
        return sum(member.pool.open_count for member in self._members)

    @property
    def idle_count(self) -> int:
        """How many connections are idle, ready to be used."""
        return sum(member.pool.idle_count for member in self._members)

    @property
    def capabilities(self) -> Capabilities | None:
        """What all servers that are up offer, as far as it is known; None if nothing is known."""
        if not self.is_choice:
            return self._members[0].pool.capabilities
        of_all = [(one.health, one.pool.capabilities) for one in self._members]
        known = [offered for health, offered in of_all if offered is not None and health.is_up]
        known = known or [offered for _, offered in of_all if offered is not None]
        if known != self._met_of:
            self._met_of, self._met = known, meeting(known) if known else None
        return self._met

    def at_hand(self, client: ClientIdentity, source: Source = NOBODY) -> Connection | None:
        """What `acquire` would lend, if nobody has to be waited for or told; None: `acquire` has to be asked."""
        if self._down or len(self._members) > 1:
            return None
        return self._members[0].pool.at_hand(client, source)

    def offer_at_hand(self, client: ClientIdentity) -> Capabilities | None:
        """What the mail server offers to `client` on a connection that `at_hand` may lend; None if there is none."""
        if self._down or len(self._members) > 1:
            return None
        return self._members[0].pool.offer_at_hand(client)

    async def acquire(
        self, client: ClientIdentity, source: Source = NOBODY, *, is_fresh: bool = False, needs: Needs = NO_NEEDS
    ) -> Connection:
        """A connection on which MAIL may be said for `client`; `is_fresh` asks for a new one.

        It is counted for `source`. Raises `Unavailable` if there is none, or `connection.Refused` if a mail server
        refuses the client.
        """
        if not self._down and len(self._members) == 1:
            return await self._acquire_from(self._members[0], client, source, is_fresh=is_fresh)
        trouble: Unavailable | None = None
        busy: Member | None = None
        if 0 < self._down < len(self._members):
            self._probe_due()
        for member in self._in_order():
            try:
                # Each server gets a part of the client's time: a silent one must leave time for the others.
                async with asyncio.timeout(deadlines.CLIENTS_SECONDS / len(self._members)):
                    connection = await self._acquire_from(member, client, source, is_fresh=is_fresh, is_modest=True)
            except PoolExhausted as error:
                busy = busy or member
                trouble = error
                continue
            except Unavailable as error:
                trouble = error
                continue
            except TimeoutError:
                trouble = unavailable(f"{member.name} takes too long")
                self._failed(member, trouble)
                continue
            if self._may_have(connection, needs):
                return connection
            member.pool.release(connection)
            trouble = unavailable(f"{member.name} does not offer what the envelope asks for")
        if busy is not None:
            # No server has a free connection: somebody has to make room at the one that is tried first.
            connection = await self._acquire_from(busy, client, source, is_fresh=is_fresh)
            if self._may_have(connection, needs):
                return connection
            busy.pool.release(connection)
        assert trouble is not None
        raise trouble

    def pool_of(self, connection: Connection) -> UpstreamPool:
        """The pool that a connection was lent from, to which it is given back."""
        first = self._members[0]
        if len(self._members) == 1:
            return first.pool
        return next((one.pool for one in self._members if one.pool.options is connection.options), first.pool)

    async def learn(self) -> Capabilities | None:
        """What the servers offer; asks them if nothing is known. None if none answers, or none is due to be asked."""
        if self.capabilities is None:
            if self._learning is None:
                self._learning = self._spawn(self._ask())
            await asyncio.wait([self._learning], timeout=deadlines.HELLO_SECONDS)
        return self.capabilities

    def relearn(self) -> None:
        """Ask the servers again, in the background, what they offer; until they answer, the old answer counts."""
        for member in self._members:
            self._spawn(self._renew(member))

    def status(self) -> list[UpstreamStatus]:
        """The status of each mail server, as far as this worker knows."""
        return [
            UpstreamStatus(one.name, one.health.is_up, one.pool.open_count, one.pool.idle_count)
            for one in self._members
        ]

    def look(self) -> None:
        """Check in the background whether servers can be reached; one with an open connection need not be checked."""
        now = self._clock()
        for member in self._members:
            is_unknown = member.health.is_up and not member.pool.open_count
            if is_unknown or member.health.is_due(now):
                self._probe(member)
            else:
                member.pool.look()

    async def close(self) -> None:
        """Close idle connections and end background work; lent connections are closed when they come back."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for member in self._members:
            await member.pool.close()

    def _in_order(self) -> Iterator[Member]:
        """The servers to try, in order: those that are up, then the one of the others whose wait ends first."""
        tried = []
        for member in self._liked():
            if member.health.is_up:
                tried.append(member)
                yield member
        left = [member for member in self._members if member not in tried]
        if left:
            yield min(left, key=lambda member: member.health.retry_at)

    def _liked(self) -> list[Member]:
        """All servers in the order of the settings; if the load is spread, each one is first in turn."""
        if not self._is_spread:
            return self._members
        self._turn = (self._turn + 1) % len(self._members)
        return self._members[self._turn :] + self._members[: self._turn]

    async def _acquire_from(
        self, member: Member, client: ClientIdentity, source: Source, *, is_fresh: bool, is_modest: bool = False
    ) -> Connection:
        try:
            connection = await member.pool.acquire(client, source, is_fresh=is_fresh, is_modest=is_modest)
        except Unreachable as error:
            self._failed(member, error)
            raise
        if not (member.health.is_up or connection.is_reused):
            self._succeeded(member)
        return connection

    def _may_have(self, connection: Connection, needs: Needs) -> bool:
        """Whether an envelope may go to this server: not if another could take it and this one cannot.

        What no server offers is passed on all the same: then the refusal that the client gets is true.
        """
        if needs is NO_NEEDS or needs.are_met_by(connection.capabilities):
            return True
        offers = [member.pool.capabilities for member in self._members]
        return not any(needs.are_met_by(offered) for offered in offers if offered is not None)

    def _failed(self, member: Member, error: Unavailable) -> None:
        self._down += member.failed(error, self._clock(), self._random, self._log)

    def _succeeded(self, member: Member) -> None:
        self._down -= member.succeeded(self._clock(), self._log)

    def _probe_due(self) -> None:
        """Check in the background the servers whose wait is over, so that no client waits for one that is down."""
        now = self._clock()
        for member in self._members:
            if member.health.is_due(now):
                self._probe(member)

    def _probe(self, member: Member) -> asyncio.Task[None]:
        """The task that checks this server: the one that runs, or a new one."""
        if member.probe is None:
            member.probe = self._spawn(self._reach(member))
        return member.probe

    async def _renew(self, member: Member) -> None:
        if member.probe is not None:
            await asyncio.wait([member.probe])  # a check that runs already may get an answer that is out of date
        member.pool.renew()
        await asyncio.wait([self._probe(member)])

    async def _reach(self, member: Member) -> None:
        try:
            await member.pool.reach()
        except Unreachable as error:
            self._failed(member, error)
        except Unavailable:
            pass  # all connections are in use, or the gate shuts down: that tells nothing
        else:
            self._succeeded(member)
        finally:
            member.probe = None

    async def _ask(self) -> None:
        try:
            now = self._clock()
            asked = [one for one in self._members if one.health.is_up or one.health.is_due(now)]
            asking = {self._probe(member) for member in asked}
            if asking:
                _, asking = await asyncio.wait(asking, timeout=_FIRST_ANSWERS_SECONDS)
            while asking and self.capabilities is None:
                _, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._learning = None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

"""Who may be connected over HTTP: how many in all, how many from one network, and who must make room.

There are two crowds: strangers, and known clients (our proxies, and gates of receivers). Each has its own room, so no
number of strangers can shut out a gate. If a crowd is full, or has too many from one network, then the connection that
has waited longest without a whole request is closed to make room: silence costs nothing, so it must not keep a place. A
connection whose request is being answered is never closed. So newcomers are refused only if all others are working.

A proxy speaks for others. While it brings a client's request, its connection counts as that client's.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pennyred.days import DAY_SECONDS
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.networks import Network, parse_source

Networks = Sequence[Network]

GUEST = "guest"
"""The key of a request's scope state under which its connection is found."""
CROWDS = 2
"""How many crowds there are: strangers, and known clients."""
KNOWN_TIMES = 4
"""How many times as many connections as a stranger's network a known one may have: a gate's workers need several each.
"""
VOUCHED_SECONDS = DAY_SECONDS
"""How long a network stays known after a receiver's token came from it."""
VOUCHED_MAX = 1000
LOG_PAUSE_SECONDS = 60.0


class Counts(Protocol):
    """Counts connections: of all workers together, in shared memory, or of one worker (`LocalCounts`)."""

    @property
    def connections(self) -> int: ...  # noqa: D102
    def network(self, name: bytes) -> tuple[int, int]: ...  # noqa: D102
    def enter(self, network: int) -> int: ...  # noqa: D102
    def leave(self, ticket: int) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections all workers together may have, for each of the `CROWDS`."""

    connections_max: int = 500
    per_network_max: int = 50
    """From one IPv4 address or IPv6 /64. Proxies and listed receivers have no such limit."""


class Guest:
    """A connection, from its acceptance to its end. `end` closes it at once."""

    __slots__ = (
        "_guests",
        "_speaks",
        "_ticket",
        "address",
        "closed",
        "crowd",
        "end",
        "is_gone",
        "is_waiting",
        "network",
    )

    def __init__(self, guests: "Guests", address: str) -> None:
        self._guests = guests
        self._speaks = False
        """Whether it counts as another client now, for whom it speaks."""
        self._ticket = 0
        self.address = address
        self.network = b""
        self.crowd: Crowd | None = None
        self.is_waiting = True
        """Whether we wait for the rest of its request, or for the next one."""
        self.is_gone = False
        """Whether the client hung up, or the connection was closed to make room."""
        self.end: Callable[[], object] = _nothing
        self.closed: Callable[[], object] = _nothing
        """Called when its connection is closed."""

    @property
    def is_known(self) -> bool:
        """Whether it is one of our proxies or a gate, not a stranger."""
        return self.crowd is not None and self.crowd.is_of_known

    def waits(self) -> None:
        """Note that there is nothing to do for it until it sends more."""
        if not self.is_waiting:
            self.is_waiting = True
            if self.crowd is not None:
                self.crowd.note_waiting(self)

    def works(self) -> None:
        """Note that it has sent a whole request, which is not answered yet."""
        if self.is_waiting:
            self.is_waiting = False
            if self.crowd is not None:
                self.crowd.note_working(self)

    def speaks_for(self, address: str) -> bool:
        """Count as the client at `address`, whose request this proxy brings; False if that client has too many."""
        self._speaks = self._guests.place(self, address)
        return self._speaks

    def speaks_for_itself(self) -> None:
        """Note that the other client's request is answered: count as itself again."""
        if self._speaks:
            self._speaks = False
            self._guests.place(self, self.address)

    def vouch(self, address: str) -> None:
        """Note that a request from `address` has a receiver's token: that network is known from now on."""
        self._guests.vouch(self, address)

    def leave(self) -> None:
        """Note that the connection has ended, and free its place."""
        self.is_gone = True
        if self.crowd is not None:
            self.crowd.leave(self, self._ticket)
            self.crowd = None

    def seat(self, crowd: "Crowd", network: bytes, ticket: int) -> None:
        """Count as one of this crowd, and no longer as one of the crowd before."""
        if self.crowd is not None:
            self.crowd.leave(self, self._ticket)
        self.crowd, self.network, self._ticket = crowd, network, ticket
        if self.is_waiting:
            crowd.note_waiting(self)


class Crowd:
    """One of the two crowds, strangers or known clients, as this worker sees it."""

    def __init__(
        self, counts: Counts, connections_max: int, per_network_max: int, *, is_of_known: bool = False
    ) -> None:
        self.is_of_known = is_of_known
        self._counts = counts
        self._connections_max = connections_max
        self._per_network_max = per_network_max
        self._waiting: OrderedDict[Guest, None] = OrderedDict()
        """Connections that wait; the one that has waited longest comes first."""
        self._waiting_of: dict[bytes, OrderedDict[Guest, None]] = {}
        self.let_go = 0

    def enter(self, guest: Guest, network: bytes, *, is_counted: bool) -> bool:
        """Give a guest a place, and close others for it if needed; False if there is none to close."""
        key = 0
        if is_counted:
            key, count = self._counts.network(network)
            if count >= self._per_network_max and not self._let_go(self._waiting_of.get(network, ()), guest):
                return False
        if self._counts.connections >= self._connections_max and not self._let_go(self._waiting, guest):
            return False
        guest.seat(self, network, self._counts.enter(key))
        return True

    def leave(self, guest: Guest, ticket: int) -> None:
        """Free the place of a guest that has gone or now counts as somebody else."""
        self._counts.leave(ticket)
        self.note_working(guest)

    def note_waiting(self, guest: Guest) -> None:
        """Note that a guest waits from now on."""
        self._waiting[guest] = None
        self._waiting_of.setdefault(guest.network, OrderedDict())[guest] = None

    def note_working(self, guest: Guest) -> None:
        """Note that a guest does not wait any more."""
        if self._waiting.pop(guest, self) is self:
            return
        of_one = self._waiting_of[guest.network]
        del of_one[guest]
        if not of_one:
            del self._waiting_of[guest.network]

    def _let_go(self, waiting: Iterable[Guest], newcomer: Guest) -> bool:
        """Close the guest that has waited longest among these; True if that makes a place.

        If it is the newcomer itself, nothing is closed: it only changes its own place.
        """
        oldest = next(iter(waiting), None)
        if oldest is None or oldest is newcomer:
            return oldest is newcomer
        self.let_go += 1
        oldest.leave()  # frees its place at once
        oldest.end()
        return True


class Guests:
    """All connections of one worker, and the rule who gets a place."""

    def __init__(
        self,
        room: Room,
        strangers: Counts,
        known: Counts,
        *,
        proxies: Networks = (),
        receivers: Networks = (),
        log: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._strangers = Crowd(strangers, room.connections_max, room.per_network_max)
        self._known = Crowd(known, room.connections_max, KNOWN_TIMES * room.per_network_max, is_of_known=True)
        self._proxies = proxies
        self._receivers = receivers
        self._vouched: OrderedDict[bytes, float] = OrderedDict()
        """Until when each vouched network is known, by `clock`."""
        self._clock = clock
        self._log = log
        self._turned_away = 0
        self._quiet_until = float("-inf")

    def admit(self, address: str) -> Guest | None:
        """Give a newcomer at `address` a place; None if there is none."""
        guest = Guest(self, address)
        before = self._strangers.let_go + self._known.let_go
        is_seated = self.place(guest, address)
        if not is_seated or before != self._strangers.let_go + self._known.let_go:
            self._note_crowd(address, is_seated=is_seated)
        return guest if is_seated else None

    def place(self, guest: Guest, address: str) -> bool:
        """Count a guest as one from `address`; False if there is no room, or it has gone."""
        if guest.is_gone:
            return False
        is_uncounted = _is_within(address, self._proxies) or _is_within(address, self._receivers)
        network = network_of(address)
        if is_uncounted or self._is_vouched(network):
            return self._known.enter(guest, network, is_counted=not is_uncounted)
        return self._strangers.enter(guest, network, is_counted=True)

    def vouch(self, guest: Guest, address: str) -> None:
        """Make the network of `address` known, see `Guest.vouch`."""
        network = network_of(address)
        is_new = not self._is_vouched(network)
        self._vouched[network] = self._clock() + VOUCHED_SECONDS
        self._vouched.move_to_end(network)
        while len(self._vouched) > VOUCHED_MAX:
            self._vouched.popitem(last=False)
        if is_new and guest.crowd is self._strangers:
            self.place(guest, address)

    def _is_vouched(self, network: bytes) -> bool:
        until = self._vouched.get(network)
        return until is not None and self._clock() < until

    def _note_crowd(self, address: str, *, is_seated: bool) -> None:
        """Log that there are too many connections, once a minute at most, as it may happen very often."""
        self._turned_away += not is_seated
        now = self._clock()
        if self._log is not None and now >= self._quiet_until:
            self._quiet_until = now + LOG_PAUSE_SECONDS
            let_go = self._strangers.let_go + self._known.let_go
            self._log.warning("http.crowded", client=address, refused=self._turned_away, let_go=let_go)
            self._turned_away = self._strangers.let_go = self._known.let_go = 0


class LocalCounts:
    """`Counts` for a single process."""

    def __init__(self) -> None:
        self.connections = 0
        self._networks: dict[int, int] = {}

    def network(self, name: bytes) -> tuple[int, int]:
        """The key of a network, to `enter` with, and how many connections it has."""
        key = int.from_bytes(b"\1" + name)
        return key, self._networks.get(key, 0)

    def enter(self, network: int) -> int:
        """Count one connection of a network (0: of none); returns the ticket to `leave` with."""
        self.connections += 1
        if network:
            self._networks[network] = self._networks.get(network, 0) + 1
        return network

    def leave(self, ticket: int) -> None:
        """Stop counting one connection."""
        self.connections -= 1
        if ticket:
            self._networks[ticket] -= 1
            if not self._networks[ticket]:
                del self._networks[ticket]


def network_of(address: str) -> bytes:
    """The network an address is counted under: IPv4 by address, IPv6 by /64. Everything that is no address is one."""
    try:
        found = parse_source(address)
    except MalformedAddress:
        return b"?"
    return found.packed if found.version == 4 else found.packed[:8]


def _is_within(address: str, networks: Networks) -> bool:
    if not networks:
        return False
    try:
        found = parse_source(address)
    except MalformedAddress:
        return False
    return any(found in network for network in networks)


def _nothing() -> None:
    """Do nothing: the first `end` and `closed` of a guest whose connection is not made yet."""

"""Who may come in: connections in all and of one network (`gate.smtp.sources`), bad stamps of one source.

The wider network of an IPv6 client has a limit as well, of four times as many. Addresses cannot be forged: there is a
TCP connection, or the word of a trusted front.
"""

from typing import Any, Protocol

from pennyred.gate.door.tally import WorkerTally
from pennyred.gate.smtp.sources import Networks, is_within, network_of, wider_network_of

Ticket = tuple[int, int]
"""Where a client is counted."""
_LOG_PAUSE_SECONDS = 60.0
_WIDER = 4
"""Times as many connections as a network a /48 may have."""


class Limits(Protocol):
    """What an admission goes by."""

    @property
    def connections_max(self) -> int: ...  # noqa: D102
    @property
    def connections_per_network_max(self) -> int: ...  # noqa: D102
    @property
    def uncounted_networks(self) -> Networks: ...  # noqa: D102


class Admission:
    """The doorkeeper of one worker."""

    def __init__(self, tally: WorkerTally, log: Any) -> None:
        self._tally = tally
        self._log = log
        self._refused = 0
        self._log_after = 0.0

    def is_full(self, limits: Limits) -> bool:
        """Whether there is no room for anybody."""
        return self._tally.connections >= limits.connections_max

    def enter(self, address: str, limits: Limits, *, is_trusted: bool) -> Ticket | None:
        """Count a client in and return what `leave` is to be told; None: its network has too many connections.

        Fronts speak for the whole world and are not counted by network.
        """
        if is_trusted:
            return self._tally.enter(0), 0
        network, count = self._tally.network(network_of(address))
        wider, wider_count = self._tally.network(name) if (name := wider_network_of(address)) else (0, 0)
        limit = limits.connections_per_network_max
        # Whether it is one of those that are not counted is only asked of those it would make a difference to.
        if count < limit and wider_count < _WIDER * limit:
            return self._tally.enter(network), self._tally.count(wider)
        return (self._tally.enter(0), 0) if is_within(address, limits.uncounted_networks) else None

    def leave(self, ticket: Ticket) -> None:
        """A client that was let in has gone."""
        place, wider_place = ticket
        self._tally.leave(place)
        self._tally.uncount(wider_place)

    def note_refusal(self, reply: bytes, address: str, now: float) -> None:
        """Write down that clients are turned away; once a minute, as they may be very many."""
        self._refused += 1
        if now >= self._log_after:
            self._log.warning("smtp.crowded", reply=reply.decode().rstrip(), client=address, refused=self._refused)
            self._refused = 0
            self._log_after = now + _LOG_PAUSE_SECONDS


class CountedBadStamps:
    """Bad stamps by network and account, of all workers. Implements `gate.judging.bad_stamps.BadStamps`."""

    def __init__(self, tally: WorkerTally) -> None:
        self._tally = tally

    def count(self, source: str, account: str) -> int:
        """See `BadStamps.count`."""
        return self._tally.bad_stamps(_name(source, account))

    def add(self, source: str, account: str, stamps: int) -> None:
        """See `BadStamps.add`."""
        self._tally.add_bad_stamps(_name(source, account), stamps)


def _name(source: str, account: str) -> bytes:
    return network_of(source) + b" " + account.encode()

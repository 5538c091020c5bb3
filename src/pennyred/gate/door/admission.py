"""Who may come in: connections in all and of one network (`gate.smtp.sources`), bad stamps of one source.

The wider network of an IPv6 client has a limit too: four times as many connections. An address cannot be forged here:
either it has completed a TCP connection, or a trusted front has named it.
"""

from typing import Any, Protocol

from pennyred.gate.door.tally import WorkerTally
from pennyred.gate.smtp.sources import Networks, is_within, network_of, wider_network_of

Ticket = tuple[int, int]
"""Where a client is counted: its place in the table of networks, and the place of its wider network (0: nowhere)."""
_LOG_PAUSE_SECONDS = 60.0
_WIDER = 4
"""A /48 may have this many times the connections of a single network."""


class Limits(Protocol):
    """The settings that an `Admission` reads at each decision, so that new settings count at once."""

    @property
    def connections_max(self) -> int: ...  # noqa: D102
    @property
    def connections_per_network_max(self) -> int: ...  # noqa: D102
    @property
    def uncounted_networks(self) -> Networks: ...  # noqa: D102


class Admission:
    """Decides for one worker whether a client may come in; all workers count together in the tally."""

    def __init__(self, tally: WorkerTally, log: Any) -> None:
        self._tally = tally
        self._log = log
        self._refused = 0
        self._log_after = 0.0

    def is_full(self, limits: Limits) -> bool:
        """Whether all workers together have `connections_max` connections, so that nobody may come in."""
        return self._tally.connections >= limits.connections_max

    def enter(self, address: str, limits: Limits, *, is_trusted: bool) -> Ticket | None:
        """Count a client in. Returns the ticket for `leave`, or None if its network has too many connections.

        A trusted front is not counted by network, because it speaks for clients of all networks.
        """
        if is_trusted:
            return self._tally.enter(0), 0
        network, count = self._tally.network(network_of(address))
        wider, wider_count = self._tally.network(name) if (name := wider_network_of(address)) else (0, 0)
        limit = limits.connections_per_network_max
        # The list of uncounted networks is searched only for a client that would be refused without it.
        if count < limit and wider_count < _WIDER * limit:
            return self._tally.enter(network), self._tally.count(wider)
        return (self._tally.enter(0), 0) if is_within(address, limits.uncounted_networks) else None

    def leave(self, ticket: Ticket) -> None:
        """Uncount a client that was let in and has gone."""
        place, wider_place = ticket
        self._tally.leave(place)
        self._tally.uncount(wider_place)

    def note_refusal(self, reply: bytes, address: str, now: float) -> None:
        """Log that clients are turned away, at most once a minute: there may be very many of them."""
        self._refused += 1
        if now >= self._log_after:
            self._log.warning("smtp.crowded", reply=reply.decode().rstrip(), client=address, refused=self._refused)
            self._refused = 0
            self._log_after = now + _LOG_PAUSE_SECONDS


class CountedBadStamps:
    """Counts bad stamps by network and account, for all workers (implements `gate.judging.bad_stamps.BadStamps`)."""

    def __init__(self, tally: WorkerTally) -> None:
        self._tally = tally

    def count(self, source: str, account: str) -> int:
        """How many bad stamps this source has brought of this account in this minute."""
        return self._tally.bad_stamps(_name(source, account))

    def add(self, source: str, account: str, stamps: int) -> None:
        """Count so many bad stamps of this account from this source."""
        self._tally.add_bad_stamps(_name(source, account), stamps)


def _name(source: str, account: str) -> bytes:
    return network_of(source) + b" " + account.encode()

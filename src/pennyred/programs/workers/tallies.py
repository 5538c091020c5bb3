"""Counts that all workers keep together in shared memory; they are made before the workers are forked."""

from dataclasses import dataclass, fields

from pennyred.config import Settings
from pennyred.gate.door.tally import Tally, WorkerTally


@dataclass(frozen=True, slots=True)
class Tallies:
    """All tallies of one program."""

    gate: Tally
    outgoing: Tally
    """Connections to the door of `[gate.outgoing]`."""
    strangers: Tally
    """Connections of strangers to the office's API."""
    known: Tally
    """Connections of known clients to the office's API: proxies and gates."""
    asked: Tally
    """How often strangers have asked the office's API for something in this minute."""
    questions: Tally
    """How often strangers have made the gate ask the DNS in this minute."""

    @classmethod
    def of(cls, settings: Settings, count: int) -> "Tallies":
        """The tallies for so many workers, from the settings."""
        at_gate = settings.gate.max_connections if settings.gate else 1
        at_outgoing = at_gate if settings.gate and settings.gate.outgoing else 1
        at_office = settings.office.max_connections if settings.office else 1
        return cls(*(Tally(count, names) for names in (at_gate, at_outgoing, at_office, at_office, 1, 1)))

    def clear(self, worker: int) -> None:
        """Clear the counts of a worker that has died."""
        for field in fields(self):
            getattr(self, field.name).clear(worker)


class SharedMinute:
    """Counts by name in the present minute, for all workers. `purpose` keeps apart counts that share one tally."""

    def __init__(self, tally: WorkerTally, purpose: bytes = b"") -> None:
        self._tally = tally
        self._purpose = purpose

    def taken(self, name: bytes) -> int:
        """How often this name was counted in this minute."""
        return self._tally.bad_stamps(self._purpose + name)

    def take(self, name: bytes) -> None:
        """Count this name once more."""
        self._tally.add_bad_stamps(self._purpose + name, 1)

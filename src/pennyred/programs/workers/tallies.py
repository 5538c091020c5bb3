"""What is counted of all workers together, in memory that they share: made before they are forked."""

from dataclasses import dataclass, fields

from pennyred.config import Settings
from pennyred.gate.door.tally import Tally, WorkerTally


@dataclass(frozen=True, slots=True)
class Tallies:
    """All of one program."""

    gate: Tally
    outgoing: Tally
    """Of `[gate.outgoing]`."""
    strangers: Tally
    """Of the office's API."""
    known: Tally
    """Of it, too: proxies and gates."""
    asked: Tally
    """What strangers may ask it for so often a minute."""
    questions: Tally
    """What strangers may have DNS asked for so often a minute."""

    @classmethod
    def of(cls, settings: Settings, count: int) -> "Tallies":
        """For so many workers."""
        at_gate = settings.gate.max_connections if settings.gate else 1
        at_outgoing = at_gate if settings.gate and settings.gate.outgoing else 1
        at_office = settings.office.max_connections if settings.office else 1
        return cls(*(Tally(count, names) for names in (at_gate, at_outgoing, at_office, at_office, 1, 1)))

    def clear(self, worker: int) -> None:
        """Forget a worker that has died."""
        for field in fields(self):
            getattr(self, field.name).clear(worker)


class SharedMinute:
    """What is asked for in this minute, of all workers together, by name; a purpose keeps apart what one tally has."""

    def __init__(self, tally: WorkerTally, purpose: bytes = b"") -> None:
        self._tally = tally
        self._purpose = purpose

    def taken(self, name: bytes) -> int:
        """How often by that name."""
        return self._tally.bad_stamps(self._purpose + name)

    def take(self, name: bytes) -> None:
        """Once more."""
        self._tally.add_bad_stamps(self._purpose + name, 1)

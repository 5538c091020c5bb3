"""What is counted of all workers together, in memory that they share: made before they are forked."""

from dataclasses import dataclass

from pennyred.config import Settings
from pennyred.smtp.tally import Tally


@dataclass(frozen=True, slots=True)
class Tallies:
    """All of one program."""

    gate: Tally
    strangers: Tally
    """Of the office's API."""
    known: Tally
    """Of it, too: proxies and gates."""
    asked: Tally
    """What strangers may ask it for so often a minute."""

    @classmethod
    def of(cls, settings: Settings, count: int) -> "Tallies":
        """For so many workers."""
        at_gate = settings.gate.max_connections if settings.gate else 1
        at_office = settings.office.max_connections if settings.office else 1
        return cls(Tally(count, at_gate), Tally(count, at_office), Tally(count, at_office), Tally(count, 1))

    def clear(self, worker: int) -> None:
        """Forget a worker that has died."""
        for tally in (self.gate, self.strangers, self.known, self.asked):
            tally.clear(worker)

"""One row of the table of paths: what a stamped letter went through, and what became of its stamp."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.wire.paths.letters import PLAIN

Alter = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Path:
    """A path; `name` is what the page calls it."""

    name: str
    reason: str
    """What the gate says."""
    altered: str = ""
    """What arrives otherwise than it was stamped: names of fields, and `body`."""
    instead: str = ""
    """What a sender is to do, where the stamp is void."""
    letter: bytes = PLAIN
    options: tuple[str, ...] = ()
    """Of `pennyred stamp`."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the program on the way, in its own words."""
    alter: Alter | None = None
    """What an imitated one does with a letter."""
    source: str = ""
    """Where it is written that it does so; empty: the program itself was run."""

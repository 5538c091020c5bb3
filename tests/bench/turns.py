"""Turns: A B C A B C ..., so that whatever else the machine does at the time slows all alike."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .contestants import CONTESTANTS, Contestant, Gate
from .letters import LetterMaker, stamped_by
from .load import Load, Sent, send
from .processes import tree_cpu_ms
from .sink import Sink

WARM_UP_LETTERS = 50
_WARM_UP_SECONDS = 10
_ARRIVAL_SECONDS = 60


class Lost(Exception):  # noqa: N818 - what became of a letter
    """A letter was answered with yes and did not arrive, or was not paid: no figure means anything then."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One contestant's, of one load."""

    contestant: str
    load: Load
    sent: Sent
    cpu_ms: float
    """What the contestant's processes took in all, the generator and the sink not counted."""
    sink_cpu_ms: float

    @property
    def cpu_ms_per_letter(self) -> float:
        """Of the contestant."""
        return self.cpu_ms / self.sent.letters


@dataclass
class Field:
    """Everybody who takes part, started, with the sink behind them and stamped letters at hand."""

    sink: Sink
    contestants: list[Contestant]
    left_out: dict[str, str]
    """Name, and why."""
    make_letters: LetterMaker

    def turn(self, contestant: Contestant, letters: Sequence[bytes], load: Load, seconds: float) -> Turn:
        """Let one send; raises Lost."""
        arrived = self.sink.letters
        cpu, sink_cpu = contestant.cpu_ms(), tree_cpu_ms(self.sink.pid)
        sent = send(contestant.port, letters, load, seconds)
        sent = replace(sent, seconds=sent.seconds + self._wait_for(arrived + sent.letters))
        cpu, sink_cpu = contestant.cpu_ms() - cpu, tree_cpu_ms(self.sink.pid) - sink_cpu
        arrived = self.sink.letters - arrived
        contestant.letters += arrived
        if arrived != sent.letters:
            raise Lost(f"{contestant.name}: {sent.letters} letters were accepted and {arrived} arrived")
        return Turn(contestant.name, load, sent, cpu, sink_cpu)

    def _wait_for(self, letters: int) -> float:
        """Who queues has answered before the letter arrives. Seconds waited, a minute at most."""
        begun = time.perf_counter()
        while self.sink.letters < letters and time.perf_counter() < begun + _ARRIVAL_SECONDS:
            time.sleep(0.005)
        return time.perf_counter() - begun

    def check_books(self) -> None:
        """Each letter that came through a gate has been paid, once; raises Lost."""
        for gate in self.contestants:
            if (settled := gate.settled()) is not None and settled != gate.letters:
                raise Lost(f"{gate.name}: {gate.letters} letters came through and {settled} were paid")

    def round(self, load: Load, count: int, seconds: float, done: Callable[[], None]) -> Iterator[Turn]:
        """A turn for each, all with the same letters, if they can: each contestant sees a letter for the first time."""
        letters = self.make_letters(count, load.kib)
        for contestant in self.contestants:
            yield self.turn(contestant, contestant.make_letters(count, load.kib) or letters, load, seconds)
            done()

    def warm_up(self, load: Load) -> None:
        """What is only slow the first time is not counted."""
        for contestant in self.contestants:
            self.turn(contestant, self.letters_for(contestant, WARM_UP_LETTERS, load.kib), load, _WARM_UP_SECONDS)

    def letters_for(self, contestant: Contestant, count: int, kib: int) -> list[bytes]:
        """Letters that this contestant takes and has not seen."""
        return contestant.make_letters(count, kib) or self.make_letters(count, kib)


@contextlib.contextmanager
def field(
    folder: Path, wanted: Sequence[type[Contestant]] = CONTESTANTS, *, is_chunking: bool = False
) -> Iterator[Field]:
    """Start them all; those whose program is not here are left out, the gate never. At the end the books are checked."""
    with contextlib.ExitStack() as parts:
        sink = parts.enter_context(Sink(folder, is_chunking=is_chunking))
        started: list[Contestant] = []
        left_out: dict[str, str] = {}
        for kind in wanted:
            if why := kind.missing():
                left_out[kind.name] = why
                continue
            one = kind(folder, sink.port)
            parts.callback(one.stop)
            one.start()
            started.append(one)
        [wallet] = [one.wallet() for one in started if isinstance(one, Gate)]
        everybody = Field(sink, started, left_out, stamped_by(wallet))
        yield everybody
        everybody.check_books()
        everybody.check_books()

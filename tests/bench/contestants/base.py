"""What every contestant is."""

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from tests.bench.processes import tree_cpu_ms


class Contestant(ABC):
    """Stands between the load generator and the sink. `start`, then `port` and `cpu_ms`, then `stop`."""

    name: ClassVar[str]
    what: ClassVar[str]
    """In a sentence, for the reader of the table."""

    port: int

    def __init__(self, folder: Path, sink_port: int) -> None:
        self.folder = folder / type(self).__name__
        self.sink_port = sink_port
        self.letters = 0
        """That have come through it so far."""

    @classmethod
    def missing(cls) -> str:
        """What it would need to take part here, in words; "" where it can."""
        return ""

    @abstractmethod
    def start(self) -> None:
        """Until it listens on `port`. Raises RuntimeError where it does not come up."""

    @abstractmethod
    def stop(self) -> None:
        """End everything that `start` began; does no harm where that failed half-way."""

    @abstractmethod
    def processes(self) -> tuple[int, ...]:
        """The ids at the roots of its process trees."""

    def make_letters(self, count: int, kib: int) -> list[bytes] | None:
        """So many letters of so many KiB that only it takes; None where it takes those of everybody."""
        return None

    def settled(self) -> int | None:
        """Stamps settled so far; None where nothing is paid."""
        return None

    def cpu_ms(self) -> float:
        """What it has taken of the machine since it began."""
        return tree_cpu_ms(*self.processes())


def end(process: "subprocess.Popen[bytes]", *, by_itself: bool = False) -> None:
    """Ask it to stop, the leader of a session of its own (unless it ends by itself); half a minute later it is killed
    with all that is in it.
    """
    if not by_itself:
        process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

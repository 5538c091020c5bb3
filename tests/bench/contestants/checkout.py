"""The gate of another checkout, by the same Python and the same libraries: what a change has cost or brought."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from .base import Contestant, end

_HOST = Path(__file__).with_name("checkout_host.py")


class Checkout(Contestant):
    """Its letters are its own, as another checkout may make other stamps; `at` says which it is."""

    name: ClassVar[str] = "against"
    what: ClassVar[str] = "the gate of another checkout, 2 workers: stamps verified, held and settled durably"
    path: ClassVar[Path]

    @classmethod
    def at(cls, path: Path) -> "type[Checkout]":
        """The contestant whose code is in the folder `path`."""
        return type(cls.__name__, (cls,), {"path": path.resolve()})

    def start(self) -> None:
        self.folder.mkdir()
        paths = os.pathsep.join([str(self.path / "src"), str(self.path)])
        log = self.folder / "log"
        with log.open("wb") as errors:
            self._host = subprocess.Popen(
                [sys.executable, "-P", str(_HOST), str(self.folder), str(self.sink_port)],
                cwd=self.path,
                env=os.environ | {"PYTHONPATH": paths},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        try:
            self.port, self._processes = self._hear()
        except ValueError as error:
            raise RuntimeError(f"the gate of {self.path} does not start: {log.read_text()}") from error

    def stop(self) -> None:
        if hasattr(self, "_host"):
            assert self._host.stdin is not None
            self._host.stdin.close()  # then it ends its gate
            end(self._host, by_itself=True)

    def processes(self) -> tuple[int, ...]:
        return tuple(self._processes)

    def make_letters(self, count: int, kib: int) -> list[bytes]:
        """Stamped as that checkout stamps them."""
        letters: list[bytes] = self._ask(f"{count} {kib}")
        return letters

    def settled(self) -> int:
        """Stamps settled so far, by its own audit."""
        return int(self._ask("settled"))

    def _ask(self, what: str) -> Any:
        assert self._host.stdin is not None
        self._host.stdin.write(f"{what}\n".encode())
        self._host.stdin.flush()
        return self._hear()

    def _hear(self) -> Any:
        assert self._host.stdout is not None
        octets = int(self._host.stdout.readline())
        return msgspec.msgpack.decode(self._host.stdout.read(octets))

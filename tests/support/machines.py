"""Ten machines on one: processes with their own addresses on loopback, set up by the files in config/many.

`10.0.0.x` of the files is `127.a.b.x` here, with a and b of the test's own, so that every port may stay as it is. What a
machine runs is killed with it.
"""

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import asyncpg

from tests.support.other_user import USER as OTHER_USER
from tests.support.other_user import as_other_user, open_folder

CONFIG = Path(__file__).parents[2] / "config/many"
WAIT_SECONDS = 120.0
SUPERUSER, USER = "change-this-one", "change-this-three"


class Machines:
    """Ends all of them at the end."""

    def __init__(self) -> None:
        self.folder = open_folder("pennyred-machines-")  # pytest's own is for root alone
        self.network = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        self._running: dict[int, list[subprocess.Popen]] = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for host in list(self._running):
            self.kill(host)
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self, host: int) -> str:
        return f"{self.network}.{host}"

    def recipe(self, name: str, host: int | None = None, **changes: str) -> str:
        """A file of config/many, as it is for this host; every change must find its place."""
        text = (CONFIG / name).read_text()
        for before, after in changes.values() if changes else ():
            assert before in text, (name, before)
            text = text.replace(before, after)
        return re.sub(r"10\.0\.0\.", f"{self.network}.", text)

    def home(self, host: int) -> Path:
        """A folder that the processes of that machine may write to."""
        home = self.folder / f"host{host}"
        if not home.exists():
            home.mkdir()
            home.chmod(0o755)
            if os.geteuid() == 0:
                shutil.chown(home, OTHER_USER)
        return home

    def run(
        self, host: int, *command: object, environment: dict[str, str] | None = None, is_root: bool = False
    ) -> None:
        """Start something there."""
        owner = () if is_root else as_other_user()
        with (self.folder / f"host{host}.log").open("ab") as log:
            started = subprocess.Popen(
                [*owner, *map(str, command)], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                env=os.environ | {"HOME": str(self.home(host))} | (environment or {}), start_new_session=True,
            )  # fmt: skip
        self._running.setdefault(host, []).append(started)

    def kill(self, host: int) -> None:
        """Its plug is pulled: SIGKILL to everything there, whatever it has started."""
        for one in self._running.pop(host, []):
            _end_tree(one.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()
        for pid in _with_home(self.home(host)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze(self, host: int) -> None:
        """Its cable is pulled: whatever it runs neither hears nor says anything."""
        for pid in _with_home(self.home(host)):
            os.kill(pid, signal.SIGSTOP)

    def thaw(self, host: int) -> None:
        for pid in _with_home(self.home(host)):
            os.kill(pid, signal.SIGCONT)

    # What runs where.

    def start_etcd(self, host: int, name: str) -> None:
        """By /etc/default/etcd, as the service of the package does."""
        text = (CONFIG / "etcd").read_text()
        head, tail = text.split("ETCD_INITIAL_CLUSTER=", 1)
        head = head.replace("ETCD_NAME=db1", f"ETCD_NAME={name}").replace("10.0.0.11", f"10.0.0.{host}")
        text = (head + "ETCD_INITIAL_CLUSTER=" + tail).replace("/var/lib/etcd", f"{self.home(host)}/etcd")
        lines = [line for line in text.replace("10.0.0.", f"{self.network}.").splitlines() if not line.startswith("#")]
        self.run(host, "etcd", environment=dict(line.split("=", 1) for line in lines))

    def start_patroni(self, host: int, name: str) -> None:
        home = self.home(host)
        text = self.recipe("patroni.yml").replace("name: db1", f"name: {name}")
        text = re.sub(rf"{self.network}\.11:(8008|5432)", rf"{self.network}.{host}:\1", text)
        text = text.replace(f"{self.network}.0/24", "127.0.0.0/8").replace("/var/run/postgresql", str(home))
        text = text.replace("/var/lib/postgresql/15", str(home)).replace("/var/lib/postgresql", str(home))
        (home / "patroni.yml").write_text(text)
        patroni = shutil.which("patroni")
        self.run(host, patroni, home / "patroni.yml")

    def start_haproxy(self) -> None:
        text = self.recipe("haproxy.cfg").replace(":25\n", ":2525\n", 1)
        (self.home(20) / "haproxy.cfg").write_text(text)
        self.run(20, "haproxy", "-db", "-f", self.home(20) / "haproxy.cfg")

    def start_pennyred(self, host: int) -> None:
        self.run(
            host, sys.executable, "-m", "pennyred", "--config", self.home(host) / "pennyred.toml", "serve", is_root=True
        )

    def database(self, name: str, user: str = "pennyred", password: str = USER) -> str:
        return f"postgresql://{user}:{password}@{self.address(20)}/{name}"

    def execute(self, *statements: str) -> None:
        """As the superuser, at the primary."""

        async def work() -> None:
            connection = await asyncpg.connect(self.database("postgres", "postgres", SUPERUSER), timeout=5)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(work())

    def role(self, host: int) -> str:
        """What Patroni says it is: primary, sync, or nothing."""
        for role in ("primary", "sync"):
            try:
                with urllib.request.urlopen(f"http://{self.address(host)}:8008/{role}", timeout=2) as answer:
                    if answer.status == 200:
                        return role
            except (OSError, urllib.error.HTTPError):
                continue
        return ""

    def wait_for(self, what: str, wanted: Callable[[], object]) -> None:
        """Ask until it is so."""
        ends = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                if wanted():
                    return
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                pass
            assert time.monotonic() < ends, f"{what}: not within {WAIT_SECONDS:g} s\n{self.logs()}"
            time.sleep(0.2)

    def logs(self) -> str:
        """The last words of each machine."""
        return "\n".join(
            f"== {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            for log in sorted(self.folder.glob("host*.log"))
        )


def _with_home(home: Path) -> list[int]:
    """The processes of a machine: those that have its folder for a home."""
    mark = f"HOME={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def _end_tree(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)

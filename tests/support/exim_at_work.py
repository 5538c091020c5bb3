"""Debian's real Exim in a tree of its own, with a configuration of the test's: it takes everybody's mail for everybody."""

import contextlib
import socket
import threading
import time

from tests.support.chroots import Chroot
from tests.support.real_postfix import free_port

_CONFIGURATION = """\
primary_hostname = mx.example.org
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = /var/spool/exim4
daemon_smtp_ports = {port}
local_interfaces = <; 127.0.0.1 ; ::1
tls_advertise_hosts =
helo_accept_junk_hosts = *
smtp_accept_max_nonmail = 1000
acl_smtp_rcpt = at_rcpt
acl_smtp_data = at_data
keep_environment =
allow_utf8_domains = true
{main}
begin acl
at_rcpt:
{at_rcpt}
  accept
at_data:
{at_data}
  accept
begin routers
aliases:
  driver = redirect
  domains = example.org
  data = ${{lookup{{$local_part}}lsearch{{/etc/aliases}}}}
local:
  driver = accept
  domains = example.org
  transport = local
others:
  driver = manualroute
  domains = *
  route_data = 127.0.0.1::{others}
  self = send
  transport = remote
begin transports
remote:
  driver = smtp
  allow_localhost
  {remote}
local:
  driver = appendfile
  directory = /home/bob/Maildir
  maildir_format
  user = bob
"""


class EximAtWork(Chroot):
    """One instance on `port`, loopback in both families; mail for example.org is Bob's, all other goes to `others`."""

    def __init__(
        self,
        others: int,
        *,
        main: str = "",
        at_rcpt: str = "",
        at_data: str = "",
        remote: str = "",
        aliases: str = "",
        nameserver: str = "",
    ) -> None:
        """`main`, `at_rcpt`, `at_data` and `remote` are more lines of the configuration: of its first part, of what is
        done at RCPT and DATA, and of the transport to others. `nameserver` is an address, whose port must be 53.
        """
        super().__init__("exim-heavy")
        self.port = free_port()
        self.configuration = _CONFIGURATION.format(
            port=self.port, others=others, main=main, at_rcpt=at_rcpt, at_data=at_data, remote=remote
        )
        self.aliases = aliases
        self.nameserver = nameserver
        self.syslog: list[str] = []
        """What it has told the system's log, as that would have written it."""

    def begin(self) -> None:
        """Write its files and start it."""
        self.add_user("bob")
        for folder in ("/var/spool/exim4", "/var/log/exim4", "/run/exim4"):
            self.folder_of("Debian-exim", folder, 0o750)
        self.write("/etc/aliases", self.aliases)
        self.write("/etc/exim4/exim4.conf", self.configuration)
        if self.nameserver:
            self.write("/etc/resolv.conf", f"nameserver {self.nameserver}\n")
            self.write("/etc/nsswitch.conf", "hosts: files dns\n")
        self._listen_to_syslog()
        self.start("/usr/sbin/exim4", "-bdf", "-q1m", port=self.port)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._log.close()

    def main_log(self) -> str:
        """Its own log file."""
        file = self.root / "var/log/exim4/mainlog"
        return file.read_bytes().decode("utf-8", "replace") if file.exists() else ""

    def is_idle(self) -> bool:
        """Whether no letter waits in its queue."""
        return not any((self.root / "var/spool/exim4/input").rglob("*-H"))

    def wait_until_idle(self, seconds: float = 60) -> None:
        """Wait until all is delivered."""
        end = time.monotonic() + seconds
        while not self.is_idle() and time.monotonic() < end:
            time.sleep(0.1)

    def _listen_to_syslog(self) -> None:
        (self.root / "dev/log").unlink(missing_ok=True)
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log.bind(str(self.root / "dev/log"))
        (self.root / "dev/log").chmod(0o666)
        threading.Thread(target=self._keep_syslog, name="syslog", daemon=True).start()

    def _keep_syslog(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                told = self._log.recv(65536).decode("utf-8", "replace").rstrip("\0\n")
                stamp, text = told.partition(">")[2][:16], told.partition(">")[2][16:]
                self.syslog.append(f"{stamp}mx {text}")

"""Postfix's own proxy: smtpd passes on to the sink what it is told, and checks nothing."""

from typing import ClassVar

from tests.bench.sink import wait_for_port
from tests.support.real_postfix import WHY_NOT, Postfix, free_port, is_available

from .base import Contestant

SMTPD_PROCESSES = 600
"""As many as there are ever clients, so that none waits for another: a process of smtpd serves one at a time."""
_SETTINGS = {
    "default_process_limit": str(SMTPD_PROCESSES),
    # All clients have one address here; without this anvil would slow and refuse them.
    "smtpd_client_event_limit_exceptions": "127.0.0.0/8",
}


class PostfixProxy(Contestant):
    """Debian's postfix with smtpd_proxy_filter, no chroot, nothing else switched on."""

    name: ClassVar[str] = "Postfix proxy"
    what: ClassVar[str] = "Postfix's smtpd_proxy_filter, passing through unchecked"

    @classmethod
    def missing(cls) -> str:
        return "" if is_available() else WHY_NOT

    def listener(self) -> str:
        """The options of smtpd in master.cf."""
        return f"-o smtpd_proxy_filter=127.0.0.1:{self.sink_port}"

    def settings(self) -> dict[str, str]:
        """main.cf's, beyond the common ones."""
        return {"relay_domains": "example.org"}

    def start(self) -> None:
        self.port = free_port()
        listener = f"127.0.0.1:{self.port} inet n - n - {SMTPD_PROCESSES} smtpd\n    {self.listener()}\n"
        self._postfix = Postfix(listener, _SETTINGS | self.settings(), domains="")
        self._postfix.__enter__()
        wait_for_port(self.port)

    def stop(self) -> None:
        if hasattr(self, "_postfix"):
            self._postfix.__exit__()

    def processes(self) -> tuple[int, ...]:
        return (int((self._postfix.folder / "queue/pid/master.pid").read_text()),)

"""Postfix that asks rspamd, as most do: a milter, by Debian's rules, before the letter is queued and delivered.

Only what would ask the network is off (there is none to rely on in a measurement). The letter has been delivered when
the sink has it, as with everybody; Postfix's 250 came before.
"""

import shutil
import subprocess
from typing import ClassVar

from tests.bench.sink import wait_for_port
from tests.support.real_postfix import free_port

from .postfix_proxy import PostfixProxy

PROCESSES = 2
_RSPAMD = "/usr/bin/rspamd"
_ASK_THE_NETWORK = (
    "fuzzy_check", "rspamd_update", "asn", "rbl", "spf", "dkim", "dmarc", "arc", "mx_check", "hfilter", "phishing",
    "whitelist",
)  # fmt: skip
_OVERRIDES = {
    **{f"worker-{name}.inc": "enabled = false;\n" for name in ("normal", "controller", "fuzzy")},
    **{f"{name}.conf": "enabled = false;\n" for name in _ASK_THE_NETWORK},
    # Whoever asks all the same hears at once that nobody is there.
    "options.inc": 'dns { nameserver = ["127.0.0.1:1"]; timeout = 0.05s; retransmits = 1; }\n',
    "logging.inc": 'level = "notice";\n',
}


class PostfixRspamd(PostfixProxy):
    """As many scanning processes as the gate has workers."""

    name: ClassVar[str] = "Postfix + rspamd"
    what: ClassVar[str] = (
        f"Postfix with rspamd as milter, {PROCESSES} scanning processes, default rules without network"
    )

    @classmethod
    def missing(cls) -> str:
        return PostfixProxy.missing() or ("" if shutil.which(_RSPAMD) else "needs rspamd (apt-get install rspamd)")

    def listener(self) -> str:
        return f"-o smtpd_milters=inet:127.0.0.1:{self._milter}"

    def settings(self) -> dict[str, str]:
        return {"relay_domains": "example.org", "relayhost": f"[127.0.0.1]:{self.sink_port}"}

    def start(self) -> None:
        self._milter = free_port()
        self._start_rspamd()
        super().start()

    def _start_rspamd(self) -> None:
        overrides = self.folder / "override.d"
        overrides.mkdir(parents=True)
        proxy = (
            f'bind_socket = "127.0.0.1:{self._milter}";\ncount = {PROCESSES};\n'
            'upstream "local" { default = yes; self_scan = yes; hosts = "localhost"; }\n'
        )
        for name, text in {**_OVERRIDES, "worker-proxy.inc": proxy}.items():
            (overrides / name).write_text(text)
        shutil.chown(self.folder, "_rspamd")
        folders = [f"--var={name}={self.folder}" for name in ("LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR")]
        self._rspamd = subprocess.Popen(
            [_RSPAMD, "-f", "-u", "_rspamd", "-g", "_rspamd", *folders],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self._milter, self._rspamd, is_greeting=False)  # its rules take a quarter of a minute to compile

    def stop(self) -> None:
        super().stop()
        if hasattr(self, "_rspamd"):
            self._rspamd.terminate()
            self._rspamd.wait()

    def processes(self) -> tuple[int, ...]:
        return (*super().processes(), self._rspamd.pid)

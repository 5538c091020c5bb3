"""Debian's real sendmail in a tree of its own: a relay that hands on whatever it is given, in its own spelling."""

from tests.support.chroots import Chroot
from tests.support.real_postfix import free_port

DOMAIN = "relay.sender.example"
_CONFIGURATION = """\
divert(0)dnl
OSTYPE(`debian')dnl
undefine(`confPID_FILE')dnl
undefine(`confHOST_STATUS_DIRECTORY')dnl
define(`confDOMAIN_NAME', `{domain}')dnl
define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch-nodns')dnl
define(`confDELIVERY_MODE', `interactive')dnl
define(`confTO_IDENT', `0s')dnl
define(`SMART_HOST', `esmtp:[127.0.0.1]')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {next_hop}')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`promiscuous_relay')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
DAEMON_OPTIONS(`Port={port}, Addr=127.0.0.1, Name=MTA')dnl
{more}MAILER(`local')dnl
MAILER(`smtp')dnl
"""
"""Debian's, without DNS, with the mailer that it has for all the world's servers (it cuts long lines); each letter is handed on before its sender hears that it was taken."""


class Sendmail(Chroot):
    """One instance on `port` of this machine, which gives all letters to `next_hop`, another one. `more` are macros."""

    def __init__(self, next_hop: int, more: str = "") -> None:
        super().__init__("sendmail")
        self.next_hop = next_hop
        self.more = more
        self.port = free_port()

    def begin(self) -> None:
        """Its configuration is made from Debian's by m4."""
        macros = _CONFIGURATION.format(domain=DOMAIN, next_hop=self.next_hop, port=self.port, more=self.more)
        self.write("/etc/mail/relay.mc", macros)
        self.write("/etc/mail/relay.cf", self.run("m4", "/usr/share/sendmail/cf/m4/cf.m4", "/etc/mail/relay.mc"))
        for file in ("aliases", "local-host-names"):
            self.write(f"/etc/mail/{file}", "")
        for folder in ("/var/spool/mqueue", "/var/lib/sendmail", "/var/run/sendmail"):
            self.folder_of("root", folder)
        self.start("/usr/libexec/sendmail/sendmail", "-C/etc/mail/relay.cf", "-bD", port=self.port)

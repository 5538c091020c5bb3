"""A gate and an office started as programs, a mail server behind them, a name server, and Ann, who has postage."""

import re
import smtplib
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from click.testing import CliRunner
from tests.support.dkim_keys import key_name, rsa_key, seal, sign
from tests.support.dns_server import DnsServer
from tests.support.mailserver import MailServer
from tests.support.town import Town

from pennyred.cli import main
from pennyred.postage.letter import parse_header, split_letter

ANN, BOB = "ann@sender.example", "bob@example.net"
SHARED = "127.0.0.66"
"""A server that sends for many, of whom SPF says that it may send for sender.example."""
FRONT = "127.0.0.77"
"""A filter of Bob's own in front of the gate, which is believed."""
SEEN = "dkim=pass header.d=sender.example; dmarc=pass header.from=sender.example"
"""What a forwarder or a front says of a letter that came to it as Ann's domain had signed it."""
LIST, ESP, THIEF = "lists.example", "esp.example", "thief.example"
SILENT = "silent.example"
_SEALED = (
    "from", "to", "cc", "reply-to", "subject", "date", "message-id",
    "content-type", "content-transfer-encoding", "x-postage-stamp",
)  # fmt: skip
"""What a path may alter that a stamp depends on, and the stamp."""
_SETTINGS = """\
nameservers = ["{dns}"]
domains = ["example.net"]
trusted_fronts = ["127.0.0.77/32"]
max_bad_stamps_per_minute = 60000
max_connections_per_network = 500
[gate.authentication]
arc_sealers = ["lists.example"]
fronts = ["front.example"]
[gate.quarantine]
folder = "refused"
"""


@dataclass(frozen=True)
class Arrival:
    """What the gate got, and what it made of it."""

    reason: str
    reply: str
    letter: bytes
    """As the gate handed it on, or kept it; empty where it said that it had it already."""
    line: dict[str, Any]
    """Of its log."""

    @property
    def told(self) -> set[str]:
        """What the gate says was altered."""
        return set(self.line["recipients"][0].get("altered", ()))

    def altered(self, sent: bytes) -> tuple[str, ...]:
        """What arrived otherwise than it was stamped, but for line breaks within fields and for what was only added on top."""
        were, are = _looked_at(sent), _looked_at(self.letter)
        return tuple(name for name in were if were[name] != are[name])


@dataclass
class World:
    """A context manager."""

    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with self.stack as stack:
            self.mail_server = stack.enter_context(MailServer())
            self.dns = stack.enter_context(DnsServer())
            for domain in ("sender.example", LIST, ESP, THIEF):
                self.dns.add(key_name(domain, "s1"), "TXT", rsa_key().txt)
            self.dns.fall_silent(key_name(SILENT, "s1"))
            self.dns.add("sender.example", "TXT", f"v=spf1 ip4:{SHARED} -all")
            self.town = Town.found(
                self.folder, self.mail_server.port, _SETTINGS.format(dns="{}:{}".format(*self.dns.address))
            )
            self.served = stack.enter_context(self.town.serve())
            self.town.fund(100_000)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    @property
    def port(self) -> int:
        """Where the gate listens."""
        return self.town.gate_port

    def stamp(self, letter: bytes, *options: str, to: Sequence[str] = (BOB,)) -> bytes:
        """What `pennyred stamp` makes of it."""
        return self._run(["stamp", *options, *(f"--to={one}" for one in to)], letter)

    def send(self, letter: bytes, port: int) -> None:
        """`pennyred send`, to a server on this machine."""
        self._run(["send", f"--via=127.0.0.1:{port}", f"--from={ANN}"], letter)

    def _run(self, arguments: list[str], letter: bytes) -> bytes:
        done = CliRunner().invoke(main, arguments, input=letter, env={"PENNYRED_HOME": str(self.town.home)})
        assert done.exit_code == 0, done.stderr
        return done.stdout_bytes

    def forget(self) -> None:
        """What came before; a test that failed may have left something."""
        for file in self._kept():
            file.unlink()
        self.served.forget()

    def _kept(self) -> list[Path]:
        return list(self.folder.glob("refused/**/new/*"))

    def await_arrival(self, to: str = BOB) -> Arrival:
        """The next letter for Bob, or who it is, that the gate has an answer to; no report on its way back to Ann."""
        line = self.served.wait_for(
            lambda one: one["event"] == "letter" and [each["to"] for each in one["recipients"]] == [to]
        )
        reason = line["recipients"][0]["reason"]
        if line["answer"] == "relay":
            theirs = [one for one in self.mail_server.letters if f"<{to}>".encode() in b" ".join(one.recipients)]
            letter = theirs[-1].letter  # a server's report to Ann, of the letter before, may have come in between
        elif line["answer"] == "duplicate":
            letter = b""
        else:
            [kept] = self._kept()
            letter = kept.read_bytes()
            letter = letter[-int(re.search(rb"size=(\d+)", letter)[1]) :]
            kept.unlink()
        return Arrival(reason, line["answer"], letter, line)

    def submit(self, letter: bytes, source: str = "127.0.0.1", to: str = BOB) -> Arrival:
        """Hand a letter to the gate itself."""
        hand_in(letter, self.port, source=source, to=to)
        return self.await_arrival(to)


def hand_in(
    letter: bytes, port: int, *, source: str = "127.0.0.1", hello: str = "client.example", to: str = BOB
) -> tuple[int, bytes]:
    """Give a letter for Bob to some server; what it says at the end."""
    with closing(smtplib.SMTP("127.0.0.1", port, timeout=60, source_address=(source, 0))) as smtp:
        smtp.ehlo(hello)
        header, body = split_letter(letter)
        options = ["BODY=8BITMIME"] if not body.isascii() else []
        options += ["SMTPUTF8"] if not header.isascii() and smtp.has_extn("smtputf8") else []
        assert smtp.mail(ANN, options)[0] == 250
        assert smtp.rcpt(to)[0] in (250, 251)
        try:
            return smtp.data(letter)
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code, refused.smtp_error


def signed(letter: bytes, domain: str = "sender.example", **more: Any) -> bytes:
    """With a DKIM signature of the domain, on top."""
    return sign(letter, domain, "s1", rsa_key(), **more)


def sealed(letter: bytes, domain: str = LIST) -> bytes:
    """With an ARC set of a list, which says that Ann's own signature held when the letter came to it."""
    return seal(letter, domain, "s1", rsa_key(), SEEN)


def _looked_at(letter: bytes) -> dict[str, Any]:
    section, body = split_letter(letter)
    header = parse_header(section)
    values = {name: [b" ".join(one.value.split()) for one in header.named(name.encode())] for name in _SEALED}
    return values | {"body": [line.rstrip() for line in body.rstrip().split(b"\n")]}

"""Letters that mail servers complete where they take the client for one of the house's own. The gate is on loopback, and
nobody of the house: what went in comes out byte for byte, and a DKIM signature that held before holds after.
"""

import smtplib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dkim
import pytest
from tests.support import chroots, real_postfix
from tests.support.dkim_keys import key_name, rsa_key, sign
from tests.support.postfix_filter import filtered
from tests.support.real_dovecot import Dovecot
from tests.support.real_exim import Exim
from tests.support.real_opensmtpd import OpenSMTPD
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import ANN, BOB, Town

CLIENT = "198.51.100.77"
DATE, ID = b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n", b"Message-ID: <tea@sender.example>\r\n"
FROM, TO = b"From: Ann <ann@sender.example>\r\n", b"To: Bob <bob@example.org>\r\n"
BODY = b"\r\nShall we have tea?\r\n.\r\n..\r\n \t\r\n"
SIGNED = (b"from", b"to", b"cc", b"reply-to", b"subject", b"date", b"message-id")

WHOLE = {
    "no Date": FROM + TO + ID,
    "no Message-ID": FROM + TO + DATE,
    "neither": FROM + TO,
    "no To": FROM + DATE + ID,
    "groups": FROM + b"To: friends: bob@example.org, carl@a.example;\r\nCc: undisclosed-recipients:;\r\n" + DATE + ID,
    "odd blanks": b"From:Ann <ann@sender.example>  (she)\r\nTo:   bob@example.org,carl@a.example\r\n" + DATE + ID,
}
HALF = {
    "To": FROM + b"To: postmaster\r\n" + DATE + ID,
    "Cc": FROM + TO + b"Cc: root, Bob Roe <bob>\r\n" + DATE + ID,
    "From": b"From: ann\r\nReply-To: desk\r\n" + TO + DATE + ID,
    "one label": b"From: Ann <ann@sender>\r\nReply-To: ann@desk\r\n" + TO + DATE + ID,
    "in a group": FROM + b"To: friends: bob, carl;\r\n" + DATE + ID,
    "by other signs": FROM + b"To: bob%example.org, a!bob\r\n" + DATE + ID,
}
"""Addresses without a domain, or with half of one."""


def signed(fields: bytes) -> bytes:
    """With a signature that breaks where anything is added or completed: simple, each field once more than there is."""
    letter = fields + b"Subject: Tea\r\n" + BODY
    names = [*SIGNED, *SIGNED]
    return sign(letter, "sender.example", "s1", rsa_key(), canonicalize=(b"simple", b"simple"), include_headers=names)


def holds(letter: bytes) -> bool:
    """What dkimpy thinks of its signature."""
    record = {f"{key_name('sender.example', 's1')}.": rsa_key().txt.encode()}
    return dkim.verify(letter, dnsfunc=lambda name, timeout=5: record.get(name.decode()))


@dataclass
class Way:
    """Where a client hands a letter in, and the mail server where it arrives."""

    port: int
    server: Postfix | Exim | OpenSMTPD | Dovecot

    def carry(self, letter: bytes, *, is_told: bool) -> bytes:
        """Send it, as a stranger of whom a front tells or as a program of this machine, and take it out of the mailbox."""
        self.server.forget()
        with closing(smtplib.SMTP("127.0.0.1", self.port, timeout=60)) as smtp:
            smtp.ehlo("client.example")
            if is_told:
                assert smtp.docmd(f"XCLIENT ADDR={CLIENT} NAME=[UNAVAILABLE]")[0] == 220
                smtp.ehlo("client.example")
            smtp.mail(ANN)
            assert smtp.rcpt(BOB)[0] == 250
            assert smtp.data(letter)[0] == 250
        [delivered] = self.server.wait_for_letters(1)
        return delivered.replace(b"\n", b"\r\n")


@contextmanager
def behind(folder: Path, server: Postfix | Exim | OpenSMTPD | Dovecot, url: str, identity: str) -> Iterator[Way]:
    """The mail server behind a gate that lets everything through."""
    settings = (
        f'mode = "monitor"\nupstream = "{url}"\nupstream_identity = "{identity}"\ntrusted_fronts = ["127.0.0.1/32"]'
    )
    town = Town.found(folder, 0, settings)
    with town.serve():
        yield Way(town.gate_port, server)


@contextmanager
def postfix_behind(folder: Path, identity: str) -> Iterator[Way]:
    port = free_port()
    listener = services("gate-in-front.master.cf", p10025=port)
    if identity == "proxy":
        listener += "    -o smtpd_upstream_proxy_protocol=haproxy\n"
    with Postfix(listener) as server, behind(folder, server, f"smtp://127.0.0.1:{port}", identity) as way:
        yield way


@contextmanager
def postfix_around(folder: Path, *, is_adjusted: bool) -> Iterator[Way]:
    gate = 'mode = "monitor"\nmixed = "reject"'
    with filtered(folder, gate, is_adjusted=is_adjusted) as (town, server, _):
        yield Way(town.gate_port, server)


@contextmanager
def other(folder: Path, server: Exim | OpenSMTPD | Dovecot, identity: str) -> Iterator[Way]:
    if not chroots.is_available(server.name):
        pytest.skip(chroots.why_not(server.name))
    with server, behind(folder, server, server.url, identity) as way:
        yield way


POSTFIXES: dict[str, Callable[[Path], "contextmanager[Way]"]] = {
    "postfix behind": lambda folder: postfix_behind(folder, "xclient"),
    "postfix behind, by PROXY": lambda folder: postfix_behind(folder, "proxy"),
    "postfix around": lambda folder: postfix_around(folder, is_adjusted=False),
    "postfix around, speed_adjust": lambda folder: postfix_around(folder, is_adjusted=True),
}
DOVECOTS: dict[str, Callable[[Path], "contextmanager[Way]"]] = {
    "dovecot": lambda folder: other(folder, Dovecot("gate-in-front.conf", "tcp"), "xclient"),
    "dovecot, unix socket": lambda folder: other(folder, Dovecot("gate-in-front.conf", "unix"), "none"),
}
OTHERS: dict[str, Callable[[Path], "contextmanager[Way]"]] = {
    "exim": lambda folder: other(folder, Exim("gate-in-front.macros", "heavy"), "proxy"),
    "exim light": lambda folder: other(folder, Exim("gate-in-front-light.macros", "light"), "none"),
    "opensmtpd": lambda folder: other(folder, OpenSMTPD("smtpd.conf"), "proxy"),
    "opensmtpd untold": lambda folder: other(folder, OpenSMTPD("smtpd-untold.conf"), "none"),
}


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Start each way when it is first asked for; all end with the module."""
    running: dict[str, Way] = {}
    with ExitStack() as stack:

        def start(name: str) -> Way:
            if name in POSTFIXES and not real_postfix.is_available():
                pytest.skip(real_postfix.WHY_NOT)
            if name not in running:
                make = (POSTFIXES | DOVECOTS | OTHERS)[name]
                running[name] = stack.enter_context(make(tmp_path_factory.mktemp("town")))
            return running[name]

        yield start


def arrives_as_it_was(way: Way, letter: bytes, *, is_told: bool) -> None:
    assert holds(letter)
    delivered = way.carry(letter, is_told=is_told)
    assert delivered.endswith(b"\r\n" + letter)
    assert holds(delivered)


@pytest.mark.parametrize("name", [*POSTFIXES, *DOVECOTS, *OTHERS])
@pytest.mark.parametrize("fields", list(WHOLE.values()), ids=list(WHOLE))
def test_nothing_is_added_to_a_strangers_letter(started, name, fields):
    arrives_as_it_was(started(name), signed(fields), is_told=True)


@pytest.mark.parametrize("name", [*POSTFIXES, *DOVECOTS])
@pytest.mark.parametrize("fields", list(HALF.values()), ids=list(HALF))
def test_no_address_is_completed(started, name, fields):
    """Exim refuses such letters, and OpenSMTPD completes them whoever sends, gate or not."""
    arrives_as_it_was(started(name), signed(fields), is_told=True)


@pytest.mark.parametrize("name", ["postfix behind", "postfix around"])
def test_a_client_on_the_machine_itself_is_no_exception(started, name):
    """Postfix takes everybody for one who comes from the gate's own address: so it may complete nobody's letter."""
    arrives_as_it_was(started(name), signed(HALF["To"]), is_told=False)

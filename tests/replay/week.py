"""The week itself: what our users do beforehand, and then every letter through the gate on its day."""

import smtplib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from os import urandom

from pennyred.sender.franking import stamp_letter

from .cast import DAYS, USERS, Part, Role
from .stage import Stage, as_sent

ALL_WEEK_MINUTES = DAYS * 1440


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one letter."""

    part: Part
    code: int
    reply: str
    reason: str
    """As the gate's log names it."""

    @property
    def is_accepted(self) -> bool:
        """Whether our mail server has it."""
        return self.code == 250


def make_rules(stage: Stage) -> None:
    """Our users write to whom they know, and approve what they want."""
    with _client(stage.outgoing_port) as client:
        for part in stage.parts:
            if part.role is Role.CORRESPONDENT and part.claims.author is not None:
                _write(client, part.recipient, part.claims.author.canonical, urandom(8).hex().encode())
            elif part.role is Role.REPLY:
                _write(client, part.recipient, "a-list@lists.example", part.claims.replied_to[0])
    for user in USERS:
        mine = [part for part in stage.parts if part.recipient == user]
        lists = {f"--list={part.claims.list_id}" for part in mine if part.role is Role.LIST}
        domains = {f"--domain={_author_domain(part)}" for part in mine if part.role is Role.NEWSLETTER}
        if lists | domains:
            stage.town.admin("permit", "add", user, *sorted(lists | domains))
        for domain in sorted({_author_domain(part) for part in mine if part.role is Role.RECEIPT}):
            stage.town.admin("permit", "expect", user, "--domain", domain, "--minutes", str(ALL_WEEK_MINUTES))


def replay(stage: Stage) -> list[Decision]:
    """Every letter, day by day."""
    decisions = []
    for day in range(DAYS):
        stage.go_to_day(day)
        decisions += [_bring(stage, part) for part in stage.parts if part.day == day]
    return decisions


def _bring(stage: Stage, part: Part) -> Decision:
    """From the part's own address, as a trusted front tells it; the reason is the one in the gate's log."""
    letter = as_sent(part, stage.keys)
    if part.role is Role.STAMPED:
        wallet = stage.town.wallet
        letter = stamp_letter(
            letter, [part.recipient], wallet.key, wallet.licence, now=stage.clock.now, random_bytes=urandom
        )
    with _client(stage.town.gate_port) as client:
        client.docmd("XCLIENT", f"NAME=[UNAVAILABLE] HELO={part.helo} ADDR={part.source}")
        client.ehlo(part.helo)
        for code, text in (client.mail(part.sender), client.rcpt(part.recipient)):
            assert code == 250, (part.name, text)
        try:
            code, text = client.data(letter)
        except smtplib.SMTPDataError as refused:
            code, text = refused.smtp_code, refused.smtp_error
    [recipient] = stage.served.wait_for_letter()["recipients"]
    return Decision(part, code, text.decode(), recipient["reason"])


def _author_domain(part: Part) -> str:
    assert part.claims.author is not None
    return part.claims.author.domain


def _write(client: smtplib.SMTP, user: str, other: str, message_id: bytes) -> None:
    letter = (
        f"From: {user}\r\nTo: {other}\r\nSubject: Hello\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n".encode()
        + b"Message-ID: <%b>\r\n\r\nHow are you?\r\n" % message_id
    )
    assert client.sendmail(user, [other], letter) == {}


@contextmanager
def _client(port: int) -> Iterator[smtplib.SMTP]:
    with closing(smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=60)) as client:
        yield client

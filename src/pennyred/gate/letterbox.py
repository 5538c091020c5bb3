"""What passes between the door and the gate's desk: a letter with its envelope in, one answer out.

The door (`gate.door`) takes a letter, calls `GateDesk.take` with it and turns the `Answer` into a reply. The desk
judges and holds; it delivers through the `Delivery` it was handed, which knows the mail server behind the gate. No
reply code is decided here: codes occur only inside what the mail server itself has said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from msgspec import Struct

from pennyred.postage.letter import HeaderSection
from pennyred.postage.reasons import Reason


class Reply(NamedTuple):
    """One SMTP reply, of whatever number of lines."""

    code: int
    lines: tuple[bytes, ...]
    """The text of each line, without code, separator and CRLF; at least one, perhaps empty."""

    @property
    def encoded(self) -> bytes:
        """The reply as it goes over the wire (RFC 5321 section 4.2.1)."""
        if len(self.lines) == 1:
            return b"%d %b\r\n" % (self.code, self.lines[0])
        *firsts, last = self.lines
        return b"".join([b"%d-%s\r\n" % (self.code, line) for line in firsts]) + b"%d %s\r\n" % (self.code, last)

    @property
    def text(self) -> str:
        """The reply on one line for a log: code and all lines; the mail server's queue id is in it."""
        return f"{self.code} " + " ".join(line.decode("utf-8", "backslashreplace") for line in self.lines)


@dataclass(frozen=True, slots=True)
class HostName:
    """What the DNS calls an address; empty: it has no such name, None: that cannot be known now."""

    verified: str | None
    """A name that leads back to the address."""
    reverse: str | None
    """The first of its names, whether or not it does."""


class Envelope(NamedTuple):
    """Who sends to whom, and from where, as the mail server behind the gate has accepted it."""

    sender: bytes
    """The reverse-path's mailbox as received, without the angle brackets; empty for the null sender."""
    recipients: tuple[bytes, ...]
    """The mailboxes as received that the mail server accepted, in order. A gate that charges has each one once, by its
    first spelling; where outgoing mail passes, the same one may occur twice."""
    source_ip: str
    """The client's address in text, after trusted fronts: the one allowances and exempt networks go by."""
    source_known: bool
    """False where a trusted front did not say who its client is: never throttled as a source."""
    helo: str = ""
    """What the client called itself; anybody can say anything."""
    client_name: str = ""
    """The client's verified host name, as a trusted front or the DNS told it; empty where nobody did."""
    is_from_front: bool = False
    """Whether a trusted front brought it: its fields in the letter are believed, too."""


class Letter(Protocol):
    """A letter as it was received, readable as often as needed."""

    @property
    def header(self) -> HeaderSection:
        """The header section, before the first empty line."""
        ...

    @property
    def body_hash(self) -> bytes:
        """Of the body, as stamps bind it (STAMP.md 5.7); computed while it came in."""
        ...

    @property
    def relaxed_hash(self) -> bytes:
        """SHA-256 of the body in DKIM's relaxed form: another one where lines have nothing but white space in them."""
        ...

    @property
    def size(self) -> int:
        """Bytes of the whole letter, after dots were unstuffed and newlines made CRLF."""
        ...

    @property
    def milliseconds(self) -> int:
        """How long the client took to send it."""
        ...

    def body(self) -> Iterator[bytes]:
        """What follows the header section, in pieces, the empty line first; by one reader at a time."""
        ...


class Fate(StrEnum):
    """What has become of a letter for one recipient."""

    ACCEPTED = "accepted"
    """The mail server has said 2xx after the final dot."""
    REFUSED_TEMPORARY = "refused-temporary"
    """It has said 4xx."""
    REFUSED_PERMANENT = "refused-permanent"
    """It has said 5xx."""
    IN_DOUBT = "in-doubt"
    """The final dot was sent and no answer came: it may have been delivered. The hold must stay."""
    NOT_SENT = "not-sent"
    """It failed before the final dot (no connection, a recipient refused when repeated, no time left): nothing done."""


class Delivered(NamedTuple):
    """What came of one `Delivery.send`: fates and replies, one for each recipient asked for, in that order."""

    fates: tuple[Fate, ...]
    replies: tuple[Reply | None, ...]
    """The mail server's final reply; with SMTP the same for all, with LMTP one each. None: it has not answered."""
    recipients: tuple[bytes, ...]
    """Whom they concern: the mailboxes as received."""
    milliseconds: int
    """From asking for the delivery to the last reply."""
    detail: str = ""
    """For the log, where it went wrong; never shown to the client."""

    @property
    def reply(self) -> Reply | None:
        """The first reply there is, for the log."""
        for reply in self.replies:
            if reply is not None:
                return reply
        return None


class Delivery(Protocol):
    """The way to the mail server for one letter. Used once: a second `send` of the same letter is a mistake."""

    @property
    def answers_each(self) -> bool:
        """Whether each recipient is answered on its own (LMTP), so that some may have the letter and others not."""
        ...

    async def send(self, recipients: Sequence[int], fields: bytes, header: bytes, *, dot_before: float) -> Delivered:
        """Send the letter to some of its recipients and wait for the final answer; the world's failures are fates.

        `recipients` are indexes into `Envelope.recipients`: for all of them the open transaction serves, for fewer it
        is reset and MAIL and RCPT are repeated. `fields` are prepended (whole fields, each with its CRLF); `header` is
        the header section to send below them: the letter's own, perhaps less some fields. The body goes as received.
        `dot_before` is a time of the running loop's clock (`loop.time()`, seconds): the final dot is sent earlier or
        never.
        """
        ...


class Relay(NamedTuple):
    """Answer with what the mail server said; where it said nothing, "later"."""

    delivered: Delivered
    sent_to: tuple[int, ...] = ()
    """Whom it is about: indexes into `Envelope.recipients`."""


class Duplicate(Struct, frozen=True, gc=False):
    """Every recipient has had this very letter: well, and nothing was forwarded or charged."""


class Due(Struct, frozen=True, gc=False):
    """Postage is due; the letter is refused whole. `reason` is of the kind DUE."""

    recipient: int
    """Index into `Envelope.recipients` of the one that the reply names."""
    reason: Reason
    price: int = 1
    """What this recipient asks for, in stamps."""
    altered: tuple[str, ...] = ()
    """What of the letter was altered after stamping, where that is the reason: names of `postage.alteration`."""
    delivered_at: int | None = None
    """When this text was delivered before, where that is the reason; seconds since 1970-01-01 UTC."""


class Later(Struct, frozen=True, gc=False):
    """The world did not answer, or something broke inside. `reason` is of the kind LATER."""

    reason: Reason
    reference: str = ""
    """Where to look in the log, shown to the client; empty where there is nothing to look up."""


class Mirrored(Struct, frozen=True, gc=False):
    """The letter was for the mirror, which has written down what it found; a gate would take it."""


class NoProbe(Struct, frozen=True, gc=False):
    """The letter was for the mirror, and nobody is waiting for it."""


Answer = Relay | Duplicate | Due | Later
"""All that the desk can say of a letter."""
MirrorAnswer = Mirrored | NoProbe | Due | Later
"""All that the mirror can say of one."""


class GateDesk(Protocol):
    """Who judges a letter."""

    async def take(self, letter: Letter, envelope: Envelope, delivery: Delivery) -> Answer:
        """Judge, hold, deliver, settle: the letter's whole life. Runs to its end though the client has gone.

        `Unavailable` and any other exception that escapes are answered "later" by the door.
        """
        ...

    async def free_recipients(
        self, sender: bytes, source_ip: str, mailboxes: Sequence[bytes]
    ) -> Sequence[bool | None] | None:
        """Which of these mailboxes take unstamped mail by a rule, and which need a stamp, as far as is known before the
        letter is; None for a mailbox of which that cannot be known now. None altogether where this sender, from this
        source, finds no such difference.
        """
        ...


class MirrorDesk(Protocol):
    """Who looks at letters to the mirror, which go no further."""

    def is_for(self, mailbox: bytes) -> bool:
        """Whether a mailbox, as received, is the mirror's, with whatever tag."""
        ...

    async def take(self, letter: Letter, envelope: Envelope) -> MirrorAnswer:
        """Look at a letter to the mirror alone. `Unavailable` is answered "later" by the door."""
        ...

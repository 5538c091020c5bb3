"""Letters that try out a path, and what a path has made of one.

The letters have what servers like to alter: names that must be quoted, words beyond ASCII, long lines, links.
"""

from dataclasses import dataclass

from pennyred.http.probes import Arrival
from pennyred.postage.alteration import BODY, alteration
from pennyred.postage.digest import FIELDS, signed_parts
from pennyred.postage.encoding import decode_base64
from pennyred.postage.errors import Malformed
from pennyred.postage.letter import STAMP_FIELD, HeaderSection, parse_header
from pennyred.postage.reading.subject import subject_text
from pennyred.postage.reading.texts import REPLY_NAMES
from pennyred.postage.stamp import parse_stamp, split_field
from pennyred.sender.parsedletter import ParsedLetter

_FIRST = {"from": (b"from",), "to": (b"to", b"cc"), "reply-to": REPLY_NAMES}
NAMES = _FIRST | {one: (one.encode(),) for one in FIELDS if one not in _FIRST}
"""The header fields that each signed part is of, as they are shown."""
_VALUE_CHARACTERS_MAX = 300
_TEXT = (
    "This letter tries out what its way does to stamped mail. Nobody reads it, and it costs nothing.\r\n"
    "\r\n"
    "pennyred probe has sent it.\r\n"
)
_LONG = "A line that is longer than most: " + " ".join(f"word {number}" for number in range(1, 121)) + ".\r\n"
_LETTERS = {
    "plain": "From: {sender}\r\nTo: {to}\r\nSubject: Penny Red probe\r\n\r\n" + _TEXT,
    "words": (
        "From: Penny R. Probe <{sender}>\r\nReply-To: {sender}\r\nTo: Mirror (the office's) <{to}>\r\n"
        "Subject: Pr\u00fcfung: gr\u00f6\u00dfer als \u00e6 und l\u00e4nger als eine Zeile, damit gefaltet wird\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "Pr\u00fcfung \u2013 \u00e4\u00f6\u00fc \u20ac\r\n"
    )
    + _LONG
    + _TEXT,
    "html": (
        "From: Penny Probe <{sender}>\r\nTo: {to}\r\nSubject: Penny Red probe with links\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/alternative; boundary="probe"\r\n\r\n'
        "--probe\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nhttps://www.example.org/\r\n"
    )
    + _TEXT
    + "--probe\r\nContent-Type: text/html; charset=us-ascii\r\n\r\n"
    '<html><body><p>A <a href="https://www.example.org/probe">link</a>.</p></body></html>\r\n--probe--\r\n',
}
SHAPES = tuple(_LETTERS)
"""`plain`: ASCII; `words`: names to be quoted, words beyond ASCII, a long line; `html`: two alternatives, links."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One signed part of a letter, as it was sent and as it arrived."""

    part: str
    sent: str
    arrived: str
    finding: str
    """`same`, `altered`, or `respelled`: other octets that a stamp takes for the same; `unknown` if nobody can tell."""


def probe_letter(shape: str, sender: str, to: str) -> bytes:
    """A letter of one of `SHAPES`, not yet completed or made safe; the addresses are ASCII or UTF-8."""
    return _LETTERS[shape].format(sender=sender, to=to).encode()


def altered_parts(sent: ParsedLetter, arrival: Arrival) -> tuple[str, ...] | None:
    """Which signed parts differ from what was stamped, though the stamp itself may be lost; None if nobody can tell.

    `sent` has its stamp on top.
    """
    if arrival.is_header_cut:
        return None
    try:
        stamp = parse_stamp(next(iter(split_field(sent.header.named(STAMP_FIELD.lower())[0].value))))
        header = parse_header(arrival.header.encode("latin-1"))
        body = decode_base64(arrival.body_hash.encode(), length=32)
    except (Malformed, UnicodeEncodeError, IndexError):
        return None
    return alteration(stamp, signed_parts(header, body)).altered


def compared(sent: ParsedLetter, arrival: Arrival) -> list[Compared]:
    """Each signed part side by side; the stamp field last."""
    altered = altered_parts(sent, arrival)
    came = parse_header(arrival.header.encode("latin-1", "replace"))
    found = []
    for part, names in NAMES.items():
        before, after = _shown(sent.header, names), _shown(came, names)
        finding = "unknown" if altered is None else "altered" if part in altered else _same(before, after)
        found.append(Compared(part, before, after, finding))
    octets = (f"{len(sent.below.raw):,} octets", f"{arrival.size - len(arrival.header):,} octets")
    before, after = octets if not arrival.is_header_cut else (octets[0], "")
    finding = "unknown" if altered is None else "altered" if BODY in altered else _same(before, after)
    seen = arrival.stamp
    form = f"{seen.form}, {seen.stamps} in {seen.fields} field{'s' if seen.fields > 1 else ''}" if seen.fields else ""
    return [
        *found,
        Compared(BODY, before, after, finding),
        Compared(
            "stamp", "folded, 1 in 1 field", form, "gone" if not seen.fields else _same("folded, 1 in 1 field", form)
        ),
    ]


def _same(before: str, after: str) -> str:
    return "same" if before == after else "respelled"


def _shown(header: HeaderSection, names: tuple[bytes, ...]) -> str:
    """The values of some fields on one line, with encoded words decoded."""
    fields = [field for name in names for field in header.named(name)]
    values = (subject_text([one.value]) or " ".join(one.value.decode("utf-8", "replace").split()) for one in fields)
    return "; ".join(values)[:_VALUE_CHARACTERS_MAX]

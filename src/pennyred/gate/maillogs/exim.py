"""What Exim's main log says of letters (Exim's specification, "Log files"), read by its own grammar.

A delivery is `=> address <original> F=<sender> P=<return path> R=router T=transport H=host [ip] ... C="reply"`. Exim
writes an address without its quotes, mostly in lower case, and the original as it came; what stands behind the
transport is the remote server's, and is not looked at.
"""

import re
from dataclasses import dataclass

CANDIDATES_MAX = 20
"""Places looked at in an odd line where its original address may begin."""

_QUOTED = r'"(?:[^"\\]|\\.){0,300}"'
_ADDRESS = rf'(?:{_QUOTED}@[^\s<>"]{{1,255}}|[^\s<>"()]{{1,320}})'
_LETTER = re.compile(
    r"(?:\[\d+\] )?(?P<id>[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{6}-[0-9A-Za-z]{11}-[0-9A-Za-z]{4}) "
    r"(?P<what><=|=>|->|>>|\*>|\*\*|==|\(=|Completed|\S{1,40})(?: |$)"
)
_PIECE = re.compile(r"\[(\d+)[/\\]\d+\] ")
"""Before each piece of a line that is too long for syslog; where it was cut may be a stranger's choice."""
_SENDER = re.compile(rf"(<>|{_ADDRESS})(?: |$)")
_FIELDS = (
    rf"(?: F=<(?P<sender>{_ADDRESS}?)>)?(?: Q=\S{{1,100}})?(?: SRS=<[^\s<>]{{0,320}}>)?(?: P=<{_ADDRESS}?>)?"
    r"(?: R=[\w.-]{1,100})? T=[\w.-]{1,100}(?=[ :]|$)"
)
_PLAIN = re.compile(
    rf'(?P<address>[^\s<>"()]{{1,320}})(?: \([^()"]{{1,2000}}\))?(?: <(?P<original>{_ADDRESS})>)?{_FIELDS}'
)
_ODD = re.compile(rf" <(?P<local>{_QUOTED})@(?P<domain>[^\s<>\"]{{1,255}})>{_FIELDS}")
_QUOTED_PAIR = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Received:
    """A letter has come; `sender` is empty for `<>`, or where it cannot be read."""

    letter: str
    sender: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """A letter has gone to somebody."""

    letter: str
    recipient: str
    """Whom it was addressed to, as it was written in the envelope; empty where the line has more than one reading."""
    sender: str | None
    """As the line tells it (`+sender_on_delivery`), empty for `<>`; None where it does not."""


@dataclass(frozen=True, slots=True)
class Completed:
    """Nothing more will be heard of the letter."""

    letter: str


@dataclass(frozen=True, slots=True)
class Other:
    """Exim's line, that says nothing of this."""


Event = Received | Delivered | Completed | Other


def first_piece(text: str) -> str | None:
    """A line without what Exim puts before pieces of long ones; None of the second and further pieces."""
    piece = _PIECE.match(text)
    if piece is None:
        return text
    return text[piece.end() :] if piece[1] == "1" else None


def read_event(text: str) -> Event | None:
    """What a line says, without its time; None where it is none of a letter's."""
    match = _LETTER.match(text)
    if match is None:
        return None
    letter, what, rest = match["id"], match["what"], text[match.end() :]
    if what == "<=":
        sender = _SENDER.match(rest)
        return Received(letter, "" if sender is None or sender[1] == "<>" else sender[1])
    if what in ("=>", "->", ">>"):
        return _delivered(letter, rest)
    return Completed(letter) if what == "Completed" else Other()


def _delivered(letter: str, rest: str) -> Delivered:
    """Of one with quotes in its address Exim always writes the original too, so whoever forges fields inside his
    address leaves two readings.
    """
    plain = _PLAIN.match(rest)
    readings = {(plain["original"] or plain["address"], plain["sender"])} if plain else set()
    readings |= {(f"{odd['local']}@{odd['domain']}", odd["sender"]) for odd in _odd_readings(rest)}
    if len(readings) != 1:
        return Delivered(letter, "", None)
    return Delivered(letter, *readings.pop())


def _odd_readings(rest: str) -> list[re.Match[str]]:
    found, at = [], -1
    for _ in range(CANDIDATES_MAX):
        at = rest.find(' <"', at + 1)
        if at < 0:
            break
        odd = _ODD.match(rest, at)
        if odd and rest[:at].lower() == f"{_without_quotes(odd['local'])}@{odd['domain']}".lower():
            found.append(odd)
    return found


def _without_quotes(local: str) -> str:
    return _QUOTED_PAIR.sub(r"\1", local[1:-1])

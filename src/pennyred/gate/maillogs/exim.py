"""Reads Exim's main log (Exim's specification, "Log files") with its own grammar.

A delivery is `=> address <original> F=<sender> P=<return path> R=router T=transport H=host [ip] ... C="reply"`. Exim
writes an address without its quotes, mostly in lower case, and the original as it came. What follows the transport
comes from the remote server, and is not read.
"""

import re
from dataclasses import dataclass

CANDIDATES_MAX = 20
"""The most places in an odd line that are tried as the beginning of the original address."""

_QUOTED = r'"(?:[^"\\]|\\.){0,300}"'
_ADDRESS = rf'(?:{_QUOTED}@[^\s<>"]{{1,255}}|[^\s<>"()]{{1,320}})'
_LETTER = re.compile(
    r"(?:\[\d+\] )?(?P<id>[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{6}-[0-9A-Za-z]{11}-[0-9A-Za-z]{4}) "
    r"(?P<what><=|=>|->|>>|\*>|\*\*|==|\(=|Completed|\S{1,40})(?: |$)"
)
_PIECE = re.compile(r"\[(\d+)[/\\]\d+\] ")
"""The mark before each piece of a line too long for syslog. A stranger may choose where it is cut."""
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
    """A letter has come. `sender` is empty for `<>`, or if it cannot be read."""

    letter: str
    sender: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """A letter was delivered to a recipient."""

    letter: str
    recipient: str
    """The recipient as written in the envelope; empty if the line can be read in more than one way."""
    sender: str | None
    """The sender, if the line has it (`+sender_on_delivery`); empty for `<>`, None if it does not have it."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The letter is done: no further line is about it."""

    letter: str


@dataclass(frozen=True, slots=True)
class Other:
    """A line of Exim about something else."""


Event = Received | Delivered | Completed | Other


def first_piece(text: str) -> str | None:
    """The line without the mark before pieces of long lines; None for the second and further pieces."""
    piece = _PIECE.match(text)
    if piece is None:
        return text
    return text[piece.end() :] if piece[1] == "1" else None


def read_event(text: str) -> Event | None:
    """What a line (without its time) says of a letter; None if it is about no letter."""
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
    """Read a delivery. If an address has quotes, Exim always writes the original too. So an address with forged fields
    inside can be read in two ways, and is not used.
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

"""Reads what Postfix's programs log about letters.

`smtpd` and `pickup` log that a letter comes, `cleanup` its Message-ID, `qmgr` its sender. Programs that deliver to
other hosts log its recipients.

A line is read whole, from its first word to the remote server's reply. So a stranger's address or reply can make a line
unreadable, but cannot turn it into another one.
"""

import re
from dataclasses import dataclass

_QUEUE_ID = r"(?P<letter>[0-9A-Za-z]{5,40})"
_ADDRESS = r'(?:"(?:[^"\\]|\\.){0,300}"@[^\s<>"]{1,255}|[^\s<>"]{1,320})'
_FROM = re.compile(
    rf"{_QUEUE_ID}: from=<(?P<sender>{_ADDRESS}?)>, size=\d{{1,20}}(?:, nrcpt=\d{{1,9}} \(queue active\))?"
)
_TO = re.compile(
    rf"{_QUEUE_ID}: to=<(?P<recipient>{_ADDRESS})>, (?:orig_to=<(?P<original>{_ADDRESS})>, )?"
    r"(?:[a-z_]{1,20}=[^\s,()<>]{0,600}, ){0,12}status=(?P<status>[a-z]{1,20}) \((?P<reply>.*)"
)
_ODD_TO = re.compile(rf"{_QUEUE_ID}: to=<")
_REMOVED = re.compile(rf"{_QUEUE_ID}: removed")
_CAME = re.compile(
    rf"{_QUEUE_ID}: client=[^\s\[\]]{{1,255}}\[(?P<address>[^\s\[\]]{{1,100}})\](?::\d{{1,5}})?(?:, |\Z)"
)
_PICKED_UP = re.compile(rf"{_QUEUE_ID}: uid=\d")
_NAMED = re.compile(rf"{_QUEUE_ID}: (?:resent-)?message-id=(?P<id>.*)")
_HERE = re.compile(r"127\.|::1\Z|::ffff:127\.|unix:|unknown\Z")
_QUEUES = ("qmgr", "nqmgr", "oqmgr")
_ARRIVALS = ("smtpd", "pickup", "cleanup")
_CLIENTS = ("smtp", "lmtp", "relay")


@dataclass(frozen=True, slots=True)
class Came:
    """A letter has come in."""

    letter: str
    is_local: bool
    """Whether it came from this machine: from a program, or from a content filter that hands it in again."""


@dataclass(frozen=True, slots=True)
class Named:
    """The Message-ID of a letter is known."""

    letter: str
    message_id: str


@dataclass(frozen=True, slots=True)
class From:
    """A letter is queued for delivery; `sender` is empty for `<>`."""

    letter: str
    sender: str


@dataclass(frozen=True, slots=True)
class To:
    """A letter was delivered to a recipient."""

    letter: str
    recipient: str
    """The recipient before aliases; empty if the line can be read in more than one way."""


@dataclass(frozen=True, slots=True)
class Removed:
    """The letter is done. Its queue id may be used for another letter next."""

    letter: str


Event = Came | Named | From | To | Removed


def read_event(program: str, text: str) -> Event | None:
    """What a line of `program` (like `postfix/smtp`) says of a letter; None if it is about something else."""
    name = program.rpartition("/")[2]
    if name in _ARRIVALS:
        return _arrival(name, text)
    if name in _QUEUES:
        if found := _FROM.fullmatch(text):
            return From(found["letter"], found["sender"])
        removed = _REMOVED.fullmatch(text)
        return Removed(removed["letter"]) if removed else None
    if name in _CLIENTS and (odd := _ODD_TO.match(text)):
        found = _TO.match(text)
        if found is None or _has_two_readings(found["reply"]):
            return To(odd["letter"], "")
        return To(found["letter"], found["original"] or found["recipient"]) if found["status"] == "sent" else None
    return None


def _arrival(program: str, text: str) -> Came | Named | None:
    if program == "cleanup":
        named = _NAMED.match(text)
        return Named(named["letter"], named["id"]) if named else None
    found = (_CAME if program == "smtpd" else _PICKED_UP).match(text)
    if found is None:
        return None
    return Came(found["letter"], program == "pickup" or _HERE.match(found["address"]) is not None)


def _has_two_readings(reply: str) -> bool:
    """Whether the line can be read in two ways: Postfix before 3.5 writes addresses without their quotes."""
    return ">, relay=" in reply or ", status=" in reply

"""What Postfix's programs log of letters.

`smtpd` and `pickup` that one comes, `cleanup` its Message-ID, `qmgr` from whom it is, those that deliver to others to
whom it went.

Lines are read whole, from their first word to where the remote server's reply begins: what a stranger has put into his
address or reply makes a line that is not understood, never another one.
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
    """A letter has come."""

    letter: str
    is_local: bool
    """From this machine: one of its own programs, or a content filter that hands it in again."""


@dataclass(frozen=True, slots=True)
class Named:
    """What stands in its Message-ID."""

    letter: str
    message_id: str


@dataclass(frozen=True, slots=True)
class From:
    """A letter waits to be delivered; `sender` is empty for `<>`."""

    letter: str
    sender: str


@dataclass(frozen=True, slots=True)
class To:
    """A letter has gone to somebody."""

    letter: str
    recipient: str
    """Whom it was addressed to, before aliases; empty where the line has more than one reading."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Nothing more will be heard of the letter; its queue id may be another's next."""

    letter: str


Event = Came | Named | From | To | Removed


def read_event(program: str, text: str) -> Event | None:
    """What a line of `program` (like `postfix/smtp`) says; None where it is about something else."""
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
    """Whether the line may go on here, and not the reply: Postfix before 3.5 writes addresses without their quotes."""
    return ">, relay=" in reply or ", status=" in reply

"""Which text each stamp has paid for here: a table of fixed size, in which a stamp has one place by its hash.

Where two stamps have the same place, the later one takes it. So the table never grows beyond `PLACES`, whatever comes,
and nothing has to be counted. What is lost by that is told as `spent`. Nobody can have others' stamps forgotten but by
paying for stamps of his own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pennyred.gate.judging.delivered_texts import DeliveredText, Name
from pennyred.gate.memory.taking import hashed
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.statements import Connection

PLACES = 2**20
"""About 100 MB when all are taken."""
_ROWS_FORGOTTEN_MAX = 1_000

_ADD = (
    "INSERT INTO delivered_text (place, stamp, text, expiry_day, delivered_at) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (place) DO UPDATE SET stamp = excluded.stamp, text = excluded.text,"
    " expiry_day = excluded.expiry_day, delivered_at = excluded.delivered_at"
    " WHERE delivered_text.stamp <> excluded.stamp"
)


class DeliveredTextBook:
    """Implements `gate.judging.delivered_texts.TextBook`. Raises Unavailable when the state does not answer."""

    def __init__(self, readers: GroupCommit[Connection], commits: GroupCommit[Connection]) -> None:
        self._readers = readers
        self._commits = commits

    async def of(self, stamps: Sequence[Name]) -> list[DeliveredText | None]:
        """The first text that each stamp has paid for; None where that is not known."""
        return await self._readers.answer(_texts, stamps, weight=len(stamps))

    async def add(self, delivered: Mapping[Name, DeliveredText]) -> None:
        """Note what these stamps have paid for, and forget those whose day is over. What is known of a stamp stays."""
        await self._commits.answer(_add, delivered, weight=len(delivered))


def _texts(connection: Connection, requests: Sequence[Sequence[Name]]) -> list[list[DeliveredText | None]]:
    return [[_text(connection, name) for name in stamps] for stamps in requests]


def _text(connection: Connection, name: Name) -> DeliveredText | None:
    asked = "SELECT text, delivered_at FROM delivered_text WHERE place = ? AND stamp = ?"
    found: Any = connection.execute(asked, _placed(name)).fetchall()
    return DeliveredText(*found[0]) if found else None


def _add(connection: Connection, requests: Sequence[Mapping[Name, DeliveredText]]) -> list[None]:
    rows = [
        (*_placed(name), one.text, _expiry_day(name), one.at) for request in requests for name, one in request.items()
    ]
    rows.sort()  # sister gates lock the places in the same order
    connection.executemany(_ADD, rows)
    connection.execute(
        "DELETE FROM delivered_text WHERE place IN (SELECT place FROM delivered_text"
        " WHERE expiry_day < (SELECT forget_at / 86400 FROM passed_time) LIMIT ?)",
        (_ROWS_FORGOTTEN_MAX,),
    )
    return [None] * len(requests)


def _placed(name: Name) -> tuple[int, bytes]:
    issuer, key = name
    stamp = hashed((issuer, *key))
    return int.from_bytes(stamp[:4]) % PLACES, stamp


def _expiry_day(name: Name) -> int:
    _, (_, expiry_day, _) = name
    return expiry_day

"""The records of stamps, looked up by their keys: among the holds, and else in the partitions of their days.

A hold is in `open_hold` while it need not last (`openholds`), else in `hold`; never in both. A held stamp may have an
older record in its day's partition, of a hold that was voided; what is held counts. Functions of a connection inside a
transaction that has locked the senders' accounts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from asyncpg import Connection, UndefinedTableError

from pennyred.office.ledger.postgresql import literals
from pennyred.office.ledger.postgresql.days import DAY_MAX, DayMissing
from pennyred.office.ledger.postgresql.literals import numbers, octets, texts
from pennyred.postage.ledger_rules import EXPIRY_DAYS_AHEAD_MAX, StampRecord, StampState
from pennyred.postage.stamp import StampKey

_NAMED_KEYS_MIN = 100
"""For fewer it costs less to let the server find each one's partition than to have all recent ones in the statement."""
_NAMED_DAYS = EXPIRY_DAYS_AHEAD_MAX + 2
"""How many partitions are named: those that stamps of now may be in, and yesterday's."""

# All SELECTs answer with the fields of a `StampRecord`, where a hold's row is, whether it is an open one, and whether
# that says that nothing is in the partition; 1 is `StampState.HELD`.
_HOLD = "1::smallint, receiver, domain, letter, tx, price, cap_day, lease_until, 0::bigint, 0::bigint, ctid::text"
_STAMP = "state, receiver, domain, letter, ''::bytea, price, cap_day, 0::bigint, settled_at, place, NULL::text"
_OF_KEY = "WHERE account = key.account AND expiry_day = {day} AND serial = key.serial"
_HELD = (
    f"SELECT {_HOLD}, true, is_first FROM open_hold {_OF_KEY}"  # noqa: S608 - ours
    f" UNION ALL SELECT {_HOLD}, false, false FROM hold {_OF_KEY}"
)
_OTHER = f"SELECT {_STAMP}, false, false FROM {{partition}} {_OF_KEY}"  # noqa: S608 - ours
# LATERAL and LIMIT: each row is looked up by its key, where it is found first. The open holds are sometimes a thousand
# and sometimes none, and a planner that has last seen none would read all of them for each key.
_EACH = """
SELECT {list}, key.n, found.* FROM unnest({columns}) WITH ORDINALITY AS key ({names}, n)
CROSS JOIN LATERAL ({selects} LIMIT 1) AS found
"""
_OF_ALL_DAYS = {
    "list": 0,
    "columns": "$1::text::text[], $2::text::integer[], $3::text::bytea[]",
    "names": "account, expiry_day, serial",
}
_LOAD_HELD = _EACH.format(selects=_HELD.format(day="key.expiry_day"), **_OF_ALL_DAYS)
_LOAD_OTHERS = _EACH.format(selects=_OTHER.format(partition="stamp", day="key.expiry_day"), **_OF_ALL_DAYS)


class Found(NamedTuple):
    """The records of some stamps, as far as they have been seen, and where their rows are."""

    records: dict[StampKey, StampRecord]
    open: dict[StampKey, str]
    """Rows in `open_hold`."""
    written: dict[StampKey, str]
    """Rows in `hold`."""
    older: set[StampKey]
    """Which have a row in their day's partition, or may have one."""

    @property
    def open_records(self) -> dict[StampKey, StampRecord]:
        """Those that are open holds."""
        return {key: self.records[key] for key in self.open}

    @property
    def has_voided(self) -> bool:
        """Whether any was held and given back."""
        return any(record.state == StampState.VOIDED for record in self.records.values())

    def add(self, lists: Mapping[int, Sequence[StampKey]], rows: Iterable[Any]) -> None:
        """Add what was found; each row begins with the list of its key and its place there, counted from 1."""
        for row in rows:
            key = lists[row[0]][row[1] - 1]
            self.records[key] = StampRecord._make(row[2:12])
            place, is_open, is_first = row[12:]
            if is_open:
                self.open[key] = place
            elif place is not None:
                self.written[key] = place
            if not is_first:
                self.older.add(key)


async def load(connection: Connection, keys: Collection[StampKey], known_days: Collection[int] = ()) -> Found:
    """The records of these stamps. Raises `DayMissing` where the partition of one of `known_days` is gone."""
    found = Found({}, {}, {}, set())
    by_day: dict[int, list[StampKey]] = {}
    if len(keys) >= _NAMED_KEYS_MIN:
        by_day = {day: [] for day in sorted(known_days)[-_NAMED_DAYS:]}
    others = []
    for key in keys:
        if (of_its_day := by_day.get(key[1])) is not None:
            of_its_day.append(key)
        elif 0 <= key[1] <= DAY_MAX:
            others.append(key)
    if any(by_day.values()):
        found.add(by_day, await _in_recent(connection, by_day))
    if others:
        found.add({0: others}, await connection.fetch(_LOAD_HELD, *literals.columns(others, texts, numbers, octets)))
        others = [key for key in others if key not in found.records]
    if others:  # to look into the partitions costs more, and settles need it seldom
        found.add({0: others}, await connection.fetch(_LOAD_OTHERS, *literals.columns(others, texts, numbers, octets)))
    return found


async def _in_recent(connection: Connection, by_day: Mapping[int, Sequence[StampKey]]) -> list[Any]:
    """The rows of stamps of recent days, each looked for in the partition of its day and in no other."""
    parameters = []
    for keys in by_day.values():
        parameters += [texts([key[0] for key in keys]), octets([key[2] for key in keys])]
    try:
        rows: list[Any] = await connection.fetch(_load_recent(tuple(by_day)), *parameters)
    except UndefinedTableError as error:  # it was dropped since we have looked
        raise DayMissing(()) from error
    return rows


@lru_cache(maxsize=2)
def _load_recent(days: tuple[int, ...]) -> str:
    """A statement that has two parameters for each day: accounts and serials."""
    return " UNION ALL ".join(
        _EACH.format(
            list=day,
            columns=f"${2 * place + 1}::text::text[], ${2 * place + 2}::text::bytea[]",
            names="account, serial",
            selects=f"{_HELD} UNION ALL {_OTHER}".format(partition=f"stamp_{day}", day=day),
        )
        for place, day in enumerate(days)
    )

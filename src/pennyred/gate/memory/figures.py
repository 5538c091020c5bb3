"""The gate's figures by day: all workers add to the same counters, `pennyred report` reads them.

Sums only, so what is kept does not grow with the mail: a few hundred rows a day, and the sources that occur most.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from pennyred.failures import told
from pennyred.gate.memory import shared
from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.figures import (
    OTHERS,
    SEVERAL,
    Count,
    Figures,
    Outcome,
    Recorded,
    RowCount,
    SourceTotal,
    Trouble,
)
from pennyred.postage.alteration import Row
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage.database import BUSY_TIMEOUT_SECONDS, WORLD_ERRORS, open_database
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.migrations import SchemaTooNew, SchemaTooOld, has_table, load_migrations, require_current
from pennyred.storage.statements import Connection

DAYS_KEPT = 92
"""A quarter of a year."""
SOURCES_MAX = 10_000
"""A day; beyond, those that occur least count under `OTHERS`."""
SOURCES_READ_MAX = 100
_SOURCES_LEFT = 9_000
"""How many stay when some have to go. They are fewer than the most, so that not every new one makes others go."""
_ROWS_FORGOTTEN_MAX = 1000

_FLAGS: dict[bool | None, int] = {False: 0, True: 1, None: -1}
_FLAG_OF = {number: flag for flag, number in _FLAGS.items()}
_REASONS = {reason.value: reason for reason in Reason}
_ROWS = {row.value: row for row in Row}
_COUNTED = "day, mode, outcome, reason, by_bulk, by_require, recipients"
_ADD_SOURCE = (
    "INSERT INTO figure_source (day, source, sender_domain, refused, would_refuse)"  # noqa: S608 - fixed texts
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (day, source) DO UPDATE SET"
    " refused = figure_source.refused + excluded.refused,"
    " would_refuse = figure_source.would_refuse + excluded.would_refuse,"
    " sender_domain = CASE WHEN excluded.sender_domain IN ('', figure_source.sender_domain)"
    " THEN figure_source.sender_domain"
    f" WHEN figure_source.sender_domain = '' THEN excluded.sender_domain ELSE '{SEVERAL}' END"
)


class FigureBook:
    """The counters of what became of mail. Raises Unavailable when the state does not answer."""

    def __init__(self, commits: GroupCommit[Connection]) -> None:
        self._commits = commits

    async def add(self, figures: Figures) -> None:
        """Add these to what stands there, and forget what is older than `DAYS_KEPT`."""
        weight = len(figures.recipients) + len(figures.sources)
        await self._commits.answer(_add, figures, weight=weight)

    async def read(self, since_day: int, until_day: int) -> Recorded:
        """What was counted on these days, both included."""
        return await self._commits.run(lambda connection: _read(connection, since_day, until_day))


def read_database(database: Path | str, since_day: int, until_day: int) -> Recorded:
    """What was counted in a state, which gates may be writing to; see `read_file`."""
    if isinstance(database, str):
        return shared.read(database, lambda connection: _read(connection, since_day, until_day))
    return read_file(database, since_day, until_day)


def read_file(
    path: Path, since_day: int, until_day: int, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS
) -> Recorded:
    """What was counted in the state at `path`, which a gate may be writing to. Nothing is changed.

    Raises FileNotFoundError, SchemaError for a file of another version, and Unavailable when it does not answer.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there yet: no gate with these settings has run (pennyred serve)")
    try:
        connection = open_database(path, is_reader=True, busy_timeout_seconds=busy_timeout_seconds)
        try:
            _require_figures(connection, path)
            connection.execute("BEGIN")  # one moment for all that is read
            return _read(connection, since_day, until_day)
        finally:
            connection.close()
    except WORLD_ERRORS as error:
        raise Unavailable(Reason.STATE_UNAVAILABLE, f"{path}: {told(error)}") from error


def _require_figures(connection: apsw.Connection, path: Path) -> None:
    try:
        require_current(connection, load_migrations("pennyred.gate.memory", "migrations/sqlite"))
    except SchemaTooOld as error:
        if not has_table(connection, "figure"):
            raise SchemaTooOld(
                f"{path} was written by an earlier version, which counted nothing: restart the gate with this one"
            ) from error


def _add(connection: Connection, requests: Sequence[Figures]) -> list[None]:
    whole = Figures()
    for figures in requests:
        whole.merge(figures)
    connection.executemany(
        f"INSERT INTO figure ({_COUNTED}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - fixed texts, as below
        " ON CONFLICT (day, mode, outcome, reason, by_bulk, by_require)"
        " DO UPDATE SET recipients = figure.recipients + excluded.recipients",
        [_row(count, number) for count, number in whole.recipients.items()],
    )
    connection.executemany(
        "INSERT INTO figure_letters (day, mode, letters) VALUES (?, ?, ?) ON CONFLICT (day, mode)"
        " DO UPDATE SET letters = figure_letters.letters + excluded.letters",
        [(day, mode.value, number) for (day, mode), number in whole.letters.items()],
    )
    connection.executemany(
        "INSERT INTO figure_row (day, outcome, row, recipients) VALUES (?, ?, ?, ?) ON CONFLICT (day, outcome, row)"
        " DO UPDATE SET recipients = figure_row.recipients + excluded.recipients",
        [(one.day, one.outcome.value, one.row.value, number) for one, number in whole.rows.items()],
    )
    _add_sources(connection, whole.sources)
    for day in {day for day, _ in whole.sources}:
        _fold(connection, day)
    if whole.letters:
        _forget(connection)
    return [None] * len(requests)


def _row(count: Count, number: int) -> tuple[int, str, str, str, int, int, int]:
    flags = _FLAGS[count.by_bulk], _FLAGS[count.by_require]
    return (count.day, count.mode.value, count.outcome.value, count.reason.value, *flags, number)


def _add_sources(connection: Connection, sources: dict[tuple[int, str], Trouble]) -> None:
    rows = [(*name, one.sender_domain, one.refused, one.would_refuse) for name, one in sources.items()]
    connection.executemany(_ADD_SOURCE, rows)


def _fold(connection: Connection, day: int) -> None:
    """Put the sources that occur least into the sum of the others, where there are too many."""
    ((found,),) = connection.execute("SELECT count(*) FROM figure_source WHERE day = ?", (day,))
    if found <= SOURCES_MAX:
        return
    least: Any = connection.execute(
        "DELETE FROM figure_source WHERE (day, source) IN (SELECT day, source FROM figure_source"
        " WHERE day = ? AND source <> ? ORDER BY refused + would_refuse, source LIMIT ?)"
        " RETURNING refused, would_refuse",
        (day, OTHERS, found - _SOURCES_LEFT),
    ).fetchall()
    others = Trouble("", sum(refused for refused, _ in least), sum(would_refuse for _, would_refuse in least))
    _add_sources(connection, {(day, OTHERS): others})


def _forget(connection: Connection) -> None:
    """Delete old figures: of sources, which are many, in pieces."""
    old = "day <= (SELECT forget_at / 86400 FROM passed_time) - ?"
    connection.execute(f"DELETE FROM figure WHERE {old}", (DAYS_KEPT,))  # noqa: S608 - ours, as below
    connection.execute(f"DELETE FROM figure_letters WHERE {old}", (DAYS_KEPT,))  # noqa: S608
    connection.execute(f"DELETE FROM figure_row WHERE {old}", (DAYS_KEPT,))  # noqa: S608
    connection.execute(
        "DELETE FROM figure_source WHERE (day, source) IN"  # noqa: S608
        f" (SELECT day, source FROM figure_source WHERE {old} LIMIT ?)",
        (DAYS_KEPT, _ROWS_FORGOTTEN_MAX),
    )


def _read(connection: Connection, since_day: int, until_day: int) -> Recorded:
    days = (since_day, until_day)
    counts: Any = connection.execute(f"SELECT {_COUNTED} FROM figure WHERE day BETWEEN ? AND ?", days)  # noqa: S608
    letters: Any = connection.execute("SELECT day, mode, letters FROM figure_letters WHERE day BETWEEN ? AND ?", days)
    rows: Any = connection.execute(
        "SELECT day, outcome, row, recipients FROM figure_row WHERE day BETWEEN ? AND ?", days
    )
    try:
        figures = Figures(
            {_count(*names): number for *names, number in counts},
            {(day, Mode(mode)): number for day, mode, number in letters},
            rows={RowCount(day, Outcome(outcome), _ROWS[row]): number for day, outcome, row, number in rows},
        )
    except (KeyError, ValueError) as error:
        raise SchemaTooNew(f"the figures were written by a later version ({error}): use a newer pennyred") from error
    return Recorded(since_day, until_day, figures, _read_sources(connection, days))


def _count(day: int, mode: str, outcome: str, reason: str, by_bulk: int, by_require: int) -> Count:
    """Raises KeyError or ValueError for a name this version does not know."""
    return Count(day, Mode(mode), Outcome(outcome), _REASONS[reason], _FLAG_OF[by_bulk], _FLAG_OF[by_require])


def _read_sources(connection: Connection, days: tuple[int, int]) -> tuple[SourceTotal, ...]:
    domain = (
        "CASE WHEN count(DISTINCT nullif(sender_domain, '')) > 1"
        f" THEN '{SEVERAL}' ELSE coalesce(max(nullif(sender_domain, '')), '') END"
    )
    totals = (
        f"SELECT source, {domain}, sum(refused), sum(would_refuse) FROM figure_source"  # noqa: S608 - fixed texts
        " WHERE day BETWEEN ?1 AND ?2"
    )
    ranking = "GROUP BY source ORDER BY sum(refused) + sum(would_refuse) DESC, source LIMIT ?4"
    named = connection.execute(f"{totals} AND source <> ?3 {ranking}", (*days, OTHERS, SOURCES_READ_MAX))
    others = connection.execute(f"{totals} AND source = ?3 GROUP BY source", (*days, OTHERS))
    return tuple(SourceTotal(*row) for rows in (named, others) for row in rows)

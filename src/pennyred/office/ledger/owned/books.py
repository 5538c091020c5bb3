"""The books of a ledger that has one owner: its file, and beside it what only the owner's memory knows.

A method is a transaction, or none where memory alone answers. Where it fails, nothing of it stays, neither in the file
nor in memory: stamps are merged into memory only after the commit, and figures are read again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import apsw

from pennyred.days import utc_day
from pennyred.office.ledger.batch import Batch, Changes
from pennyred.office.ledger.chaining import Moved, next_head
from pennyred.office.ledger.owned.memory import UNWRITTEN_MAX, Memory, Plan, new_plan
from pennyred.office.ledger.protocol import EntryKind
from pennyred.office.ledger.requests import HoldRequest, JudgedRequest, Request, VoidRequest, answer_all
from pennyred.office.ledger.sqlite import chain, journal, redemption, stamps
from pennyred.office.ledger.sqlite.moved import require_still_here
from pennyred.postage.stamp import StampKey
from pennyred.storage.database import is_world

T = TypeVar("T")
Work = Callable[[apsw.Connection], Any]

_ADD_PAIRS = (
    "INSERT INTO pair_use (account, receiver, day, holds, in_doubt) VALUES (?, ?, ?, ?, 0)"
    " ON CONFLICT DO UPDATE SET holds = holds + excluded.holds"
)
_PROBE = (
    "INSERT OR REPLACE INTO token_seen (hash, expires_at) VALUES (x'', 0)",
    "DELETE FROM token_seen WHERE hash = x''",
)
"""SQLite writes no page whose content stays the same."""


def writes_at_once(request: Request) -> bool:
    """Whether the answer to this may have to be in the file before it is given."""
    return not (isinstance(request, VoidRequest) or (isinstance(request, HoldRequest) and not request.is_lasting))


class Books:
    """One connection and one memory; only the owner's event loop uses them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.memory = Memory()
        self.commits = 0
        """How many transactions have written something."""
        self._version = connection.data_version()

    def redeem(
        self, requests: Sequence[Request], works: Sequence[Work], *, since: float
    ) -> tuple[list[Any], list[Any]]:
        """Answer requests of one UTC day, and do works that touch neither stamps nor accounts, in one transaction."""
        if not works and not any(map(writes_at_once, requests)) and len(self.memory.unwritten) < UNWRITTEN_MAX:
            return self._redeem_in_memory(requests, since), []
        with self._writing():
            done = [work(self._connection) for work in works]
            answers: list[Any] = []
            if requests:
                batch, rows, answers = self._answer(requests)
                plan = self.memory.plan(batch, rows, _lasting_keys(requests), since)
                if len(self.memory.unwritten) >= UNWRITTEN_MAX:
                    self._add_all(plan)
                self._write(plan, batch, now=max(request.now for request in requests))
        if requests:
            self._adopt(plan, batch)
        return answers, done

    def do(self, work: Callable[[apsw.Connection], T]) -> T:
        """Do what may touch stamps and accounts: the file has all first, and memory knows nothing better afterwards."""
        with self._writing():
            plan = self._write_all()
            done = work(self._connection)
        self._written_all(plan)
        return done

    def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Read what needs no more than the file."""
        with self._reading():
            self._look()
            return work(self._connection)

    def write_all(self) -> None:
        """Write all that only memory knows."""
        with self._writing():
            plan = self._write_all()
        self._written_all(plan)

    def write_aged(self, since: float) -> None:
        """Write the holds from before that time, and whatever else waits to be written."""
        keys = self.memory.aged(since)
        if not keys and not self.memory.pairs:
            return
        plan = new_plan()
        self.memory.add(plan, keys)
        with self._writing():
            self._write_pairs()
            self._write(plan, None, now=0)
        self.memory.pairs.clear()
        self.memory.adopt(plan)

    def probe(self) -> None:
        """Write what changes nothing, to see whether the disk takes it."""
        with self._writing():
            for statement in _PROBE:
                self._connection.execute(statement)

    def _redeem_in_memory(self, requests: Sequence[Request], since: float) -> list[Any]:
        with self._reading():
            batch, rows, answers = self._answer(requests)
            plan = self.memory.plan(batch, rows, (), since)
        self._adopt(plan, batch)
        return answers

    def _answer(self, requests: Sequence[Request]) -> tuple[Batch, dict[StampKey, Any], list[Any]]:
        """Answer, and say which stamps were read for it."""
        connection, memory = self._connection, self.memory
        keys = {item.key for request in requests for item in request.items}
        records = {key: one.record for key in keys if (one := memory.unwritten.get(key)) is not None}
        rows = stamps.load(connection, keys - records.keys()) if len(records) < len(keys) else {}
        self._look()
        records.update(rows)
        memory.begin_day(utc_day(requests[0].now))
        accounts = {key[0] for key in keys} - memory.accounts.keys()
        if accounts:
            memory.keep_figures(journal.figures(connection, accounts, today=memory.today))
        batch = Batch(records, memory.accounts, today=memory.today, number=self._next_number())
        return batch, rows, answer_all(batch, requests, self._domains(requests), self._floor_day())

    def _write(self, plan: Plan, batch: Batch | None, *, now: int) -> None:
        """Write a plan's stamps and what they count, and the money that a batch has moved."""
        connection, sums = self._connection, plan.sums
        changes = Changes(stamps=plan.stamps, held=sums.held, used=sums.used)
        if batch is None:
            batch = Batch({}, {}, today=0, number=0)
        else:
            moved = batch.changes
            changes.paid, changes.earned, changes.details = moved.paid, moved.earned, moved.details
            changes.settled, changes.refunded = moved.settled, moved.refunded
        if not changes.stamps:
            return
        writing = Batch(batch.stamps, batch.accounts, today=batch.today, number=batch.number)
        writing.changes = changes
        stamps.store(connection, changes.stamps, unheld=plan.unheld)
        journal.write_money(connection, writing, EntryKind.SETTLE, now=now)
        journal.write_counts(connection, changes, now=now)
        if changes.details:
            head = next_head(self._last_head(), changes.details, Moved.by(changes), now=now)
            chain.write_link(connection, head, changes.details, last_day=redemption.last_day(changes, now=now))
            self.memory.head = head

    def _write_all(self) -> Plan:
        plan = new_plan()
        self._add_all(plan)
        self._write_pairs()
        self._write(plan, None, now=0)
        return plan

    def _add_all(self, plan: Plan) -> None:
        self.memory.add_due(plan)
        self.memory.add(plan, self.memory.unwritten)

    def _written_all(self, plan: Plan) -> None:
        self.memory.adopt(plan)
        self.memory.pairs.clear()
        self.memory.forget()

    def _write_pairs(self) -> None:
        rows = [(*pair, holds) for pair, holds in self.memory.pairs.items()]
        if rows:
            self._connection.executemany(_ADD_PAIRS, rows)

    def _adopt(self, plan: Plan, batch: Batch) -> None:
        memory = self.memory
        memory.adopt(plan)
        pairs, today = memory.pairs, batch.today
        for (account, receiver), holds in batch.changes.holds.items():
            pairs[account, receiver, today] += holds

    def _domains(self, requests: Iterable[Request]) -> dict[str, frozenset[str]]:
        known = self.memory.domains
        asked = {request.receiver for request in requests if isinstance(request, JudgedRequest)} - known.keys()
        if asked:
            known.update(redemption.domains_of(self._connection, asked))
        return known

    def _floor_day(self) -> int:
        memory = self.memory
        if memory.floor_day is None:
            memory.floor_day = stamps.floor_day(self._connection)
        return memory.floor_day

    def _last_head(self) -> Any:
        memory = self.memory
        if not memory.is_head_known:
            memory.head, memory.is_head_known = chain.last_head(self._connection), True
        return memory.head

    def _next_number(self) -> int:
        head = self._last_head()
        return 1 if head is None else head.number + 1

    def _look(self) -> None:
        """Forget what was read before somebody else wrote. Nobody should: it is the owner's file.

        A ledger that has moved is not read any more either.
        """
        version = self._connection.data_version()
        if version != self._version:
            require_still_here(self._connection)
            self._version = version
            self.memory.forget()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        changed = connection.total_changes()
        try:
            self._look()
            yield
            connection.execute("COMMIT")
        except BaseException:
            self._undo()
            raise
        self.commits += connection.total_changes() > changed
        self._version = connection.data_version()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        """Roll back, and forget what the transaction had made of the figures."""
        self.memory.forget()
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except Exception as error:
                if not is_world(error):
                    raise
                return  # if the disk fails, SQLite rolls back by itself; the next BEGIN shows if it did not


def _lasting_keys(requests: Iterable[Request]) -> set[StampKey]:
    return {
        item.key
        for request in requests
        if isinstance(request, HoldRequest) and request.is_lasting
        for item in request.items
    }

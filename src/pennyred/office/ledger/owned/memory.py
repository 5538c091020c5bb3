"""What the owner of a ledger has in memory: what its file does not say yet, and what it need not ask the file again.

Pure: `books` reads and writes the file. A stamp counts towards two sums of its account: what is held, and what is used
of a day's cap. What a stamp counts follows from its record alone. So what the file's sums lack is always the
difference between two records of each unwritten stamp, and no sum can drift away from its stamps.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from pennyred.office.ledger.batch import Batch
from pennyred.postage.ledger_rules import AccountFigures, StampRecord, StampState
from pennyred.postage.proofs.chain import BatchHead
from pennyred.postage.stamp import StampKey

ACCOUNTS_MAX = 50_000
"""So many accounts' figures are kept; then all are read again as they are needed."""
UNWRITTEN_MAX = 50_000
"""So many holds stay in memory alone; more are written at once, whatever their age."""
_HELD, _VOIDED = int(StampState.HELD), int(StampState.VOIDED)


class Unwritten(Struct, frozen=True, gc=False):
    """A stamp that the file does not know as it is."""

    record: StampRecord
    row: StampRecord | None
    """The open hold that the file has for it. None where it has none: then nothing has to be undone there."""
    since: float
    """When it was held, by the loop's clock."""


class Sums:
    """What stamps count towards their accounts' sums."""

    __slots__ = ("held", "used")

    def __init__(self) -> None:
        self.held: defaultdict[str, int] = defaultdict(int)
        self.used: defaultdict[tuple[str, int], int] = defaultdict(int)
        """By account and UTC day."""

    def add(self, account: str, record: StampRecord | None, row: StampRecord | None) -> None:
        """Add what a stamp counts as `record`, less what it counted as `row`."""
        if record is not None and (state := record.state) != _VOIDED:
            self.used[account, record.cap_day] += record.price
            if state == _HELD:
                self.held[account] += record.price
        if row is not None and (state := row.state) != _VOIDED:
            self.used[account, row.cap_day] -= row.price
            if state == _HELD:
                self.held[account] -= row.price


class Plan(NamedTuple):
    """What becomes of the stamps that a batch has changed."""

    stamps: dict[StampKey, StampRecord]
    """To be written."""
    kept: dict[StampKey, Unwritten | None]
    """What stays in memory; None for what needs no memory any more, because the file has it right."""
    sums: Sums
    """What the file's sums have to be moved by."""
    unheld: list[StampKey]
    """Of those to be written: what the file has as open holds, and what are none any more."""

    def write(self, key: StampKey, record: StampRecord, row: StampRecord | None) -> None:
        """Have a stamp written, of which the file has this row."""
        self.stamps[key] = record
        self.sums.add(key[0], record, row)
        if row is not None and row.state == _HELD and record.state != _HELD:
            self.unheld.append(key)


def new_plan() -> Plan:
    """A plan of nothing."""
    return Plan({}, {}, Sums(), [])


class Memory:
    """What is known beside the file."""

    def __init__(self) -> None:
        self.unwritten: dict[StampKey, Unwritten] = {}
        """Oldest first. What is not here is as the file has it."""
        self.due: set[StampKey] = set()
        """Those whose open hold in the file is not true any more. They go along with whatever is written next: a
        payment may need what a void gave back, and the file checks its own sums."""
        self.pairs: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        """Holds by account, receiver and UTC day, for the sweeper's judgement: written with the aged holds."""
        self.accounts: dict[str, AccountFigures] = {}
        self.domains: dict[str, frozenset[str]] = {}
        self.floor_day: int | None = None
        self.head: BatchHead | None = None
        self.is_head_known = False
        self.today = 0
        self._owed = Sums()

    def forget(self) -> None:
        """Forget what the file can say. What only memory knows stays, and is added to what is read of accounts."""
        self.accounts.clear()
        self.domains.clear()
        self.floor_day = self.head = None
        self.is_head_known = False
        self._owed = Sums()
        for key, one in self.unwritten.items():
            self._owed.add(key[0], one.record, one.row)

    def begin_day(self, today: int) -> None:
        """What is used of a cap is of one day: on another one it is read again."""
        if today != self.today or len(self.accounts) > ACCOUNTS_MAX:
            self.forget()
            self.today = today

    def keep_figures(self, read: Mapping[str, AccountFigures]) -> None:
        """Keep figures as the file has them, with what it does not know yet added."""
        owed = self._owed
        for account, figures in read.items():
            figures.held += owed.held.pop(account, 0)
            figures.used_today += owed.used.get((account, self.today), 0)
            self.accounts[account] = figures

    def held_beside(self, accounts: Collection[str]) -> dict[str, int]:
        """What these accounts have on hold beside what the file says."""
        sums = Sums()
        for key, one in self.unwritten.items():
            if key[0] in accounts:
                sums.add(key[0], one.record, one.row)
        return sums.held

    def plan(
        self, batch: Batch, rows: Mapping[StampKey, StampRecord], lasting: Collection[StampKey], since: float
    ) -> Plan:
        """Decide what of a batch is written now. `rows` are the stamps that were read for it, as they were.

        A hold is kept in memory unless it is one of the `lasting`; so is what happens to a hold later, but a payment.
        With anything that is written go all changes of holds that are in the file.
        """
        plan, unwritten = new_plan(), self.unwritten
        kept, write = plan.kept, plan.write
        for key, record in batch.changes.stamps.items():
            before, state = unwritten.get(key), record.state
            row = rows.get(key) if before is None else before.row
            if state > _VOIDED or key in lasting:
                write(key, record, row)
                continue
            is_in_file = row is not None and row.state == _HELD
            if is_in_file or state == _HELD:
                kept[key] = Unwritten(record, row if is_in_file else None, since if before is None else before.since)
            else:
                kept[key] = None  # voided before it was written: it was never there
        if plan.stamps:
            self.add_due(plan)
        return plan

    def add_due(self, plan: Plan) -> None:
        """Have all written whose open hold in the file is not true any more, those of this very plan too."""
        for key, one in list(plan.kept.items()):
            if one is not None and one.row is not None:
                plan.write(key, one.record, one.row)
                del plan.kept[key]
        self.add(plan, self.due)

    def add(self, plan: Plan, keys: Iterable[StampKey]) -> None:
        """Have these unwritten stamps written too, unless the plan says what becomes of them."""
        for key in keys:
            if key not in plan.stamps and key not in plan.kept:
                one = self.unwritten[key]
                plan.write(key, one.record, one.row)

    def adopt(self, plan: Plan) -> None:
        """Take over a plan whose stamps are written."""
        unwritten, due = self.unwritten, self.due
        for key in plan.stamps:
            one = unwritten.pop(key, None)
            if one is not None and key[0] not in self.accounts:  # what will be read of its account has it now
                self._owed.add(key[0], one.row, one.record)
        if due:
            due.difference_update(plan.stamps)
        for key, one in plan.kept.items():
            if one is None:
                unwritten.pop(key, None)
                continue
            unwritten[key] = one
            if one.row is not None:
                due.add(key)

    def aged(self, since: float) -> list[StampKey]:
        """The unwritten stamps that were held by then, and those that are due."""
        found = list(self.due)
        for key, one in self.unwritten.items():
            if one.since > since:
                break
            if one.row is None:
                found.append(key)
        return found

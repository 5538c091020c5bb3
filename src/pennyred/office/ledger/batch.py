"""A list of stamps against the rules: what is answered, and what must be written down.

Pure, except that it changes the two dictionaries it is given: the stamps and the accounts that the list touches, read
before. Each item sees what those before it have done, so duplicates within one list need no rule of their own. What has
to be stored is gathered in `Changes`, summed by account, so that a batch writes each account once.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from pennyred.postage.ledger_rules import (
    AccountFigures,
    HoldFacts,
    HoldOrder,
    RefundOutcome,
    StampRecord,
    StampState,
    SweepDecision,
    decide_hold,
    decide_refund,
    decide_settle,
    decide_settle_stamp,
    decide_sweep,
    decide_void,
    fails_group,
    is_leased,
)
from pennyred.postage.proofs.chain import Use, place_of, use_detail
from pennyred.postage.redemption import HoldAnswer, HoldOutcome, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.postage.stamp import StampKey

Pair = tuple[str, str]
"""A sender's account id and a receiver's name."""

_GROUP_FAILED = HoldAnswer(HoldOutcome.GROUP_FAILED)
_HELD, _VOIDED, _SETTLED = int(StampState.HELD), int(StampState.VOIDED), int(StampState.SETTLED)
_record: partial[StampRecord] = partial(tuple.__new__, StampRecord)
"""Makes a record of a tuple of all its fields, in half the time: each stamp needs two."""


def use_of(key: StampKey, stamp: StampRecord) -> Use:
    """What a settled stamp was used for."""
    return Use(*key, stamp.letter, stamp.receiver, stamp.domain, stamp.price, stamp.settled_at)


def _sums() -> defaultdict[str, int]:
    return defaultdict(int)


def _day_sums() -> defaultdict[int, int]:
    return defaultdict(int)


def _pair_sums() -> defaultdict[Pair, int]:
    return defaultdict(int)


def _account_day_sums() -> defaultdict[tuple[str, int], int]:
    return defaultdict(int)


@dataclass(slots=True)
class Changes:
    """What a batch has changed; all numbers are differences."""

    stamps: dict[StampKey, StampRecord] = field(default_factory=dict)
    held: defaultdict[str, int] = field(default_factory=_sums)
    """Stamps on hold, by the sender's account."""
    used: defaultdict[tuple[str, int], int] = field(default_factory=_account_day_sums)
    """Stamps counted towards the cap, by account and UTC day."""
    holds: defaultdict[Pair, int] = field(default_factory=_pair_sums)
    """How many holds are new, by pair."""
    in_doubt: defaultdict[Pair, int] = field(default_factory=_pair_sums)
    """How many holds the sweeper has voided, by pair."""
    paid: defaultdict[str, int] = field(default_factory=_sums)
    """By sender's account; negative for a refund, as in `earned`."""
    earned: defaultdict[str, int] = field(default_factory=_sums)
    """By receiver's name. Who paid whom is in the details alone, which are forgotten with their day."""
    settled: defaultdict[int, int] = field(default_factory=_day_sums)
    """Stamps settled, by expiry day."""
    refunded: defaultdict[int, int] = field(default_factory=_day_sums)
    """Stamps refunded, by expiry day."""
    details: list[bytes] = field(default_factory=list)
    """Hashes of the payments and refunds, in the order of their places in the chain."""


class Batch:
    """The stamps of one transaction. Its methods answer; then `changes` is what has to be stored.

    All its calls are of one UTC day, `today`: the day that the accounts' `used_today` is of. `number` is the batch's
    number in the journal's chain, if it moves any stamps.
    """

    __slots__ = ("accounts", "changes", "number", "stamps", "today")

    def __init__(
        self, stamps: dict[StampKey, StampRecord], accounts: dict[str, AccountFigures], *, today: int, number: int
    ) -> None:
        self.stamps = stamps
        self.accounts = accounts
        self.today = today
        self.number = number
        self.changes = Changes()

    def hold(self, orders: Sequence[HoldOrder], facts: HoldFacts) -> list[HoldAnswer]:
        """Hold each group whole or not at all. Groups are taken in the order of their first orders."""
        groups: dict[int, list[int]] = {}
        for index, order in enumerate(orders):
            groups.setdefault(order.group, []).append(index)
        answers: list[HoldAnswer] = [_GROUP_FAILED] * len(orders)
        for members in groups.values():
            if len(members) == 1:
                answers[members[0]] = self._hold_one(orders[members[0]], facts)
            else:
                self._hold_group(orders, members, answers, facts)
        return answers

    def _hold_one(self, order: HoldOrder, facts: HoldFacts) -> HoldAnswer:
        before = self.stamps.get(order.key)
        answer = decide_hold(order, before, self.accounts.get(order.account), facts)
        outcome = answer.outcome
        if outcome is HoldOutcome.HELD:
            self._hold_anew(order, facts)
        elif outcome is HoldOutcome.RENEWED:
            self._take_hold(order, before, answer, facts)
        return answer

    def _hold_group(
        self, orders: Sequence[HoldOrder], members: list[int], answers: list[HoldAnswer], facts: HoldFacts
    ) -> None:
        done: list[tuple[HoldOrder, StampRecord | None, HoldAnswer]] = []
        has_failed = False
        for index in members:
            order = orders[index]
            before = self.stamps.get(order.key)
            answer = decide_hold(order, before, self.accounts.get(order.account), facts)
            answers[index] = answer
            if answer.outcome is HoldOutcome.HELD or answer.outcome is HoldOutcome.RENEWED:
                self._take_hold(order, before, answer, facts)
                done.append((order, before, answer))
            elif fails_group(answer.outcome):
                has_failed = True
        if has_failed:
            for order, before, answer in reversed(done):
                self._undo_hold(order, before, answer, facts)
            for index in members:
                if answers[index].outcome.is_held:
                    answers[index] = _GROUP_FAILED

    def _take_hold(self, order: HoldOrder, before: StampRecord | None, answer: HoldAnswer, facts: HoldFacts) -> None:
        if answer.outcome is HoldOutcome.RENEWED:
            assert before is not None, "only what is held can be renewed"
            is_leased_now = is_leased(before.lease_until, facts.now)
            lease_until = max(before.lease_until if is_leased_now else 0, order.lease_until)
            self._store(order.key, before._replace(tx=order.tx, lease_until=lease_until))
        else:
            self._hold_anew(order, facts)

    def _hold_anew(self, order: HoldOrder, facts: HoldFacts) -> None:
        price = order.price
        self._store(
            order.key,
            _record((
                _HELD, facts.receiver, order.domain, order.letter, order.tx, price, self.today, order.lease_until, 0, 0
            )),
        )  # fmt: skip
        self._count_hold(order.account, price, 1, facts.receiver)

    def _undo_hold(self, order: HoldOrder, before: StampRecord | None, answer: HoldAnswer, facts: HoldFacts) -> None:
        """Take back `_take_hold`. A stamp first seen here is left out of the changes; any other is stored as it was."""
        key = order.key
        if before is None:
            del self.stamps[key], self.changes.stamps[key]
        else:
            self._store(key, before)
        if answer.outcome is HoldOutcome.HELD:
            self._count_hold(order.account, -order.price, -1, facts.receiver)

    def _count_hold(self, account: str, stamps: int, holds: int, receiver: str) -> None:
        figures, changes = self.accounts[account], self.changes
        figures.held += stamps
        figures.used_today += stamps
        changes.held[account] += stamps
        changes.used[account, self.today] += stamps
        changes.holds[account, receiver] += holds

    def settle(self, receiver: str, settles: Sequence[Settle], *, now: int) -> list[SettleOutcome]:
        """Take the price of each stamp. Of a voided stamp only if the account still has as much."""
        outcomes = []
        stamps, accounts, taken = self.stamps, self.accounts, SettleOutcome.SETTLED
        for settle in settles:
            key = settle.key
            stamp = stamps.get(key)
            account = accounts.get(key[0])
            outcome = decide_settle(settle, receiver, stamp, account.balance - account.held if account else 0)
            if outcome is taken:
                assert stamp is not None, "only what was held can be settled"
                self._take_payment(key, stamp, now)
            outcomes.append(outcome)
        return outcomes

    def settle_stamps(self, orders: Sequence[HoldOrder], facts: HoldFacts) -> list[SettleOutcome]:
        """Take the price of each stamp for its letter, held or not, if it is still good. Groups do not matter."""
        outcomes = []
        for order in orders:
            key = order.key
            before = self.stamps.get(key)
            outcome = decide_settle_stamp(order, before, self.accounts.get(order.account), facts)
            if outcome is SettleOutcome.SETTLED:
                if before is None or before.state != StampState.HELD:
                    self._hold_anew(order, facts)
                self._take_payment(key, self.stamps[key], facts.now)
            outcomes.append(outcome)
        return outcomes

    def void(self, receiver: str, voids: Sequence[Void]) -> list[VoidOutcome]:
        """Give back the price of each stamp that is held under the void's tx."""
        outcomes = []
        for void in voids:
            key = void.key
            stamp = self.stamps.get(key)
            outcome = decide_void(void, receiver, stamp)
            if outcome is VoidOutcome.VOIDED:
                assert stamp is not None, "only what is held can be voided"
                self._give_back(key, stamp)
            outcomes.append(outcome)
        return outcomes

    def refund(self, receiver: str, refunds: Sequence[Settle], receiver_balance: int) -> list[RefundOutcome]:
        """Move each settled price back, as long as the receiver's balance has it."""
        outcomes = []
        for refund in refunds:
            key = refund.key
            stamp = self.stamps.get(key)
            outcome = decide_refund(refund, receiver, stamp, receiver_balance)
            if outcome is RefundOutcome.REFUNDED:
                assert stamp is not None, "only what was settled can be refunded"
                self._store(key, stamp._replace(state=StampState.REFUNDED))
                self.accounts[refund.account].balance += stamp.price
                receiver_balance -= stamp.price
                detail = use_detail(b"refund", key, stamp.letter, receiver, stamp.domain, stamp.price, stamp.settled_at)
                self.changes.details.append(detail)
                self.changes.paid[refund.account] -= stamp.price
                self.changes.earned[receiver] -= stamp.price
                self.changes.refunded[refund.expiry_day] += stamp.price
            outcomes.append(outcome)
        return outcomes

    def sweep(self, doubtful: Sequence[StampKey], usage: dict[Pair, tuple[int, int]], *, now: int) -> tuple[int, int]:
        """Void or settle holds that nobody came back for.

        `usage` is, for each account and receiver, the number of holds and of in-doubt voids in 30 days. Answers how
        many were voided and how many settled.
        """
        voided = 0
        for key in doubtful:
            stamp = self.stamps[key]
            pair = (key[0], stamp.receiver)
            holds, in_doubt = usage.get(pair, (0, 0))
            if decide_sweep(holds, in_doubt + self.changes.in_doubt[pair]) is SweepDecision.SETTLE:
                self._take_payment(key, stamp, now)
                continue
            self._give_back(key, stamp)
            self.changes.in_doubt[pair] += 1
            voided += 1
        return voided, len(doubtful) - voided

    def _take_payment(self, key: StampKey, stamp: StampRecord, now: int) -> None:
        state, receiver, domain, letter, _, price, cap_day, _, _, _ = stamp
        sender, expiry_day, _ = key
        account, changes = self.accounts[sender], self.changes
        if state == _HELD:
            account.held -= price
            changes.held[sender] -= price
        else:  # it was voided, which gave it back to its day's cap
            self._count_use(sender, cap_day, price)
        account.balance -= price
        changes.paid[sender] += price
        changes.earned[receiver] += price
        changes.settled[expiry_day] += price
        details = changes.details
        place = place_of(self.number, len(details))
        self.stamps[key] = changes.stamps[key] = _record(
            (_SETTLED, receiver, domain, letter, b"", price, cap_day, 0, now, place)
        )
        details.append(use_detail(b"settle", key, letter, receiver, domain, price, now))

    def _give_back(self, key: StampKey, stamp: StampRecord) -> None:
        self.accounts[key[0]].held -= stamp.price
        self.changes.held[key[0]] -= stamp.price
        self._count_use(key[0], stamp.cap_day, -stamp.price)
        self.stamps[key] = self.changes.stamps[key] = _record(
            (_VOIDED, stamp.receiver, stamp.domain, stamp.letter, b"", stamp.price, stamp.cap_day, 0, 0, 0)
        )

    def _count_use(self, account: str, day: int, stamps: int) -> None:
        self.changes.used[account, day] += stamps
        if day == self.today:
            self.accounts[account].used_today += stamps

    def _store(self, key: StampKey, record: StampRecord) -> None:
        self.stamps[key] = self.changes.stamps[key] = record

"""Hold what pays a letter: one stamp for each recipient, all or none.

A recipient may carry several stamps made out to it. All of them are asked about at once, because any of them may have
paid this very letter in an earlier attempt: taking another one then would charge twice. The first of each recipient are
one group; the spare ones are groups of their own and are given back when they are not needed.

Before all others those are asked about that this gate would not take as its settings and keys are now, and that are
bound to this letter all the same: the letter may have been paid for when they were others. They are asked with their
flaw, so that nothing is held by them that was not held before.
"""

from collections.abc import Sequence

from msgspec import Struct, field

from pennyred.gate.judging.standing import Ruling, Standing, flaw_of
from pennyred.gate.ports import Redeemer
from pennyred.postage.digest import domain_hash
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.redemption import Hold, HoldAnswer, HoldOutcome, Settle, Void
from pennyred.postage.stamp import Stamp
from pennyred.postage.verification import Verdict

ROUNDS_MAX = 4
"""As many as stamps are tried for one recipient: each round either ends or drops a stamp."""

_REASONS = {
    HoldOutcome.WRONG_RECEIVER: Reason.WRONG_RECEIVER,
    HoldOutcome.UNKNOWN_ACCOUNT: Reason.ACCOUNT_CLOSED,
    HoldOutcome.ACCOUNT_CLOSED: Reason.ACCOUNT_CLOSED,
    HoldOutcome.REVOKED: Reason.REVOKED,
    HoldOutcome.EXPIRED: Reason.EXPIRED,
    HoldOutcome.SPENT: Reason.SPENT,
    HoldOutcome.OVER_CAP: Reason.OVER_CAP,
    HoldOutcome.INSUFFICIENT_BALANCE: Reason.INSUFFICIENT_BALANCE,
}


class Holding(Struct):
    """What is held for one letter under one tx."""

    tx: bytes
    held: dict[int, Stamp] = field(default_factory=dict)
    """Recipient index to the stamp reserved for it."""
    settled: set[int] = field(default_factory=set)
    """Recipients that have had this very letter before."""
    reserved: set[tuple[int, Stamp]] = field(default_factory=set)
    """All that is reserved at the office under this tx, spare stamps included."""
    unanswered: Reason | None = None
    """Why the office could not be asked; then nothing is held."""
    in_progress: bool = False
    """Another delivery of this very letter is under way; then nothing is held."""
    spent: dict[int, Verdict] = field(default_factory=dict)
    """Of a recipient, the last stamp that was found spent; nothing else speaks against it."""
    left: dict[int, list[Verdict]] = field(default_factory=dict)
    """The stamps that may still be asked about, for each recipient."""
    reasons: dict[int, Reason] = field(default_factory=dict)
    """What the office's answers make of a recipient, so far."""
    rulings: list[Ruling] = field(default_factory=list)
    """And in the end."""

    def is_hopeless(self) -> bool:
        """Whether some recipient has no stamp left to ask about."""
        return not all(self.left.values()) and any(
            not offers and index not in self.settled for index, offers in self.left.items()
        )

    def is_open(self, standings: Sequence[Standing]) -> bool:
        """Whether some recipient is neither paid nor known to have had the letter."""
        return any(one.index not in self.held and one.index not in self.settled for one in standings)


async def hold_all(redeemer: Redeemer, standings: Sequence[Standing], *, tx: bytes, lease_seconds: int) -> Holding:
    """Hold one stamp for each of `standings`; those that cannot be paid are left without stamps and with their reason
    (`rulings`).

    When a recipient cannot be paid, or the letter is in progress elsewhere, nothing stays held.
    """
    if any(len(one.stamps) != 1 or one.has_flawed_stamp for one in standings):
        return await _hold_of_several(redeemer, standings, Holding(tx), lease_seconds)
    holds = [_hold(tx, 0, one, one.stamps[0]) for one in standings]
    try:
        answers = await redeemer.hold(holds, lease_seconds=lease_seconds)
    except Unavailable as unavailable:
        return Holding(tx, unanswered=unavailable.reason)
    if all(answer.outcome.is_held for answer in answers):
        return _all_held(tx, standings)
    return await _hold_of_several(redeemer, standings, Holding(tx), lease_seconds, answers)


def _all_held(tx: bytes, standings: Sequence[Standing]) -> Holding:
    """What nearly every letter comes to: each recipient has one stamp, and the office holds it."""
    paid = [(one.index, one.stamps[0]) for one in standings]
    rulings = [Ruling(index, _paid(offer), verdict=offer, paid_by=offer.stamp) for index, offer in paid]
    return Holding(tx, {index: offer.stamp for index, offer in paid}, rulings=rulings)


async def _hold_of_several(
    redeemer: Redeemer,
    standings: Sequence[Standing],
    holding: Holding,
    lease_seconds: int,
    answers: Sequence[HoldAnswer] = (),
) -> Holding:
    """Ask in rounds, until each recipient has a stamp held or one has none left. `answers`: to the first round, if it
    was asked already.
    """
    holding.left = {one.index: list(one.stamps) for one in standings}
    try:
        if any(one.has_flawed_stamp for one in standings):
            await _ask_back(redeemer, standings, holding, lease_seconds)
        for _ in range(ROUNDS_MAX):
            if holding.in_progress or holding.is_hopeless():
                break
            dropped = await _round(redeemer, standings, holding, lease_seconds, answers)
            answers = ()
            if holding.in_progress or not holding.is_open(standings) or holding.is_hopeless():
                break
            if not dropped:  # a group that failed though none of it did: this office cannot be understood
                holding.unanswered = Reason.OFFICE_UNREACHABLE
                break
    except Unavailable as unavailable:
        holding.unanswered = unavailable.reason
    if holding.in_progress or holding.unanswered or holding.is_open(standings):
        holding.held.clear()
    holding.rulings = [
        Ruling(
            index,
            holding.reasons.get(index),
            stamps=tuple(offers),
            verdict=next((one for one in offers if one.stamp is holding.held.get(index)), None),
            paid_by=holding.held.get(index),
        )
        for index, offers in holding.left.items()
    ]
    spare = [(index, stamp) for index, stamp in holding.reserved if holding.held.get(index) is not stamp]
    await give_back(redeemer, standings, spare, tx=holding.tx)
    return holding


async def give_back(
    redeemer: Redeemer, standings: Sequence[Standing], spare: Sequence[tuple[int, Stamp]], *, tx: bytes
) -> bool:
    """Void holds, as well as can be; False where the office did not answer: then the lease ends them."""
    if not spare:
        return True
    letters = {standing.index: standing.letter_hash for standing in standings}
    voids = [Void(stamp.issuer, *stamp.key, letters[index], tx) for index, stamp in spare]
    try:
        await redeemer.void(voids)
    except Unavailable:
        return False
    return True


def settlement(standing: Standing) -> Settle:
    """What to take for a recipient that has had its letter.

    The stamp goes with it, in case the hold is forgotten meanwhile. One that would not be taken any more does not: only
    its hold speaks for it.
    """
    stamp, verdict = standing.paid_by, standing.verdict
    assert stamp is not None
    if verdict is None or verdict.stamp is not stamp or flaw_of(verdict.reason) is not None:
        return Settle(stamp.issuer, *stamp.key, standing.letter_hash)
    return Settle(stamp.issuer, *stamp.key, standing.letter_hash, stamp, _domain(standing, stamp))


async def _ask_back(redeemer: Redeemer, standings: Sequence[Standing], holding: Holding, lease_seconds: int) -> None:
    """Whether a stamp that would not be taken any more has paid this letter before; one that has not is no stamp."""
    asked = [
        (one, offer) for one in standings for offer in holding.left[one.index] if flaw_of(offer.reason) is not None
    ]
    holds = [_hold(holding.tx, place, standing, offer) for place, (standing, offer) in enumerate(asked, 1)]
    answers = await redeemer.hold(holds, lease_seconds=lease_seconds)
    for (standing, offer), answer in zip(asked, answers, strict=True):
        _read(answer, standing, offer, holding)
    _note_settled(holding)


async def _round(
    redeemer: Redeemer,
    standings: Sequence[Standing],
    holding: Holding,
    lease_seconds: int,
    answers: Sequence[HoldAnswer],
) -> int:
    """Ask about every stamp still in question and read the answers; returns how many stamps turned out not to count.

    `answers` are those that were given already; none: nothing was asked yet.
    """
    before = frozenset(holding.settled)
    asked = [
        (standing, rank, offer)
        for standing in standings
        if standing.index not in holding.settled
        for rank, offer in enumerate(holding.left[standing.index])
    ]
    asked.sort(key=lambda item: item[1] > 0)  # the letter's group first: spare stamps must not use up its balance
    holds = [
        _hold(holding.tx, place if rank or flaw_of(offer.reason) else 0, standing, offer)
        for place, (standing, rank, offer) in enumerate(asked, 1)
    ]
    if holds and not answers:
        answers = await redeemer.hold(holds, lease_seconds=lease_seconds)
    holding.held.clear()
    for (standing, _, offer), answer in zip(asked, answers, strict=True):
        _read(answer, standing, offer, holding)
    _note_settled(holding)
    return len(asked) - sum(len(offers) for index, offers in holding.left.items() if index not in before)


def _note_settled(holding: Holding) -> None:
    for index in holding.settled:
        holding.held.pop(index, None)
        holding.reasons[index] = Reason.DUPLICATE


def _hold(tx: bytes, group: int, standing: Standing, offer: Verdict) -> Hold:
    return Hold(
        tx,
        group,
        offer.stamp,
        _domain(standing, offer.stamp),
        standing.letter_hash,
        flaw_of(offer.reason),
        is_altered=bool(offer.altered),
    )


def _domain(standing: Standing, stamp: Stamp) -> str:
    """The domain of whom the stamp is made out to: the recipient's, or that of an alias that led to it."""
    if len(standing.names) == 1:
        return standing.names[0].domain
    return next(name.domain for name in standing.names if domain_hash(stamp.serial, name.domain) == stamp.domain_hash)


def _read(answer: HoldAnswer, standing: Standing, offer: Verdict, holding: Holding) -> None:
    """One answer: reserved, had before, in progress, or a stamp less to ask about."""
    stamp, flaw = offer.stamp, flaw_of(offer.reason)
    if answer.outcome.is_held:
        holding.reserved.add((standing.index, stamp))
        if flaw is not None and answer.outcome is not HoldOutcome.RENEWED:
            _drop(standing, offer, flaw, holding)  # an office that holds what it was not asked to hold
            return
        # One's own hold of an earlier attempt is the one to settle: that attempt may have delivered the letter.
        if answer.outcome is HoldOutcome.RENEWED or standing.index not in holding.held:
            holding.held[standing.index] = stamp
            holding.reasons[standing.index] = _paid(offer)
    elif answer.outcome is HoldOutcome.ALREADY_SETTLED:
        holding.settled.add(standing.index)
    elif answer.outcome is HoldOutcome.IN_PROGRESS:
        holding.in_progress = True
    elif answer.outcome is not HoldOutcome.GROUP_FAILED or flaw is not None:
        if answer.outcome is HoldOutcome.SPENT and flaw is None:
            holding.spent[standing.index] = offer
        _drop(standing, offer, flaw or _reason(answer), holding)


def _drop(standing: Standing, offer: Verdict, reason: Reason, holding: Holding) -> None:
    holding.left[standing.index].remove(offer)
    if standing.index not in holding.held:
        holding.reasons[standing.index] = reason


def _paid(offer: Verdict) -> Reason:
    """One that would not be taken any more, or had expired by this gate's clock, and is held is paid like any other."""
    return Reason.STAMPED_MODIFIED if offer.altered else Reason.STAMPED


def _reason(answer: HoldAnswer) -> Reason:
    """The reason a due recipient is told. An office's own finding is believed where it is the name of such a reason."""
    if answer.outcome is HoldOutcome.INVALID:
        found = (reason for reason in Reason if reason == answer.reason and reason.kind is Kind.DUE)
        return next(found, Reason.BAD_SIGNATURE)
    return _REASONS[answer.outcome]

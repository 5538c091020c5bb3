"""The gate's desk: one letter's life, from the last byte received to the answer.

Judge every recipient; refuse the letter whole if postage is due for one; hold what pays it; deliver; then settle what
was delivered and void what was not. What is promised:

- Nothing is charged that was not delivered, and nothing twice: settle matches the letter, void the delivery attempt.
- "Well" is said only after the mail server has said it, or when every recipient has had this very letter before.
- Trouble with office or ledger is "later", and never touches a letter that needs no stamp.
"""

import asyncio
from collections.abc import Callable, Sequence

from pennyred.days import utc_day
from pennyred.gate.case import Case
from pennyred.gate.counting import facts_of
from pennyred.gate.headers import added_fields, kept_header
from pennyred.gate.holding import Holding, give_back, hold_all, settlement
from pennyred.gate.judging.judge import Judging
from pennyred.gate.judging.nobody import NoAuthenticator
from pennyred.gate.judging.standing import Judgement, Ruling, Standing, free_recipients, is_watching_all
from pennyred.gate.judging.wanted_at_rcpt import wanted_too
from pennyred.gate.letterbox import Answer, Delivered, Delivery, Due, Duplicate, Envelope, Fate, Later, Letter, Relay
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.part_delivery import PartDelivery
from pennyred.gate.policy import Check, GatePolicy
from pennyred.gate.ports import (
    AllowanceBook,
    Authenticator,
    PartDeliveryBook,
    Redeemer,
    Refusals,
    Refused,
    SettlementOutbox,
)
from pennyred.gate.quarantine.approval import proven as in_words
from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.figures import Fact
from pennyred.gate.rules.origin import UNPROVEN
from pennyred.gate.settling import DurableSettling
from pennyred.gate.timing import Phase, Stopwatch
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

_UNDELIVERED = (Fate.REFUSED_TEMPORARY, Fate.REFUSED_PERMANENT, Fate.NOT_SENT)


class Desk:
    """Judges letters and charges for them; one for each worker process. Implements `letterbox.GateDesk`."""

    def __init__(
        self,
        policy: GatePolicy,
        redeemer: Redeemer,
        allowances: AllowanceBook,
        outbox: SettlementOutbox,
        part_deliveries: PartDeliveryBook,
        *,
        clock: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        log: LetterLog,
        judging: Judging | None = None,
        authenticator: Authenticator | None = None,
        refusals: Refusals | None = None,
        note_facts: Callable[[Sequence[Fact]], None] | None = None,
        note_times: Callable[[Stopwatch], None] | None = None,
        note_failure: Callable[[Reason, int], None] | None = None,
    ) -> None:
        """`note_failure` hears of a letter that has no answer from here: why, and to how many recipients it is."""
        self.policy = policy
        """May be replaced while letters are under way: each is judged by the one it began with."""
        self._redeemer = redeemer
        self._allowances = allowances
        self._settling = DurableSettling(outbox, log)
        self._part_deliveries = part_deliveries
        self._clock = clock
        self._random_bytes = random_bytes
        self._log = log
        self._judging = judging or Judging(random_bytes=random_bytes)
        self.authenticator: Authenticator = authenticator or NoAuthenticator()
        """May be replaced as well."""
        self.refusals = refusals
        """And this: where copies of refused letters are kept; None: nowhere."""
        self._note_facts = note_facts
        self._note_times = note_times
        self._note_failure = note_failure

    async def take(self, letter: Letter, envelope: Envelope, delivery: Delivery) -> Answer:
        """Judge, hold, deliver, settle. Raises `Unavailable` where the gate's own state does not answer."""
        try:
            times, mode = Stopwatch(letter.milliseconds), self.policy.mode
            if is_watching_all(self.policy, envelope):
                return await self._observe(letter, envelope, delivery, times)
            case = await self._open(letter, envelope, times)
            holding, refusal = await self._charge(case)
            answer = await self._deliver(case, holding, delivery) if refusal is None else refusal
            if isinstance(answer, Due) and not answer.reason.is_cured_by_time:
                await self._keep(case)
            self._tell(letter, envelope, case.judgement, answer, times, mode)
        except Exception as trouble:
            if self._note_failure is not None:
                reason = trouble.reason if isinstance(trouble, Unavailable) else Reason.INTERNAL
                self._note_failure(reason, len(envelope.recipients))
            raise
        return answer

    async def free_recipients(
        self, sender: bytes, source_ip: str, mailboxes: Sequence[bytes]
    ) -> Sequence[bool | None] | None:
        """Which recipients take unstamped mail, as far as is known before the letter is; see `letterbox.GateDesk`."""
        policy, now = self.policy, self._clock()
        is_free = free_recipients(policy, sender, source_ip, now)
        if is_free is None:
            return None
        free = [is_free(mailbox) for mailbox in mailboxes]
        envelope = Envelope(sender, tuple(mailboxes), source_ip, source_known=True)
        return await wanted_too(self._judging.grant_book, self.authenticator, policy, envelope, free, now=now)

    async def _open(self, letter: Letter, envelope: Envelope, times: Stopwatch) -> Case:
        policy = self.policy
        judgement, search, taken = await self._judging.judge(
            letter, envelope, policy, self.authenticator, self._allowances, now=self._clock()
        )
        times.lap(Phase.JUDGE)
        return Case(policy, letter, envelope, judgement, search, taken, self._random_bytes(16), times)

    async def _charge(self, case: Case) -> tuple[Holding, Answer | None]:
        """Refuse, or hold what pays the letter. Whatever fails gives back all that was taken, and so does a refusal."""
        holding, standings = Holding(case.tx), case.standings
        try:
            if case.judgement.is_answer:
                case.judgement.rule(await case.taken.take_bounce(standings))
            refusal = await self._refusal(case)
            bearers = [one for one in standings if one.reason is Reason.PASS or one.went_through]
            if refusal is None and bearers and not await case.taken.take_passes(bearers):
                # Later, not no: an honest letter whose answers were all lost is let through tomorrow.
                refusal = Later(Reason.IN_PROGRESS)
            if refusal is None:
                holding, refusal = await self._pay(case)
        except BaseException:
            await case.give_back()
            raise
        had = [one for one in standings if one.reason is Reason.DUPLICATE]
        # A sister gate was paid for this very letter, and it is still on its way: 250 here would lose it.
        on_its_way = [Ruling(one.index, Reason.PASS) for one in had if one.went_through]
        case.judgement.rule(on_its_way)
        if refusal is None and len(had) == len(standings) and not on_its_way:
            refusal = Duplicate()
        case.times.lap(Phase.HOLD)
        if refusal is not None:
            await case.give_back()
        return holding, refusal

    async def _refusal(self, case: Case) -> Answer | None:
        """What to answer without asking an office: postage is due for a recipient that has no stamp to ask about."""
        unstamped = [one for one in case.standings if one.is_due]
        if not unstamped or await self._allow(case, unstamped):
            return None
        # A domain that the DNS could have proven has an allowance of its own.
        doubt = case.judgement.authentication.doubt
        case.judgement.rule(
            [
                Ruling(one.index, Reason.BULK if one.reason is Reason.NO_STAMP else None, one.doubt or doubt)
                for one in unstamped
                if one.mode is Mode.BULK
            ]
        )
        surely = [one for one in unstamped if one.doubt is None]
        if not surely:
            return Later(unstamped[0].doubt or Reason.INTERNAL)
        # What somebody must act on comes before what time cures: else the sender would only be told to wait.
        first = min(surely, key=lambda one: one.reason.is_cured_by_time)
        return Due(first.index, first.reason, first.price, first.altered, first.delivered_at)

    async def _allow(self, case: Case, unstamped: Sequence[Standing]) -> bool:
        """Whether all of them are in mode "bulk", and within the allowance of whoever writes."""
        if not all(one.mode is Mode.BULK for one in unstamped):
            return False
        rulings = await case.taken.take_bulk(unstamped)
        case.judgement.rule(rulings)
        return not any(one.is_over_allowance for one in rulings)

    async def _pay(self, case: Case) -> tuple[Holding, Answer | None]:
        """Hold a stamp for every recipient that needs one, or say why not; with a refusal, nothing is held.

        In mode "bulk" a stamp that does not count is no stamp: its recipient falls back on the allowance, and the
        others are asked again without it, under the same tx.
        """
        while payable := [one for one in case.standings if one.stamps and not one.is_watched]:
            holding = await hold_all(self._redeemer, payable, tx=case.tx, lease_seconds=case.policy.lease_seconds)
            case.judgement.rule(holding.rulings)
            if len(holding.held) == len(payable):
                return holding, None
            if holding.in_progress:
                return holding, Later(Reason.IN_PROGRESS)
            if holding.unanswered is not None:
                if await self._allow(case, payable):
                    continue
                return holding, Later(holding.unanswered)
            if holding.spent:
                case.judgement.rule(await self._judging.recall_texts(case.judgement, holding.spent))
            refusal = await self._refusal(case)
            if refusal is not None or not holding.is_open(payable):
                return holding, refusal
        return Holding(case.tx), None

    async def _deliver(self, case: Case, holding: Holding, delivery: Delivery) -> Answer:
        """Send the letter to those who have not had it, then settle or void by each one's fate."""
        policy = case.policy
        going = [one for one in case.standings if one.reason is not Reason.DUPLICATE]
        part: PartDelivery | None = None
        try:
            if delivery.answers_each:
                unpaid = [one for one in going if one.index not in holding.held]
                part = await PartDelivery.look(self._part_deliveries, unpaid)
                going = [one for one in going if one.index not in part.had]
            fields = added_fields(policy, going, case.judgement.authentication, day=case.taken.day)
            header = kept_header(policy, case.letter.header, case.envelope, case.judgement.passes)
        except BaseException:
            await give_back(self._redeemer, case.standings, list(holding.held.items()), tx=case.tx)
            await case.give_back()
            raise
        if not going:
            await case.give_back()
            return Duplicate()
        # With less lease left than the mail server may take to answer, another attempt could overlap with this one.
        dot_before = asyncio.get_running_loop().time() + policy.lease_seconds - policy.upstream_timeout_seconds
        indexes = [one.index for one in going]
        delivered = await delivery.send(indexes, fields, header, dot_before=dot_before)
        case.times.lap(Phase.DELIVER)
        await self._book(case, holding, going, delivered)
        if part is not None:
            await part.note(indexes, delivered.fates, day=case.taken.day)
        case.times.lap(Phase.SETTLE)
        return Relay(delivered, tuple(indexes))

    async def _book(self, case: Case, holding: Holding, going: Sequence[Standing], delivered: Delivered) -> None:
        """Settle what was delivered, void what was not; what is in doubt stays held until its lease is over."""
        paid = [(one, fate) for one, fate in zip(going, delivered.fates, strict=True) if one.index in holding.held]
        taken = [one for one, fate in paid if fate is Fate.ACCEPTED]
        if taken:
            settles = [settlement(one) for one in taken]
            await self._settling.settle(self._redeemer, settles, now=self._clock())
            await self._judging.note_paid(case.judgement, taken, case.taken.day, now=self._clock())
        if len(taken) == len(going):
            return
        undelivered = [(one.index, holding.held[one.index]) for one, fate in paid if fate in _UNDELIVERED]
        await give_back(self._redeemer, case.standings, undelivered, tx=case.tx)
        if all(fate in _UNDELIVERED for fate in delivered.fates):
            await case.give_back()

    async def _observe(self, letter: Letter, envelope: Envelope, delivery: Delivery, times: Stopwatch) -> Answer:
        """Mode "monitor": write the verdict down and let the letter through, whatever goes wrong in judging it."""
        case: Case | None = None
        mode = self.policy.mode
        standings: Sequence[Standing] = ()
        fields, header = b"", letter.header.raw
        try:
            case = await self._open(letter, envelope, times)
            standings = case.standings
            if case.judgement.is_answer:
                case.judgement.rule(await case.taken.take_bounce(standings))
            case.judgement.rule(await case.taken.watch_bulk(standings))
            fields = added_fields(case.policy, standings, case.judgement.authentication, day=case.taken.day)
            header = kept_header(case.policy, letter.header, envelope, case.judgement.passes)
        except Exception as error:  # noqa: BLE001 - nothing may keep a letter from going through here
            self._log.unjudged(letter, envelope, error)
        part = await PartDelivery.look(self._part_deliveries, standings) if delivery.answers_each else None
        going = [index for index in range(len(envelope.recipients)) if part is None or index not in part.had]
        answer = await self._pass_on(delivery, part, going, fields, header) if going else Duplicate()
        times.lap(Phase.DELIVER)
        self._tell(letter, envelope, case.judgement if case else None, answer, times, mode)
        return answer

    async def _keep(self, case: Case) -> None:
        """Keep a copy of what is refused for good; raises Unavailable where that cannot be done: then it is "later"."""
        refusals = self.refusals
        if refusals is None:
            return
        proven = case.judgement.authentication
        if proven is UNPROVEN and case.policy.check is not Check.NEVER:
            # Who releases the copy approves its sender, by what was proven.
            proven = await self.authenticator.authenticate(case.letter, case.envelope, is_vital=False)
        refused = [Refused(one.index, one.reason, one.letter_hash) for one in case.standings]
        left_out = await refusals.keep(case.letter, case.envelope, refused, authenticated=in_words(proven))
        if left_out:
            raise Unavailable(Reason.STATE_UNAVAILABLE, f"there is no room for {left_out} copies of a refused letter")

    def _tell(
        self,
        letter: Letter,
        envelope: Envelope,
        judgement: Judgement | None,
        answer: Answer,
        times: Stopwatch,
        mode: Mode,
    ) -> None:
        """Write down what became of a letter, for the log, for the figures and for the metrics.

        `mode` is the one it was judged in: another may be in force by now.
        """
        self._log.answered(letter, envelope, judgement.standings if judgement else (), answer, times)
        try:
            if self._note_times is not None:
                self._note_times(times)
            if self._note_facts is not None:
                day = utc_day(self._clock())
                self._note_facts(facts_of(judgement, envelope, answer, mode=mode, day=day))
        except Exception as error:  # noqa: BLE001 - the letter has its answer, which no figure may turn
            self._log.uncounted(error)

    async def _pass_on(
        self, delivery: Delivery, part: PartDelivery | None, going: Sequence[int], fields: bytes, header: bytes
    ) -> Answer:
        latest = asyncio.get_running_loop().time() + self.policy.lease_seconds
        delivered = await delivery.send(going, fields, header, dot_before=latest)
        if part is not None:
            await part.note(going, delivered.fates, day=utc_day(self._clock()))
        return Relay(delivered, tuple(going))

"""How a letter is judged, in order: rules that ask nobody, who wants it, its stamps. Each worker has one judge."""

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from pennyred.days import utc_day
from pennyred.gate.issuers.keyring import PrepareKeys, all_known
from pennyred.gate.judging.allowances import TakenAllowances
from pennyred.gate.judging.bad_stamps import BadStamps, Barring
from pennyred.gate.judging.delivered_texts import DeliveredTexts
from pennyred.gate.judging.former_aliases import FormerNames
from pennyred.gate.judging.grants import GrantSearch
from pennyred.gate.judging.nobody import NoGrants
from pennyred.gate.judging.proving import prove_author
from pennyred.gate.judging.stamps import Examiner, hangs_on_proof, judge_stamps, stamps_to_judge
from pennyred.gate.judging.standing import Judgement, Ruling, Standing, begin
from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.policy import GatePolicy
from pennyred.gate.ports import AllowanceBook, Authenticator, GrantBook
from pennyred.postage.alteration import alteration
from pennyred.postage.verification import LicenceCache, Verdict


class Judging:
    """Judges letters, and keeps what was learned from the letters before."""

    def __init__(
        self,
        *,
        random_bytes: Callable[[int], bytes],
        grant_book: GrantBook | None = None,
        prepare_keys: PrepareKeys = all_known,
        former: FormerNames | None = None,
        texts: DeliveredTexts | None = None,
        bad_stamps: BadStamps | None = None,
    ) -> None:
        self.grant_book: GrantBook = grant_book or NoGrants()
        self._random_bytes = random_bytes
        self._prepare_keys = prepare_keys
        self._former = former
        self._texts = texts
        self._bad_stamps = bad_stamps
        self._licences = LicenceCache()

    async def judge(
        self,
        letter: Letter,
        envelope: Envelope,
        policy: GatePolicy,
        authenticator: Authenticator,
        allowances: AllowanceBook,
        *,
        now: int,
    ) -> tuple[Judgement, GrantSearch, TakenAllowances]:
        """Where each recipient stands before an office is asked; and what was used up of what is counted.

        Each phase says what it has found out, which is written down before the next one is asked. If one fails, what
        was used up is given back.
        """
        judgement = begin(letter, envelope, policy, now=now)
        taken = TakenAllowances(allowances, policy.allowances, envelope, judgement, utc_day(now))
        search = GrantSearch(self.grant_book, authenticator, policy, letter, envelope, taken, now)
        try:
            judgement.authentication, rulings = await search.look(judgement)
            judgement.rule(rulings)
            await self._judge_stamps(judgement, letter, envelope, policy, authenticator, now)
        except BaseException:
            await taken.give_back()
            await search.give_back()
            raise
        return judgement, search, taken

    async def _judge_stamps(
        self,
        judgement: Judgement,
        letter: Letter,
        envelope: Envelope,
        policy: GatePolicy,
        authenticator: Authenticator,
        now: int,
    ) -> None:
        source = envelope.source_ip if envelope.source_known else ""
        barring = Barring(policy, self._licences, self._bad_stamps, source, self._draw)
        stamps = barring.worth_asking(stamps_to_judge(judgement))
        # By the widest network that one customer has: within an IPv6 /48 he could ask under 65,536 names (/64s).
        keys = await self._prepare_keys(stamps, judgement.networks[-1] if judgement.networks else "")
        alterations = {stamp.text: alteration(stamp, judgement.parts) for stamp in stamps}
        examiner = Examiner(letter, judgement.parts, policy, self._licences, now, barring, keys.undecided, alterations)
        if hangs_on_proof(judgement, examiner):
            proof = await prove_author(judgement, letter, envelope, policy, authenticator)
            examiner = replace(examiner, proof=proof)
        judgement.rule(judge_stamps(judgement, examiner, keys.unpublished))
        if self._former is not None:
            judgement.rule(await self._former.recall(judgement, examiner))
        barring.close()

    async def recall_texts(self, judgement: Judgement, spent: Mapping[int, Verdict]) -> list[Ruling]:
        """Which of the recipients whose stamps are spent, by index, have had this text by them."""
        return await self._texts.recall(judgement, spent) if self._texts is not None else []

    async def note_paid(self, judgement: Judgement, paid: Sequence[Standing], day: int, *, now: int) -> None:
        """Note recipients who have had their letter, and for each of whom a stamp was taken."""
        if self._texts is not None:
            self._texts.note(paid, judgement.parts, now)
        if self._former is not None:
            await self._former.note(paid, day)

    def _draw(self) -> int:
        return self._random_bytes(1)[0]

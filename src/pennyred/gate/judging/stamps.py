"""The stamps that a letter offers for one recipient: which hold, which may have paid for it before, which are bad.

All that can be said of them offline. Whether one was spent, or has paid this very letter, only its office knows.
"""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from pennyred.gate.issuers.keyring import Selector
from pennyred.gate.judging.bad_stamps import NOBODY_KNOWN, Barring
from pennyred.gate.judging.standing import Judgement, Ruling, Standing, flaw_of
from pennyred.gate.letterbox import Letter
from pennyred.gate.policy import GatePolicy
from pennyred.postage.address import Recipient
from pennyred.postage.alteration import Alteration, Proof, Row, alteration
from pennyred.postage.digest import SignedParts
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.stamp import Stamp
from pennyred.postage.verification import LicenceCache, Verdict, is_bound, is_signed, judge_parsed

BAD = frozenset((Reason.BAD_SIGNATURE, Reason.BAD_LICENCE, Reason.MALFORMED))
"""What counts as a bad stamp: what costs a check of a signature for nothing, and what is no stamp at all.

Not what happens to honest letters: those too late or too early, paid too little, made out to somebody else, altered
on the way (mailing lists do that), or of a version, or an office, that only others know.
"""


def selector_of(stamp: Stamp) -> Selector:
    """The office's key that a stamp's licence names."""
    return stamp.issuer, stamp.licence.selector


class Found(Struct):
    """What was found out about one recipient's stamps."""

    reason: Reason
    """Of the first that may pay, else of the last one looked at."""
    verdict: Verdict | None = None
    """The one that the reason is from."""
    good: list[Verdict] = field(default_factory=list)
    flawed: list[Verdict] = field(default_factory=list)
    undecided: Reason | None = None
    """Why nobody can say just now of one whether it counts: an office's key is out of reach, or the author's."""
    is_barred: bool = False
    """Whether one was not looked at, or found bad, when too many bad ones had come: then the letter has to wait."""

    @property
    def doubt(self) -> Reason | None:
        """Why the recipient has to wait rather than to be told the reason."""
        if self.good:
            return None
        if self.is_barred:
            return Reason.TOO_MANY_BAD_STAMPS
        return self.undecided


class Examiner(Struct, frozen=True):
    """Looks at the stamps of one letter."""

    letter: Letter
    parts: SignedParts
    policy: GatePolicy
    licences: LicenceCache
    now: int
    barring: Barring
    undecided: Collection[Selector] = ()
    alterations: Mapping[bytes, Alteration] = field(default_factory=dict)
    """What is known of how the letter differs from that of a stamp, by the stamp's text; the others are compared when
    they are looked at."""
    proof: Proof = Proof.NO
    """Whether the author is proven: needed where a letter was altered."""

    def examine(self, stamps: Sequence[Stamp], names: Sequence[Recipient], price: int, otherwise: Reason) -> Found:
        """Judge what is made out to one of these names; without any, the reason is `otherwise`."""
        found = Found(otherwise)
        for stamp in stamps:
            account = self.barring.account_of(stamp)
            if not self.barring.may_look(account):
                # Another of its stamps must not pay either: the one passed over may have, in an earlier attempt.
                return Found(otherwise, is_barred=True)
            verdict = self._judge(stamp, names, price)
            found.reason, found.verdict = verdict.reason, verdict
            if verdict.reason.kind is Kind.LATER:
                found.undecided, found.reason = verdict.reason, self._alteration(stamp).row(Proof.NO).reason
            elif flaw_of(verdict.reason) is None:
                found.good.append(verdict)
            elif verdict.reason is Reason.BAD_LICENCE and selector_of(stamp) in self.undecided:
                found.undecided = Reason.OFFICE_UNREACHABLE
            elif self._is_bound(verdict, names, found):
                is_whole = self._is_signed(stamp)
                found.flawed += [verdict] if is_whole else []
                if verdict.reason in BAD or not is_whole:
                    found.is_barred |= self._count_bad(stamp)
            elif verdict.reason in BAD or (verdict.row is Row.SUBJECT_UNPROVEN and not self._is_signed(stamp)):
                found.is_barred |= self._count_bad(stamp)  # its signature was checked in any case: `hangs_on_proof`
        if found.good:
            found.verdict = found.good[0]
            found.reason = found.verdict.reason
        return found

    def _count_bad(self, stamp: Stamp) -> bool:
        """Whether so many bad ones had come before that it was only looked at by chance."""
        account = self.barring.account_of(stamp)  # by now it is known whether the licence holds
        is_barred = self.barring.is_barred(account)
        self.barring.note(account, 1)
        return is_barred

    def _judge(self, stamp: Stamp, names: Sequence[Recipient], price: int) -> Verdict:
        return judge_parsed(
            stamp,
            found=self._alteration(stamp),
            recipients=names,
            issuers=self.policy.issuers,
            now=self.now,
            price=price,
            licences=self.licences,
            proof=self.proof,
            is_strict=self.policy.is_strict,
        )

    def _is_signed(self, stamp: Stamp) -> bool:
        return is_signed(stamp, issuers=self.policy.issuers, licences=self.licences)

    def _alteration(self, stamp: Stamp) -> Alteration:
        return self.alterations.get(stamp.text) or alteration(stamp, self.parts)

    def _is_bound(self, verdict: Verdict, names: Sequence[Recipient], found: Found) -> bool:
        if verdict.reason is Reason.BAD_LICENCE and any(one.reason is Reason.BAD_LICENCE for one in found.flawed):
            return False  # anybody can sign those, and each costs a check: of each recipient the first will do
        return is_bound(
            verdict,
            found=self._alteration(verdict.stamp),
            proof=self.proof,
            recipients=names,
            issuers=self.policy.issuers,
            retired=self.policy.retired,
        )


def stamps_to_judge(judgement: Judgement) -> list[Stamp]:
    """Those that `judge_stamps` will look at."""
    return [stamp for standing in judgement.standings if _has_to_pay(standing) for stamp in standing.offered]


def hangs_on_proof(judgement: Judgement, examiner: Examiner) -> bool:
    """Whether it makes a difference for a recipient who has to pay if the author of an altered letter is proven.

    A stamp that does not hold counts neither way. Anybody can make those, and so could have the DNS asked. Only of an
    office that was accepted once, or a key of which nothing is known, nobody can tell: it may have paid (`is_bound`).
    """
    altered = {text for text, found in examiner.alterations.items() if found.altered and found.hangs_on_proof}
    if not altered:
        return False
    if_proven = replace(examiner, proof=Proof.YES, barring=Barring(examiner.policy, examiner.licences))
    for one in judgement.standings:
        if one.recipient is not None and one.is_open:
            stamps = [stamp for stamp in one.offered if stamp.text in altered]
            found = if_proven.examine(stamps, one.names, one.price, one.otherwise)
            if found.good or found.flawed:
                return True
    return False


def judge_stamps(
    judgement: Judgement, examiner: Examiner, unpublished: frozenset[Selector] = frozenset()
) -> list[Ruling]:
    """Judge the stamps of those who are not free; of forwarded letters only to write down what they are.

    What depends on keys of which nobody can say just now whether they count is "later". Whoever has DNS asked for one
    that is not there (`unpublished`) has brought a bad stamp all the same, once: such names cost nothing to invent.
    The examiner's `barring` is told of those of this letter.
    """
    barring, rulings = examiner.barring, []
    is_garbled = False
    missing: frozenset[Selector] = frozenset()
    forgiving: Examiner | None = None
    for standing in judgement.standings:
        if not _has_to_pay(standing):
            continue
        asked = (standing.offered, standing.names, standing.price, standing.otherwise)
        if standing.reason is Reason.FORWARDER:  # who is not held to account for what others have put into its letters
            forgiving = forgiving or replace(examiner, barring=Barring(examiner.policy, examiner.licences))
            rulings.append(Ruling(standing.index, seen=forgiving.examine(*asked).reason))
            continue
        found = examiner.examine(*asked)
        rulings.append(Ruling(standing.index, found.reason, found.doubt, (*found.good, *found.flawed), found.verdict))
        is_garbled |= found.reason is Reason.MALFORMED
        if unpublished:
            missing |= unpublished & {selector_of(stamp) for stamp in standing.offered}
    if is_garbled and barring.is_barred(NOBODY_KNOWN):
        told = {one.index: one.reason for one in rulings}
        garbled = [one for one in judgement.standings if (told.get(one.index) or one.reason) is Reason.MALFORMED]
        rulings += [Ruling(one.index, doubt=Reason.TOO_MANY_BAD_STAMPS) for one in garbled]
    # Fields that are no stamps were read once for all recipients, and none at all for those who are free.
    barring.note(NOBODY_KNOWN, is_garbled + len(missing))
    return rulings


def _has_to_pay(standing: Standing) -> bool:
    is_forwarded = standing.reason is Reason.FORWARDER
    return standing.recipient is not None and (standing.is_open or is_forwarded)

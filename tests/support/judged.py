"""A letter judged as far as that goes without asking anybody."""

from pennyred.gate.judging.bad_stamps import Barring
from pennyred.gate.judging.stamps import Examiner, judge_stamps
from pennyred.gate.judging.standing import Judgement, begin
from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.policy import GatePolicy
from pennyred.postage.verification import LicenceCache


def judge(letter: Letter, envelope: Envelope, policy: GatePolicy, *, now: int) -> tuple[Judgement, int]:
    """Where its recipients stand, and how many bad stamps were found."""
    judgement, licences = begin(letter, envelope, policy, now=now), LicenceCache()
    barring = Barring(policy, licences)
    judgement.rule(judge_stamps(judgement, Examiner(letter, judgement.parts, policy, licences, now, barring)))
    return judgement, sum(barring.own.values())

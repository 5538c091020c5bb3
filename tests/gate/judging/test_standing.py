"""Every phase of judging says what it has found out; one place writes that down, in the order of precedence."""

import ast
from pathlib import Path

import pytest
from msgspec.structs import fields
from tests.support.stationery import LETTER, NOW, ReceivedLetter

import pennyred.gate
from pennyred.gate.judging.standing import Judgement, Ruling, Standing, begin
from pennyred.gate.letterbox import Envelope
from pennyred.gate.policy import GatePolicy
from pennyred.postage.reasons import Reason

NOT_STANDINGS = {"self", "found"}
"""What has a reason of its own."""


def assigned(source: str) -> list[str]:
    """What is set of anything that is called as standings are."""
    targets = [
        target
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    names = {field.name for field in fields(Standing)}
    attributes = [one for target in targets for one in ast.walk(target) if isinstance(one, ast.Attribute)]
    set_here = [one for one in attributes if one.attr in names and isinstance(one.ctx, ast.Store)]
    return [ast.unparse(one) for one in set_here if ast.unparse(one.value) not in NOT_STANDINGS]


def a_judgement() -> Judgement:
    envelope = Envelope(b"ann@sender.example", (b"bob@example.org", b"eve@example.org"), "198.51.100.7", True)
    return begin(ReceivedLetter(LETTER), envelope, GatePolicy("mx.example.org", {}), now=NOW)


def test_a_standing_changes_in_one_place():
    modules = sorted(Path(pennyred.gate.__path__[0]).rglob("*.py"))
    changing = {module.name: found for module in modules if (found := assigned(module.read_text()))}
    assert list(changing) == ["standing.py"]


@pytest.mark.parametrize("source", ["one.reason = x", "a, case.standing.doubt = x", "one.is_counted |= x"])
def test_an_assignment_elsewhere_would_be_seen(source):
    assert assigned(source)


def test_the_later_word_counts():
    judgement = a_judgement()
    judgement.rule([Ruling(0, Reason.MALFORMED, Reason.DNS_UNAVAILABLE)])
    judgement.rule([Ruling(0, doubt=Reason.TOO_MANY_BAD_STAMPS)])
    judgement.rule([Ruling(0, Reason.ALLOWANCE)])
    [bob, eve] = judgement.standings
    assert (bob.reason, bob.doubt) == (Reason.ALLOWANCE, Reason.TOO_MANY_BAD_STAMPS)
    assert (eve.reason, eve.doubt) == (Reason.NO_STAMP, None)


def test_who_says_nothing_of_a_kind_changes_nothing_of_it():
    judgement = a_judgement()
    said = Ruling(
        1, Reason.ALLOWANCE, Reason.INTERNAL, (), None, (), Reason.SPENT, is_counted=True, is_over_allowance=False
    )
    judgement.rule([said])
    before = [str(one) for one in judgement.standings]
    judgement.rule([Ruling(0), Ruling(1)])
    assert [str(one) for one in judgement.standings] == before


def test_to_say_that_no_stamps_are_left_is_not_to_say_nothing():
    judgement = a_judgement()
    [bob, _] = judgement.standings
    judgement.rule([Ruling(0, stamps=((None, Reason.STAMPED),))])
    judgement.rule([Ruling(0, is_over_allowance=True)])
    assert bob.stamps
    judgement.rule([Ruling(0, stamps=(), is_over_allowance=False)])
    assert not bob.stamps
    assert bob.is_over_allowance is False

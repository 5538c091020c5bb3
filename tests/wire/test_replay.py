"""A week of real mail through a started gate: real DNS answers, real DKIM keys, every decision by its named rule."""

from collections import Counter

import pytest
from tests.replay.cast import ALLOWANCE, Role, cast
from tests.replay.stage import Stage
from tests.replay.week import make_rules, replay

pytestmark = pytest.mark.long

FREE_BY = {
    Role.CORRESPONDENT: "correspondent",
    Role.REPLY: "reply",
    Role.LIST: "list",
    Role.NEWSLETTER: "list",
    Role.RECEIPT: "expected",
    Role.FORWARDED: "forwarder",
    Role.STAMPED: "stamped",
}
"""The rule that lets each kind of wanted mail in, once it is there; it is the same in every mode."""
DUE = {"no-stamp", "bulk"}


@pytest.fixture(scope="module", params=["monitor", "bulk", "require"])
def week(request, tmp_path_factory):
    """One mode's week, with the rules of an administrator who has read the report."""
    with Stage(tmp_path_factory.mktemp("replay") / "stage", request.param, cast()) as stage:
        make_rules(stage)
        decisions = replay(stage)
        balance = stage.town.balance()
        stage.close_for_the_day()
        yield request.param, stage, decisions, balance


def test_no_wanted_letter_is_refused_and_each_comes_by_its_own_rule(week):
    _, _, decisions, _ = week
    wanted = [one for one in decisions if one.part.role in FREE_BY]
    assert len(wanted) > 100
    assert [one.part.name for one in wanted if not one.is_accepted] == []
    assert [(one.part.name, one.reason) for one in wanted if one.reason != FREE_BY[one.part.role]] == []


def test_every_unstamped_stranger_over_the_allowance_is_refused_and_nobody_else(week):
    mode, _, decisions, _ = week
    strangers = [one for one in decisions if one.part.role not in FREE_BY]
    assert len(strangers) > 100
    seen: Counter[tuple[str, int]] = Counter()
    for one in strangers:
        seen[one.part.sender, one.part.day] += 1
        is_within = seen[one.part.sender, one.part.day] <= ALLOWANCE
        match mode:
            case "monitor":
                assert (one.code, one.reason) == (250, "no-stamp")
            case "bulk" if is_within:
                assert (one.code, one.reason) == (250, "allowance")
            case "bulk":
                assert (one.code, one.reason) == (550, "bulk"), one.part.name
            case _:
                assert (one.code, one.reason) == (550, "no-stamp")
                assert "Postage due" in one.reply


def test_the_mail_server_has_what_was_accepted_and_nothing_else(week):
    _, stage, decisions, _ = week
    ours = [taken for taken in stage.server.letters if taken.recipients[0].rstrip().endswith(b"@our.example>")]
    assert len(ours) == sum(one.is_accepted for one in decisions)
    for one, taken in zip([one for one in decisions if one.is_accepted], ours, strict=True):
        body = one.part.letter.partition(b"\r\n\r\n")[2]
        assert taken.letter.endswith(body or b"\r\n"), one.part.name
        assert f"reason={one.reason}".encode() in taken.letter.partition(b"\r\n\r\n")[0]


def test_the_report_says_what_happened(week):
    mode, stage, decisions, _ = week
    report = stage.town.admin("report", "--days", "14")
    assert report["recipients"] == len(decisions)
    told: Counter[str] = Counter()
    for one in report["outcomes"]:
        told[one["reason"]] += one["recipients"]
    assert told == Counter(one.reason for one in decisions)
    accepted = sum(one["recipients"] for one in report["outcomes"] if one["outcome"] == "accepted")
    assert accepted == sum(one.is_accepted for one in decisions)
    unstamped = sum(one.part.role not in FREE_BY for one in decisions)
    assert report["would_refuse"]["require"] == unstamped
    over = sum(
        max(0, count - ALLOWANCE)
        for count in Counter(
            (one.part.sender, one.part.day) for one in decisions if one.part.role is Role.SPAM
        ).values()
    )
    assert report["would_refuse"]["bulk"] == {"monitor": over, "bulk": over, "require": 0}[mode]


def test_each_refused_letter_is_in_the_quarantine(week):
    _, stage, decisions, _ = week
    kept = stage.town.admin("refused", "list")["refused"]
    assert Counter(one["to"] for one in kept) == Counter(one.part.recipient for one in decisions if not one.is_accepted)


def test_only_stamped_letters_cost_a_cent_and_in_monitor_mode_not_even_those(week):
    mode, stage, decisions, (spent, held) = week
    stamped = sum(one.part.role is Role.STAMPED for one in decisions)
    assert (spent, held) == (0 if mode == "monitor" else stamped, 0)
    assert stage.town.audit()["balanced"]


def test_before_there_are_rules_the_report_says_who_would_have_been_refused(tmp_path):
    """What an administrator sees who has just begun: nothing is lost, and all that is wanted stands in the report."""
    with Stage(tmp_path / "stage", "monitor", cast()) as stage:
        decisions = replay(stage)
        stage.close_for_the_day()
        report = stage.town.admin("report", "--days", "14")
    assert all(one.is_accepted for one in decisions)
    unknown = [one for one in decisions if one.part.role not in (Role.STAMPED, Role.FORWARDED)]
    assert report["would_refuse"]["require"] == len(unknown)

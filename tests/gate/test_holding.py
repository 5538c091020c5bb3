"""Stamps asked about at the office: which are taken, which are given back, and what an odd office can do."""

import asyncio

import pytest
from tests.support.desk import DeskUnderTest, MailServer
from tests.support.stationery import LETTER

from pennyred.gate.letterbox import Due, Fate, Later, Relay
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import HoldAnswer, HoldOutcome

BOB = "bob@example.org"
EVE = "eve@example.org"


def run(story) -> None:
    async def whole() -> None:
        desk = DeskUnderTest()
        await desk.office.open(10)
        await story(desk)
        assert (await desk.office.ledger.audit()).balanced

    asyncio.run(whole())


def answering(desk: DeskUnderTest, answer: HoldAnswer) -> None:
    """An office that says the same of every stamp."""

    async def hold(holds, *, lease_seconds):
        return [answer] * len(holds)

    desk.office.hold = hold


def test_the_hold_of_an_attempt_in_doubt_is_the_one_to_settle_whatever_other_stamps_the_retry_bears():
    """That attempt may have delivered the letter, and its settlement may still come: it must meet the same stamp."""

    async def story(desk: DeskUnderTest) -> None:
        first, other = (desk.stationery.stamp(LETTER, BOB) for _ in range(2))
        await desk.present(first.field() + LETTER, BOB, server=MailServer((), [Fate.IN_DOUBT]))
        desk.office.now += desk.desk.policy.lease_seconds + 1
        answer, _ = await desk.present(other.field() + first.field() + LETTER, BOB)
        assert isinstance(answer, Relay)
        assert desk.log.lines[-1]["recipients"][0]["serial"] == first.serial.hex()
        assert await desk.balance() == (9, 0)

    run(story)


def test_the_stamps_that_pay_are_asked_about_before_the_spare_ones():
    """Else a spare one could use up the balance."""

    async def story(desk: DeskUnderTest) -> None:
        asked = []
        hold = desk.office.hold

        async def listening(holds, *, lease_seconds):
            asked.extend(holds)
            return await hold(holds, lease_seconds=lease_seconds)

        desk.office.hold = listening
        spare = desk.stationery.stamp(LETTER, BOB)
        await desk.present(spare.field() + desk.stationery.stamped(LETTER, BOB, EVE), BOB, EVE)
        assert [one.group for one in asked][:2] == [0, 0]
        assert len({one.group for one in asked}) == 2

    run(story)


def test_of_several_reasons_one_that_somebody_must_act_on_is_told():
    """Else the sender would only be told to wait, and be refused afterwards."""

    async def story(desk: DeskUnderTest) -> None:
        early = desk.stationery.stamp(LETTER, BOB, now=desk.office.now + 86_400)
        answer, _ = await desk.present(early.field() + LETTER, BOB, EVE)
        assert answer == Due(1, Reason.NO_STAMP)

    run(story)


def test_an_office_that_contradicts_itself_means_later():
    async def story(desk: DeskUnderTest) -> None:
        answering(desk, HoldAnswer(HoldOutcome.GROUP_FAILED))
        answer, server = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert answer == Later(Reason.OFFICE_UNREACHABLE)
        assert server.sent == []

    run(story)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("bad-licence", Reason.BAD_LICENCE),
        ("stamped", Reason.BAD_SIGNATURE),
        ("postmaster", Reason.BAD_SIGNATURE),
        ("internal", Reason.BAD_SIGNATURE),
        ("because", Reason.BAD_SIGNATURE),
    ],
)
def test_an_office_that_finds_a_stamp_invalid_makes_it_due_whatever_it_calls_that(said, told):
    """By the name of an exempt or paid reason it would let the letter through unpaid."""

    async def story(desk: DeskUnderTest) -> None:
        answering(desk, HoldAnswer(HoldOutcome.INVALID, reason=said))
        answer, server = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert answer == Due(0, told)
        assert server.sent == []

    run(story)

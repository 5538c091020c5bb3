"""What letters take of the free allowances, and what is given back."""

import asyncio

from tests.support.desk import DeskUnderTest, MailServer
from tests.support.stationery import LETTER

from pennyred.gate.letterbox import Due, Fate, Later, Relay
from pennyred.gate.rules.exemptions import Allowances, Mode
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

BOB = "bob@example.org"
EVE = "eve@example.org"
REPORT = b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n" + LETTER


def reasons(desk: DeskUnderTest) -> list[str]:
    return [one["reason"] for one in desk.log.lines[-1]["recipients"]]


def run(story, **policy) -> None:
    async def whole() -> None:
        desk = DeskUnderTest(mode=Mode.BULK, **policy)
        await desk.office.open(10)
        await story(desk)

    asyncio.run(whole())


def test_in_bulk_nobody_is_a_sender_like_any_other_of_each_source():
    """Who wants one has any name; what looks like an answer has an allowance of its own first."""

    async def story(desk: DeskUnderTest) -> None:
        assert isinstance((await desk.present(REPORT, BOB, sender=""))[0], Relay)
        assert reasons(desk) == ["bounce"]
        for letter, to in ((REPORT, (BOB,)), (LETTER, (BOB,)), (LETTER, (BOB, EVE))):
            assert isinstance((await desk.present(letter, *to, sender=""))[0], Relay)
            assert set(reasons(desk)) == {"allowance"}
        assert (await desk.present(LETTER, BOB, sender=""))[0] == Due(0, Reason.BULK)
        assert isinstance((await desk.present(LETTER, BOB, sender="", source="203.0.113.9"))[0], Relay)
        assert isinstance((await desk.present(LETTER, BOB))[0], Relay)

    run(story, allowances=Allowances(per_day=4, bounces_per_day=1))


def test_what_a_letter_took_before_it_was_put_off_is_given_back():
    """Else its retries would use up the sender's day."""

    async def story(desk: DeskUnderTest) -> None:
        desk.office.down = {"hold"}
        answer, _ = await desk.present(desk.stationery.stamped(LETTER, EVE), BOB, EVE)
        assert answer == Later(Reason.LEDGER_UNAVAILABLE)
        assert not any(desk.counters.used.values())

    run(story, allowances=Allowances(per_day=1))


def test_counters_that_cannot_be_lowered_change_no_answer():
    """A count too high is cured by the next day."""

    async def broken(*_: object) -> None:
        raise Unavailable(Reason.INTERNAL, "locked")

    async def story(desk: DeskUnderTest) -> None:
        desk.counters.give_back = broken
        answer, _ = await desk.present(LETTER, BOB, server=MailServer((), [Fate.REFUSED_PERMANENT]))
        assert isinstance(answer, Relay)

    run(story)

"""What letters take of the free allowances, and what is given back."""

import asyncio

from desk import DeskUnderTest, MailServer
from stationery import LETTER

from pennyred.postage.errors import Unavailable
from pennyred.postage.policy import Allowances, Mode
from pennyred.postage.reasons import Reason
from pennyred.services.letterbox import Due, Fate, Later, Relay

BOB = "bob@example.org"
EVE = "eve@example.org"


def run(story, **policy) -> None:
    async def whole() -> None:
        desk = DeskUnderTest(mode=Mode.BULK, **policy)
        await desk.office.open(10)
        await story(desk)

    asyncio.run(whole())


def test_a_letter_from_nobody_has_its_own_allowance_and_no_other():
    """Anybody can claim to be a bounce, so the allowance of senders is not for them, though nothing of it is used."""

    async def story(desk: DeskUnderTest) -> None:
        assert isinstance((await desk.present(LETTER, BOB, sender=""))[0], Relay)
        assert (await desk.present(LETTER, BOB, sender=""))[0] == Due(0, Reason.NO_STAMP)
        assert (await desk.present(LETTER, BOB, EVE, sender=""))[0] == Due(0, Reason.NO_STAMP)
        assert isinstance((await desk.present(LETTER, BOB))[0], Relay)

    run(story, allowances=Allowances(bounces_per_day=1))


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

"""Settlements that carry their stamps, over HTTP: only to an office that takes them, and only where it has forgotten."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from tests.gate.issuers.test_http import hold, outcomes, tell
from tests.support.replacing import replace

from pennyred.gate.issuers.abilities import KEEP_SECONDS, PAUSE_SECONDS, Abilities
from pennyred.gate.issuers.asking import Patience
from pennyred.http.messages import ABILITIES, FLAW, SETTLE_STAMP
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import HoldOutcome, SettleOutcome

EARLIER = [[], [FLAW], None]
"""What offices of earlier releases say of themselves."""


async def introduce(office, way, held=None):
    """Let the gate find out in passing what the office understands."""
    assert await outcomes(way, [held or hold(office, 99)]) == [HoldOutcome.HELD]
    if way._abilities._passing is not None:
        await way._abilities._passing


def test_the_first_letters_holds_last_and_later_ones_need_not():
    async def story(office, way):
        await introduce(office, way)
        assert await outcomes(way, [hold(office, 1)]) == [HoldOutcome.HELD]
        assert (office.lastings, office.introductions) == ([True, False], 1)

    tell(story)


def test_a_stamp_with_a_flaw_is_asked_about_as_before():
    """No stamp goes with its settlement, so whatever is renewed for it must last."""

    async def story(office, way):
        await introduce(office, way)
        await outcomes(way, [replace(hold(office, 1), flaw=Reason.UNDERPAID, group=1), hold(office, 1)])
        assert office.lastings == [True, True]

    tell(story)


@pytest.mark.parametrize("abilities", EARLIER)
def test_an_office_of_an_earlier_release_is_asked_as_ever(abilities):
    """All its holds last, and no settlement has a stamp; what it does not hold, it does not pay."""

    async def story(office, way):
        office.abilities = abilities
        await introduce(office, way)
        held, lost = hold(office, 1), hold(office, 2)
        assert await outcomes(way, [held]) == [HoldOutcome.HELD]
        assert await way.settle([held.settle(), lost.settle()]) == [SettleOutcome.SETTLED, SettleOutcome.NO_SUCH_HOLD]
        assert all(office.lastings)
        assert [one.stamp or one.domain for one in office.settled] == ["", ""]

    tell(story)


def test_what_is_held_is_settled_without_its_stamp():
    async def story(office, way):
        await introduce(office, way)
        held = [hold(office, n) for n in range(5)]
        await outcomes(way, held)
        assert await way.settle([one.settle() for one in held]) == [SettleOutcome.SETTLED] * 5
        assert (office.asked("settle"), {one.stamp for one in office.settled}) == ([5], {""})

    tell(story)


def test_what_the_office_has_forgotten_is_paid_by_the_stamp_and_once():
    async def story(office, way):
        known, lost = hold(office, 1), [hold(office, n) for n in range(2, 6)]
        await introduce(office, way, known)
        settles = [one.settle() for one in (lost[0], known, *lost[1:])]
        assert await way.settle(settles) == [SettleOutcome.SETTLED] * 5
        assert office.asked("settle") == [5, 4]
        assert await way.settle(settles) == [SettleOutcome.ALREADY_SETTLED] * 5
        assert await office.balance() == (995, 0)

    tell(story)


def test_what_another_letter_holds_or_has_used_is_told_by_name():
    async def story(office, way):
        held, used = hold(office, 1), hold(office, 2)
        await outcomes(way, [held])
        await outcomes(way, [used])
        await way.settle([used.settle()])
        others = [replace(one, letter=b"x" * 32).settle() for one in (held, used)]
        assert await way.settle(others) == [SettleOutcome.IN_PROGRESS, SettleOutcome.SPENT]

    tell(story)


def test_a_settlement_from_the_outbox_of_a_gate_that_has_just_begun_is_paid_too():
    """It has asked nothing of the office before, and so waits for what the office understands."""

    async def story(office, way):
        assert await way.settle([hold(office, 1).settle()]) == [SettleOutcome.SETTLED]
        assert office.introductions == 1

    tell(story)


def test_where_that_cannot_be_known_the_settlement_waits():
    async def story(office, way):
        office.hides_introduction = True
        with pytest.raises(Unavailable):
            await way.settle([hold(office, 1).settle()])

    tell(story, patience=Patience(deadline_seconds=0.5, attempt_seconds=5, pause_seconds=0.01))


def test_a_stamp_that_the_office_cannot_read_spoils_no_other_settlement():
    async def story(office, way):
        bad, good = hold(office, 1), [hold(office, n) for n in range(2, 5)]
        office.refuses_serial = bad.stamp.serial
        said = await way.settle([one.settle() for one in (good[0], bad, *good[1:])])
        assert said == [SettleOutcome.SETTLED, SettleOutcome.NO_SUCH_HOLD, SettleOutcome.SETTLED, SettleOutcome.SETTLED]

    tell(story)


def test_an_office_that_was_set_back_means_later_once_and_is_asked_as_ever_then():
    async def story(office, way):
        await introduce(office, way)
        office.abilities = [FLAW]
        with pytest.raises(Unavailable):
            await outcomes(way, [hold(office, 1)])
        assert await outcomes(way, [hold(office, 2)]) == [HoldOutcome.HELD]
        assert await way.settle([hold(office, 3).settle()]) == [SettleOutcome.NO_SUCH_HOLD]
        assert (office.lastings, office.settled[-1].stamp) == ([True, False, True], "")

    tell(story)


def test_an_office_that_hides_who_it_is_gets_holds_that_last_and_is_not_taken_for_silent():
    async def story(office, way):
        office.hides_introduction = True
        for number in range(10):
            assert await outcomes(way, [hold(office, number)]) == [HoldOutcome.HELD]
            way._abilities._pause_until = 0.0
        assert all(office.lastings)
        assert office.introductions > 5
        assert not way.asker._circuit.is_open

    tell(story)


class TestAbilities:
    """In passing: what is known, without waiting."""

    @asynccontextmanager
    async def asked(self, replies):
        """Abilities by a clock of our own, of an office that gives these replies in turn."""
        self.now, self.count = 0.0, 0

        async def once(path, body):
            self.count += 1
            reply = replies.pop(0)
            if isinstance(reply, Exception):
                raise reply
            return reply

        abilities = Abilities(SimpleNamespace(once=once), clock=lambda: self.now)

        async def knows():
            abilities.knows(SETTLE_STAMP)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return abilities.knows(SETTLE_STAMP)

        yield knows
        abilities.close()

    @pytest.mark.parametrize(
        "reply",
        [
            (404, b""),
            (500, b"?"),
            (200, b"<html>"),
            Unavailable(Reason.OFFICE_UNREACHABLE, "silent"),
        ],
    )
    def test_what_fails_is_asked_again_after_a_pause(self, reply):
        async def story():
            async with self.asked([reply, (200, SAID)]) as knows:
                assert [await knows() for _ in range(3)] == [False] * 3
                assert self.count == 1
                self.now += PAUSE_SECONDS
                assert await knows()

        asyncio.run(story())

    def test_an_answer_is_used_while_it_is_asked_again_and_until_the_next(self):
        async def story():
            async with self.asked([(200, SAID), Unavailable(Reason.OFFICE_UNREACHABLE, ""), (200, NOTHING)]) as knows:
                assert await knows()
                self.now += KEEP_SECONDS
                assert await knows()
                self.now += PAUSE_SECONDS
                assert not await knows()

        asyncio.run(story())


NOTHING = b'{"issuer":"post.example.org","keys":[],"price":1}'
SAID = NOTHING[:-1] + b',"abilities":["' + b'","'.join(one.encode() for one in ABILITIES) + b'"]}'

"""A clock that is wrong for an hour, ahead or behind, in everything that a gate's state remembers."""

import asyncio

import pytest
from tests.support.replacing import replace
from tests.support.state_file import NOW
from tests.support.stationery import ISSUER, LETTER, Stationery

from pennyred.gate.memory.correspondents import Learned
from pennyred.gate.memory.store import GateState
from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.exemptions import AllowanceClaim, Mode
from pennyred.gate.rules.figures import Fact, Figures, Outcome
from pennyred.postage.address import canonical_recipient
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldOutcome
from pennyred.storage.passing import Looker

DAY_SECONDS = 86_400
TODAY = NOW // DAY_SECONDS
BOB, EVE = "bob@example.org", "eve@example.org"
ANN = canonical_recipient("ann@sender.example")
CLAIM = AllowanceClaim("a source", 1, 3)
ERRORS = [15 * DAY_SECONDS, 400 * DAY_SECONDS, -15 * DAY_SECONDS, -400 * DAY_SECONDS]


class Gate:
    """One worker: its clock, and what it does with each letter."""

    def __init__(self, state):
        self.state = state
        self.passed, self.error = 0.0, 0
        self.looker = Looker(lambda: self.now, monotonic=lambda: self.passed)
        self.paper = Stationery()

    @property
    def now(self):
        return NOW + int(self.passed) + self.error

    @property
    def day(self):
        return self.now // DAY_SECONDS

    def hold(self, letter=b"l"):
        return Hold(b"t" * 16, 0, self.paper.stamp(LETTER, BOB, now=NOW), "example.org", letter * 32)

    async def take(self, *holds):
        limits = {"per_account_max": 20, "total_max": 100}
        return await self.state.accepted.take(holds, lease_until=self.now + 60, now=self.now, **limits)

    async def work(self, letter):
        """All that writes, and so forgets."""
        state = self.state
        await state.passed.look(self.looker)
        await state.allowances.take(self.day, [replace(CLAIM, key=letter)])
        await state.part_deliveries.add(self.day, [letter.encode() * 32])
        await state.paid_names.add(self.day, [(EVE, f"{letter}@example.org")])
        await state.correspondents.learn([Learned(self.day, (EVE,), (f"{letter}@x.example",), (letter.encode(),))])
        await state.figures.add(Figures.of([[self.fact()]]))
        await state.permits.expect(EVE, letter, until=self.now + 60, now=self.now)
        await state.accepted.sweep()

    def fact(self):
        return Fact(self.day, Mode.BULK, Outcome.ACCEPTED, Reason.BULK, None, True, "192.0.2.0/24", "a.example")

    async def live_wrongly(self, error):
        self.error = error
        for number in range(3):
            await self.work("xyz"[number])
            self.passed += 1200
        self.error = 0
        await self.work("w")


def with_a_gate(path, story):
    async def whole():
        state = GateState.open(path, now=NOW)
        try:
            gate = Gate(state)
            await state.passed.look(gate.looker)
            await story(gate)
        finally:
            await state.close()

    asyncio.run(whole())


@pytest.mark.parametrize("error", ERRORS)
def test_nothing_is_forgotten_for_it(path, error):
    async def story(gate):
        state = gate.state
        for number in range(2):
            assert await state.allowances.take(TODAY, [CLAIM]), number
        await state.part_deliveries.add(TODAY, [b"p" * 32])
        await state.paid_names.add(TODAY, [(BOB, "info@example.org")])
        await state.correspondents.learn(
            [Learned(TODAY - 300, (BOB,), (ANN.canonical,), (b"1@example.org",), "import")]
        )
        await state.correspondents.learn([Learned(TODAY, (BOB,), ("else@x.example",), (b"2@example.org",))])
        await state.figures.add(Figures.of([[gate.fact()]]))
        await state.permits.expect(BOB, "shop.example", until=NOW + 2 * DAY_SECONDS, now=NOW)
        await state.accepted.note_settled([(ISSUER, gate.paper.account)], now=NOW)
        await state.accepted.note_spent([(spent := gate.hold()).settle()])
        one, two, under_way = gate.hold(), gate.hold(), gate.hold()
        assert await gate.take(one, replace(two, group=1), replace(under_way, group=2)) == [HoldOutcome.HELD] * 3
        await state.accepted.owe([one.settle(), two.settle()])
        await state.accepted.redeemed([one.settle()])

        await gate.live_wrongly(error)

        assert await state.allowances.take(TODAY, [CLAIM])
        assert not await state.allowances.take(TODAY, [CLAIM]), "what was used is not given again"
        assert await state.part_deliveries.had([b"p" * 32])
        assert await state.paid_names.of([BOB]) == [["info@example.org"]]
        claims = Claims(author=ANN, sender=ANN, replied_to=(b"2@example.org",))
        [grants] = await state.grant_book.grants([[BOB]], claims, now=gate.now)
        assert {grant.reason for grant in grants} >= {Reason.CORRESPONDENT, Reason.REPLY, Reason.EXPECTED}
        assert (await state.figures.read(TODAY, TODAY)).figures.letters
        assert await gate.take(spent) == [HoldOutcome.ALREADY_SETTLED]
        assert await gate.take(one) == [HoldOutcome.ALREADY_SETTLED]
        assert await gate.take(replace(under_way, letter=b"x" * 32)) == [HoldOutcome.IN_PROGRESS]
        assert await gate.take(gate.hold()) == [HoldOutcome.HELD], "the account is trusted still"

    with_a_gate(path, story)


@pytest.mark.parametrize("error", ERRORS)
def test_what_was_written_down_meanwhile_is_there_when_the_clock_is_right_again(path, error):
    async def story(gate):
        await gate.live_wrongly(error)
        for _ in range(10):  # it has caught up
            gate.passed += 3600
            await gate.state.passed.look(gate.looker)
        await gate.work("v")
        state = gate.state
        for letter in "xyz":
            assert await state.part_deliveries.had([letter.encode() * 32])
            assert await state.correspondents.of(EVE, f"{letter}@x.example") is not None
            claims = Claims(author=ANN, sender=ANN, replied_to=(letter.encode(),))
            [grants] = await state.grant_book.grants([[EVE]], claims, now=gate.now)
            assert Reason.REPLY in {grant.reason for grant in grants}
        assert len((await state.paid_names.of([EVE]))[0]) == 5

    with_a_gate(path, story)


def test_a_stamp_taken_or_put_off_while_the_clock_was_ahead_is_not_stuck(path):
    async def story(gate):
        accepted = gate.state.accepted
        await accepted.note_settled([(ISSUER, gate.paper.account)], now=NOW)
        stuck, owed = gate.hold(), gate.hold()
        assert await gate.take(owed) == [HoldOutcome.HELD]
        await accepted.owe([owed.settle()])
        gate.error = 5 * DAY_SECONDS
        assert await gate.take(stuck) == [HoldOutcome.HELD]
        await accepted.postpone([owed.settle()], until=gate.now + 600)
        gate.error = 0
        again = replace(stuck, tx=b"u" * 16)
        assert await accepted.open_among([again], now=gate.now) == ([], False)
        assert await gate.take(again) == [HoldOutcome.RENEWED]
        assert [one.stamp.key for one in await accepted.waiting(ISSUER, now=gate.now)] == [owed.stamp.key]

    with_a_gate(path, story)


def test_a_sister_gate_with_a_wrong_clock_forgets_nothing_for_the_others(path):
    async def story(gate):
        wrong = Gate(gate.state)
        wrong.error = 400 * DAY_SECONDS
        await gate.state.correspondents.learn([Learned(TODAY, (BOB,), (ANN.canonical,))])
        assert await gate.state.allowances.take(TODAY, [CLAIM])
        for _ in range(20):
            await wrong.work("x")
            gate.passed += 600
            wrong.passed += 600
            await gate.state.passed.look(gate.looker)
        assert await gate.state.correspondents.of(BOB, ANN.canonical) is not None
        assert await gate.state.allowances.take(TODAY, [replace(CLAIM, count=2)])
        assert not await gate.state.allowances.take(TODAY, [CLAIM])

    with_a_gate(path, story)

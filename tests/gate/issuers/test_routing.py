"""Several offices: each has its own stamps, all are asked at once, and one that is silent costs the others nothing."""

import asyncio

import pytest
from tests.support.desk import DeskUnderTest, OfficeInMemory
from tests.support.stationery import LETTER, Stationery

from pennyred.gate.issuers.routing import IssuerRouter
from pennyred.gate.letterbox import Later, Relay
from pennyred.postage.errors import Unavailable
from pennyred.postage.redemption import Hold, HoldOutcome, SettleOutcome, VoidOutcome

BOB, EVE = "bob@example.org", "eve@example.org"
HERE, THERE = "post.example.org", "post.example.net"
HELD = HoldOutcome.HELD


class Offices:
    """Two of them, each with a ledger and a sender of its own."""

    def __init__(self) -> None:
        self.here = OfficeInMemory(Stationery())
        self.there = OfficeInMemory(Stationery(issuer=THERE, account="b" * 16))
        self.router = IssuerRouter({HERE: self.here, THERE: self.there})

    async def held(self) -> tuple[int, int]:
        found = [await one.ledger.account(one.stationery.account) for one in (self.here, self.there)]
        return found[0].held, found[1].held


def tell(story, stamps=10):
    async def run():
        offices = Offices()
        await offices.here.open(stamps)
        await offices.there.open(stamps)
        await story(offices)

    asyncio.run(run())


def hold(office, group=0, tx=b"t" * 16) -> Hold:
    return Hold(tx, group, office.stationery.stamp(LETTER, BOB), "example.org", b"l" * 32)


def test_each_office_is_asked_once_for_its_own_and_answers_come_in_order():
    async def story(offices):
        poor = OfficeInMemory(Stationery(issuer=THERE, account="c" * 16))
        holds = [hold(offices.there, 0), hold(offices.here, 1), hold(poor, 2), hold(offices.here, 3)]
        answers = await offices.router.hold(holds, lease_seconds=60)
        assert [one.outcome for one in answers] == [HELD, HELD, HoldOutcome.UNKNOWN_ACCOUNT, HELD]
        assert (offices.here.calls, offices.there.calls) == (["hold"], ["hold"])
        assert await offices.router.settle([holds[1].settle(), holds[0].settle()]) == [SettleOutcome.SETTLED] * 2
        assert await offices.router.void([holds[0].void(), holds[3].void()]) == [
            VoidOutcome.NOT_HELD,
            VoidOutcome.VOIDED,
        ]
        assert await offices.held() == (0, 0)

    tell(story)


def test_all_are_asked_at_the_same_time():
    async def story(offices):
        both = asyncio.Barrier(2)
        for office in (offices.here, offices.there):

            async def meet(holds, *, lease_seconds, ask=office.hold):
                async with asyncio.timeout(5):
                    await both.wait()
                return await ask(holds, lease_seconds=lease_seconds)

            office.hold = meet
        answers = await offices.router.hold([hold(offices.here), hold(offices.there)], lease_seconds=60)
        assert [one.outcome for one in answers] == [HELD, HELD]

    tell(story)


@pytest.mark.parametrize("is_void_heard", [True, False])
def test_where_one_is_silent_what_the_other_held_is_given_back(is_void_heard):
    async def story(offices):
        offices.there.down = {"hold", "void"}
        if not is_void_heard:
            offices.here.down = {"void"}
        with pytest.raises(Unavailable):
            await offices.router.hold([hold(offices.here), hold(offices.there)], lease_seconds=60)
        assert await offices.held() == (0 if is_void_heard else 1, 0)
        assert offices.there.calls == ["hold"]

    tell(story)


def test_a_mistake_of_ours_in_one_leaves_nothing_held_in_the_other():
    async def story(offices):
        async def broken(*_, **__):
            raise RuntimeError("a mistake")

        offices.there.hold = broken
        with pytest.raises(RuntimeError):
            await offices.router.hold([hold(offices.here), hold(offices.there)], lease_seconds=60)
        assert await offices.held() == (0, 0)

    tell(story)


@pytest.mark.parametrize("verb", ["settle", "void"])
def test_the_others_are_settled_and_voided_all_the_same(verb):
    async def story(offices):
        one, other = hold(offices.here), hold(offices.there)
        await offices.router.hold([one, other], lease_seconds=60)
        offices.here.down = {verb}
        make = Hold.settle if verb == "settle" else Hold.void
        with pytest.raises(Unavailable):
            await getattr(offices.router, verb)([make(one), make(other)])
        assert await offices.held() == (1, 0)

    tell(story)


def test_an_office_that_nobody_knows_means_later():
    async def story(offices):
        with pytest.raises(Unavailable, match="no way to the post office"):
            await IssuerRouter({}).hold([hold(offices.here)], lease_seconds=60)
        assert await offices.router.hold([], lease_seconds=60) == []

    tell(story)


def two_recipients(offices):
    here, there = (office.stationery.stamp(LETTER, to) for office, to in ((offices.here, BOB), (offices.there, EVE)))
    return here.field() + there.field() + LETTER


@pytest.fixture
def desk():
    """A gate before both offices."""

    async def prepare():
        offices = Offices()
        await offices.here.open(5)
        await offices.there.open(5)
        keys = offices.here.stationery.issuers | offices.there.stationery.issuers
        desk = DeskUnderTest(issuers=keys)
        desk.desk._redeemer = offices.router
        return offices, desk

    return prepare


def test_a_letter_may_be_paid_by_stamps_of_two_offices(desk):
    async def story():
        offices, gate = await desk()
        answer, server = await gate.present(two_recipients(offices), BOB, EVE)
        assert isinstance(answer, Relay)
        assert len(server.sent) == 1
        spent = [await one.ledger.account(one.stationery.account) for one in (offices.here, offices.there)]
        assert [one.balance for one in spent] == [4, 4]

    asyncio.run(story())


def test_a_letter_waits_for_the_office_of_one_of_its_stamps_and_mail_of_the_other_goes_on(desk):
    async def story():
        offices, gate = await desk()
        offices.there.down = {"hold"}
        answer, server = await gate.present(two_recipients(offices), BOB, EVE)
        assert isinstance(answer, Later)
        assert server.sent == []
        assert await offices.held() == (0, 0)
        answer, _ = await gate.present(offices.here.stationery.stamped(LETTER, BOB), BOB)
        assert isinstance(answer, Relay)

    asyncio.run(story())

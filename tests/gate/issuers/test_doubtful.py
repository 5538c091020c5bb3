"""Holds of which nothing was heard are given back, once and once more, and not for ever."""

import asyncio

from tests.support.stationery import LETTER, Stationery

from pennyred.gate.issuers import doubtful
from pennyred.gate.issuers.doubtful import AGAIN_SECONDS, DoubtfulHolds
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold

LEASE = 600
STAMP = Stationery().stamp(LETTER, "bob@example.org")


def hold(number):
    return Hold(number.to_bytes(16, "big"), 0, STAMP, "example.org", letter=bytes(32))


class World:
    def __init__(self):
        self.now = 0.0
        self.is_silent = False
        self.voided = []
        self.holds = DoubtfulHolds(self.void, clock=lambda: self.now)

    async def void(self, voids):
        if self.is_silent:
            raise Unavailable(Reason.OFFICE_UNREACHABLE, "silent")
        self.voided += [int.from_bytes(one.tx, "big") for one in voids]


def tell(story):
    asyncio.run(story(World()))


def test_they_are_voided_when_the_office_answers_and_once_more():
    async def story(world):
        world.holds.add([hold(1), hold(2)], LEASE)
        world.is_silent = True
        await world.holds.give_back()
        assert world.voided == []
        world.is_silent = False
        await world.holds.give_back()
        await world.holds.give_back()
        assert world.voided == [1, 2]
        world.now += AGAIN_SECONDS
        await world.holds.give_back()
        assert world.voided == [1, 2, 1, 2]
        assert len(world.holds) == 0

    tell(story)


def test_what_the_lease_has_ended_is_forgotten():
    async def story(world):
        world.is_silent = True
        world.holds.add([hold(1)], LEASE)
        world.now += LEASE
        await world.holds.give_back()
        assert len(world.holds) == 0

    tell(story)


def test_there_are_never_more_than_so_many(monkeypatch):
    monkeypatch.setattr(doubtful, "HOLDS_MAX", 10)

    async def story(world):
        world.holds.add([hold(number) for number in range(100)], LEASE)
        assert len(world.holds) == 10

    tell(story)


def test_what_is_added_while_the_office_is_asked_is_not_lost():
    async def story(world):
        async def void(voids):
            world.voided += [int.from_bytes(one.tx, "big") for one in voids]
            if len(world.voided) == 1:
                world.holds.add([hold(2)], LEASE)

        world.holds._void = void
        world.holds.add([hold(1)], LEASE)
        await world.holds.give_back()
        await world.holds.give_back()
        assert world.voided == [1, 2]

    tell(story)

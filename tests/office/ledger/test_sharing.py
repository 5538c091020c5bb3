"""Several offices over one database at the same time, each with connections of its own: one set of books."""

import asyncio
import random
from collections import Counter

import pytest
from tests.support.ledgerworld import DAY, NOW, RECEIVER, SENDER, TODAY, LedgerWorld, key_of, order, settle_of, void_of
from tests.support.postgres import any_version

OFFICES = 3

pytestmark = pytest.mark.parametrize("new_ledger", ["sqlite", f"postgresql-{any_version()}"], indirect=True)


@pytest.fixture
def together(new_ledger):
    """Runs a story with so many offices, the first prepared; at the end the audit must balance."""

    def run(story, **prepared_with):
        async def whole():
            offices = [LedgerWorld(await new_ledger())]
            await offices[0].prepare(**prepared_with)
            offices += [LedgerWorld(await new_ledger()) for _ in range(OFFICES - 1)]
            try:
                await story(offices)
                audit = await offices[0].ledger.audit()
                assert audit.balanced, audit.differences
            finally:
                for office in offices:
                    await office.ledger.close()

        asyncio.run(whole())

    return run


def single(number):
    return order(f"s{number}", f"letter {number}", f"t{number}")


async def at_once(offices, ask, count):
    """What `ask` of an office and a number answers, all asked at the same time."""
    return await asyncio.gather(*(ask(offices[number % OFFICES], number) for number in range(count)))


def test_the_daily_cap_is_of_all_offices_together(together):
    """Each round is a race for the last stamps of the cap."""

    async def story(offices):
        for day in range(10):
            after = day * DAY

            async def ask(office, number, after=after, day=day):
                one = order(f"s{day} {number}", f"l{number}", f"t{number}", expiry_day=TODAY + day + 3)
                return await office.hold(one, after=after)

            told = Counter(await at_once(offices, ask, 30))
            assert told == {"held": 7, "over-cap": 23}

    together(story, balance=1000, daily_cap=7)


def test_the_balance_is_spent_once(together):
    async def story(offices):
        told = Counter(await at_once(offices, lambda office, number: office.hold(single(number)), 60))
        assert told == {"held": 20, "insufficient-balance": 40}
        told = Counter(await at_once(offices, lambda office, number: office.settle(single(number)), 60))
        assert told == {"settled": 20, "no-such-hold": 40}
        assert await offices[0].figures() == (0, 0)

    together(story, balance=20)


def test_of_many_letters_with_one_stamp_one_has_it(together):
    async def story(offices):
        told = await at_once(
            offices, lambda office, number: office.hold(order("the stamp", f"l{number}", f"t{number}")), 30
        )
        assert Counter(told) == {"held": 1, "in-progress": 29}

    together(story)


def test_whatever_is_done_at_once_the_books_balance(together):
    chance = random.Random(5)
    verbs = [
        lambda office, one: office.hold(one),
        lambda office, one: office.settle(one),
        lambda office, one: office.ledger.void(RECEIVER, [void_of(one)], now=NOW),
        lambda office, one: office.refund(one),
        lambda office, one: office.ledger.credit(SENDER, 1, "more", now=NOW),
        lambda office, one: office.ledger.sweep(now=NOW + 6 * DAY, until=NOW + 6 * DAY),
    ]

    async def story(offices):
        plan = [(chance.choice([*verbs[:3] * 5, *verbs]), single(chance.randrange(25))) for _ in range(300)]
        await at_once(offices, lambda office, number: plan[number][0](office, plan[number][1]), len(plan))
        many = [order(f"b{number}", f"b{number}", group=number, public_key=key_of(SENDER)) for number in range(40)]
        await at_once(offices, lambda office, _: office.hold_all(many), 6)
        await at_once(
            offices, lambda office, _: office.ledger.settle(RECEIVER, [settle_of(one) for one in many], now=NOW), 6
        )

    together(story, balance=500, daily_cap=1000)

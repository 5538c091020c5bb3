"""Settlements that carry their stamps, told to every back end: what a crash has forgotten is paid, and paid once."""

import asyncio
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledgerworld import (
    DAY,
    NOW,
    OTHER_RECEIVER,
    RECEIVER,
    SENDER,
    TODAY,
    LedgerWorld,
    key_of,
    order,
)
from tests.support.memory_ledger import MemoryLedger

from pennyred.postage.ledger_rules import SWEEP_AFTER_SECONDS
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import SettleOutcome


def test_what_nobody_remembers_holding_is_settled_in_one_step_and_once(tell):
    async def story(world):
        assert await world.settle(order()) == "no-such-hold"
        assert await world.settle_stamp(order()) == "settled"
        assert await world.figures() == (9, 0)
        assert await world.settle_stamp(order()) == "already-settled"
        assert await world.settle(order()) == "already-settled"
        assert await world.hold(order(tx="t2")) == "already-settled"
        assert await world.void(order()) == "not-held"
        assert await world.figures() == (9, 0)

    tell(story)


def test_the_settlement_has_its_place_in_the_chain_like_any_other(tell):
    async def story(world):
        await world.settle_stamp(order())
        (sealed,) = await world.ledger.uses([order().key])
        assert sealed is not None
        assert (sealed.use.letter, sealed.use.receiver, sealed.use.at) == (order().letter, RECEIVER, NOW)
        assert await world.refund(order()) == "refunded"
        assert await world.figures() == (10, 0)

    tell(story)


def test_a_stamp_that_is_held_is_settled_by_its_hold(tell):
    async def story(world):
        await world.hold(order())
        assert await world.settle_stamp(order()) == "settled"
        assert await world.figures() == (9, 0)

    tell(story)


def test_what_was_given_back_is_taken_again_for_whatever_letter_was_delivered(tell):
    async def story(world):
        await world.hold(order(letter="altered copy", tx="thief"))
        await world.void(order(letter="altered copy", tx="thief"))
        assert await world.settle_stamp(order()) == "settled"
        assert await world.settle_stamp(order(letter="altered copy")) == "spent"
        assert await world.figures() == (9, 0)

    tell(story)


def test_what_another_letter_or_receiver_holds_is_in_progress_until_it_is_given_back(tell):
    async def story(world):
        await world.hold(order(letter="another", tx="t2"))
        assert await world.settle_stamp(order()) == "in-progress"
        assert await world.settle_stamp(order(letter="another"), by=OTHER_RECEIVER) == "in-progress"
        assert await world.figures() == (9, 1)
        await world.void(order(letter="another", tx="t2"))
        assert await world.settle_stamp(order()) == "settled"

    tell(story)


def test_what_was_spent_elsewhere_is_spent_and_charged_once(tell):
    async def story(world):
        await world.settle_stamp(order(), by=OTHER_RECEIVER)
        assert await world.settle_stamp(order()) == "spent"
        assert await world.settle_stamp(order(letter="another"), by=OTHER_RECEIVER) == "spent"
        await world.refund(order(), by=OTHER_RECEIVER)
        assert await world.settle_stamp(order()) == "spent", "refunded to the sender, but used all the same"
        assert await world.figures() == (10, 0)

    tell(story)


def test_a_receiver_settles_no_stamps_of_domains_that_are_not_its_own(tell):
    async def story(world):
        assert await world.settle_stamp(order(domain="example.net")) == "wrong-receiver"
        assert await world.settle_stamp(order(), by="nobody") == "wrong-receiver"
        await world.ledger.close_account(f"receiver:{RECEIVER}")
        assert await world.settle_stamp(order()) == "wrong-receiver"
        assert await world.figures() == (10, 0)

    tell(story)


def test_no_key_but_the_accounts_own_takes_its_money(tell):
    async def story(world):
        assert await world.settle_stamp(order(public_key=key_of("thief"))) == "revoked"
        await world.ledger.close_account(SENDER)
        assert await world.settle_stamp(order()) == "account-closed"
        assert await world.settle_stamp(order(account="nobody")) == "unknown-account"
        assert await world.figures() == (10, 0)

    tell(story)


def test_the_cap_of_the_day_counts_what_is_settled_so_and_is_anew_tomorrow(tell):
    async def story(world):
        assert [await world.settle_stamp(order(f"s{n}")) for n in range(3)] == ["settled", "settled", "over-cap"]
        assert await world.hold(order("s3")) == "over-cap"
        assert await world.settle_stamp(order("s2"), after=DAY) == "settled"

    tell(story, daily_cap=2)


def test_nobody_is_charged_more_than_there_is(tell):
    async def story(world):
        await world.hold(order("s1"))
        assert await world.settle_stamp(order("s2", price=2)) == "no-funds"
        assert await world.settle_stamp(order("s2")) == "settled"
        assert await world.figures() == (0, 1)

    tell(story, balance=2)


def test_a_stamp_may_be_over_for_a_day_and_then_it_is_never_charged(tell):
    async def story(world):
        assert await world.settle_stamp(order("s1"), after=4 * DAY) == "settled"
        assert await world.settle_stamp(order("s2"), after=5 * DAY) == "expired"
        assert await world.figures() == (9, 0)

    tell(story)


def test_a_day_that_is_forgotten_is_never_charged_even_if_the_clock_goes_back(tell):
    async def story(world):
        await world.settle_stamp(order())
        over = SWEEP_AFTER_SECONDS + 12 * DAY
        report = await world.ledger.sweep(now=NOW + over, until=NOW + over)
        assert report.dropped_days == (TODAY + 3,)
        assert await world.settle_stamp(order()) == "expired"
        assert await world.settle_stamp(order("never seen")) == "expired"
        assert await world.figures() == (9, 0)

    tell(story)


def test_a_list_is_answered_one_after_the_other_whatever_its_groups(tell):
    async def story(world):
        asked = [
            order("s1"),
            order("s1"),
            order("s1", letter="another"),
            order("s2", domain="example.net"),
            order("s3"),
        ]
        outcomes = await world.ledger.settle_stamps(RECEIVER, asked, now=NOW)
        assert outcomes == ["settled", "already-settled", "spent", "wrong-receiver", "settled"]
        assert await world.figures() == (8, 0)

    tell(story)


@pytest.mark.parametrize("flaw", [Reason.BAD_SIGNATURE, Reason.BAD_LICENCE, Reason.NOT_YET_VALID])
def test_a_stamp_that_does_not_hold_is_never_charged(tell, flaw):
    async def story(world):
        assert await world.settle_stamp(order(flaw=flaw)) == "invalid"
        assert await world.figures() == (10, 0)

    tell(story)


LETTERS, RECEIVERS, TXS = ("letter", "another"), (RECEIVER, OTHER_RECEIVER), ("t1", "t2")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "settle", "settle_stamp", "settle_stamp", "void", "forget"]),
        st.sampled_from(LETTERS),
        st.sampled_from(RECEIVERS),
        st.sampled_from(TXS),
    ),
    max_size=12,
)


@given(steps=STEPS)
def test_a_stamp_is_counted_once_whatever_comes_in_what_order(steps):
    """Repetitions, holds, voids, settlements with and without the stamp, and crashes: one cent, for one letter."""

    async def story():
        ledger = MemoryLedger()
        world = LedgerWorld(ledger)
        await world.prepare()
        paid = set()
        for verb, letter, by, tx in steps:
            if verb == "forget":
                ledger.forget_holds()
                continue
            outcome = await getattr(world, verb)(order(letter=letter, tx=tx), by=by)
            if verb.startswith("settle") and SettleOutcome(outcome).is_paid:
                paid.add((letter, by))
        balance = (await ledger.account(SENDER)).balance
        assert len(paid) <= 1, "whoever is told that it is paid, is paid"
        assert balance == 10 - len(paid)
        for letter, by, tx in product(LETTERS, RECEIVERS, TXS):
            await world.void(order(letter=letter, tx=tx), by=by)
        last = [await world.settle_stamp(order(letter=letter), by=by) for letter, by in product(LETTERS, RECEIVERS)]
        assert sorted(last) in (["already-settled", *["spent"] * 3], ["settled", *["spent"] * 3])
        assert await world.figures() == (9, 0)
        audit = await ledger.audit()
        assert audit.balanced, audit.differences

    asyncio.run(story())

"""Hold, settle, void and refund, told to every back end: what is answered, and what it does to balances."""

import asyncio

from tests.support.ledgerworld import (
    DAY,
    DOMAIN,
    LEASE,
    NOW,
    OTHER_DOMAIN,
    OTHER_RECEIVER,
    OTHER_SENDER,
    RECEIVER,
    SENDER,
    TODAY,
    key_of,
    order,
    settle_of,
    some_bytes,
    void_of,
)

from pennyred.office.ledger.protocol import receiver_account
from pennyred.postage.reasons import Reason


def outcomes(answers):
    return [answer.outcome.value for answer in answers]


def test_a_hold_reserves_and_a_settle_takes(tell):
    async def story(world):
        assert await world.hold(order()) == "held"
        assert await world.figures() == (9, 1)
        assert await world.settle(order()) == "settled"
        assert await world.figures() == (9, 0)
        assert await world.figures(receiver_account(RECEIVER)) == (1, 0)
        sender = await world.ledger.account(SENDER)
        assert sender.spent == 1

    tell(story)


def test_a_void_gives_back(tell):
    async def story(world):
        await world.hold(order())
        assert await world.void(order()) == "voided"
        assert await world.figures() == (10, 0)
        assert await world.void(order()) == "not-held"

    tell(story)


def test_a_retry_after_a_lost_250_is_never_charged_twice(tell):
    async def story(world):
        await world.hold(order())
        await world.settle(order())
        assert await world.hold(order(tx="t2")) == "already-settled"
        assert await world.settle(order()) == "already-settled"
        assert await world.figures() == (9, 0)

    tell(story)


def test_a_spent_stamp_on_another_letter_is_refused_with_the_first_use(tell):
    async def story(world):
        await world.hold(order())
        await world.settle(order(), after=7)
        (answer,) = await world.hold_all([order(letter="another", domain=OTHER_DOMAIN)], by=OTHER_RECEIVER)
        assert answer.outcome == "spent"
        assert (answer.first_use.receiver, answer.first_use.domain) == (RECEIVER, DOMAIN)
        assert answer.first_use.letter == order().letter
        assert answer.first_use.at == NOW + 7

    tell(story)


def test_a_second_delivery_of_a_letter_under_way_waits_for_the_lease(tell):
    async def story(world):
        await world.hold(order())
        second = order(tx="t2", lease_until=NOW + 2 * LEASE)
        assert await world.hold(second, after=LEASE - 1) == "in-progress"
        assert await world.hold(second, after=LEASE) == "renewed"
        assert await world.figures() == (9, 1)
        assert await world.void(order(), after=LEASE) == "not-held", "the first attempt holds it no more"
        assert await world.hold(order(tx="t3"), after=LEASE + 1) == "in-progress", "the lease began anew"
        assert await world.settle(order(), after=LEASE + 2) == "settled", "a delivery counts whatever its tx"

    tell(story)


def test_a_repeated_request_prolongs_its_own_lease(tell):
    async def story(world):
        await world.hold(order())
        assert await world.hold(order(lease_until=NOW + LEASE + 100), after=100) == "renewed"
        assert await world.hold(order(tx="t2"), after=LEASE + 99) == "in-progress"
        assert await world.hold(order(tx="t2"), after=LEASE + 100) == "renewed"

    tell(story)


def test_an_altered_copy_that_was_refused_does_not_spoil_the_real_letter(tell):
    async def story(world):
        thief = order(letter="altered copy", tx="thief")
        await world.hold(thief)
        await world.void(thief)
        assert await world.hold(order()) == "held"
        assert await world.settle(thief) == "no-such-hold", "the binding went with the void"
        assert await world.settle(order()) == "settled"

    tell(story)


def test_a_delivery_wins_over_a_void_while_the_balance_allows(tell):
    async def story(world):
        await world.hold(order())
        await world.void(order())
        assert await world.settle(order()) == "settled"
        assert await world.figures() == (0, 0)

    tell(story, balance=1)


def test_a_void_that_a_delivery_should_have_won_over_stands_when_the_money_is_gone(tell):
    async def story(world):
        await world.hold(order())
        await world.void(order())
        await world.hold(order("s2", "letter 2"))
        assert await world.settle(order()) == "no-funds"
        assert await world.figures() == (0, 1)

    tell(story, balance=1)


def test_a_refund_pays_back_out_of_the_receivers_credit(tell):
    async def story(world):
        await world.hold(order())
        await world.settle(order())
        assert await world.refund(order(letter="another")) == "not-settled"
        assert await world.refund(order()) == "refunded"
        assert await world.refund(order()) == "already-refunded"
        assert await world.figures() == (10, 0)
        assert await world.hold(order(tx="t2")) == "already-settled", "a refunded stamp is not free postage"
        audit = await world.ledger.audit()
        assert (audit.settled, audit.refunded, audit.outstanding) == (1, 1, 20)

    tell(story)


def test_a_refund_never_takes_a_receiver_below_zero(tell):
    async def story(world):
        await world.hold(order())
        await world.settle(order())
        await world.ledger.credit(SENDER, 1, "bought with credit", now=NOW, source=receiver_account(RECEIVER))
        assert await world.refund(order()) == "no-funds"

    tell(story)


def test_the_stamps_of_one_letter_are_all_held_or_none(tell):
    async def story(world):
        await world.hold(order("taken", "another letter"))
        answers = await world.hold_all(
            [
                order("s1", group=1),
                order("s2", group=2),
                order("taken", group=1),
                order("s3", group=1),
            ]
        )
        assert outcomes(answers) == ["group-failed", "held", "in-progress", "group-failed"]
        assert await world.figures() == (8, 2)
        assert await world.hold(order("s1", "yet another letter", "t9")) == "held", "it was left as it had been"

    tell(story)


def test_a_group_is_held_although_one_of_its_stamps_was_settled_before(tell):
    async def story(world):
        await world.hold(order("s1"))
        await world.settle(order("s1"))
        answers = await world.hold_all([order("s1", tx="t2"), order("s2", tx="t2")])
        assert outcomes(answers) == ["already-settled", "held"]

    tell(story)


def test_a_failed_group_leaves_an_older_hold_of_it_as_it_was(tell):
    async def story(world):
        await world.hold(order("s1"))
        late = order("s1", tx="t2", lease_until=NOW + 3 * LEASE)
        answers = await world.hold_all([late, order("s2", domain=OTHER_DOMAIN)], after=LEASE)
        assert outcomes(answers) == ["group-failed", "wrong-receiver"]
        assert await world.void(late, after=LEASE) == "not-held"
        assert await world.void(order("s1"), after=LEASE) == "voided"

    tell(story)


def test_a_failed_group_frees_its_money_for_the_next_group(tell):
    async def story(world):
        answers = await world.hold_all(
            [order("s1", group=1), order("s2", group=1), order("s3", group=1), order("s4", group=2)]
        )
        assert outcomes(answers) == ["group-failed", "group-failed", "insufficient-balance", "held"]

    tell(story, balance=2)


def test_duplicates_in_one_list_are_handled_one_after_the_other(tell):
    async def story(world):
        answers = await world.hold_all(
            [order(group=1), order(group=2), order(group=3, tx="t2"), order(group=4, letter="another")]
        )
        assert outcomes(answers) == ["held", "renewed", "in-progress", "in-progress"]
        settled = await world.ledger.settle(RECEIVER, [settle_of(order()), settle_of(order())], now=NOW)
        assert settled == ["settled", "already-settled"]
        voided = await world.ledger.void(RECEIVER, [void_of(order())], now=NOW)
        assert voided == ["not-held"]
        assert await world.figures() == (9, 0)

    tell(story)


def test_empty_lists_are_answered_by_empty_lists(tell):
    async def story(world):
        assert await world.hold_all([]) == []
        assert await world.ledger.settle(RECEIVER, [], now=NOW) == []
        assert await world.ledger.void(RECEIVER, [], now=NOW) == []
        assert await world.ledger.refund(RECEIVER, [], now=NOW) == []

    tell(story)


def test_the_same_serial_of_another_account_or_another_day_is_another_stamp(tell):
    async def story(world):
        answers = await world.hold_all(
            [
                order(group=1),
                order(group=2, letter="another", expiry_day=TODAY + 4),
                order(group=3, letter="another", account=OTHER_SENDER, public_key=key_of(OTHER_SENDER)),
            ]
        )
        assert outcomes(answers) == ["held"] * 3

    tell(story)


def test_a_stamp_of_a_higher_price_costs_its_price(tell):
    async def story(world):
        dear = order(price=4)
        await world.hold(dear)
        assert await world.figures() == (6, 4)
        await world.settle(dear)
        assert await world.figures() == (6, 0)
        await world.refund(dear)
        assert await world.figures() == (10, 0)

    tell(story)


def test_the_daily_cap_counts_holds_of_the_utc_day_and_a_void_gives_back_to_that_day(tell):
    async def story(world):
        assert outcomes(await world.hold_all([order("s1"), order("s2")])) == ["held", "held"]
        assert await world.hold(order("s3")) == "over-cap"
        await world.void(order("s1"))
        assert await world.hold(order("s3")) == "held"
        await world.settle(order("s3"))
        assert await world.hold(order("s4")) == "over-cap", "what was settled stays counted"
        answers = await world.hold_all([order("s4", group=1), order("s5", group=2), order("s6", group=3)], after=DAY)
        assert outcomes(answers) == ["held", "held", "over-cap"], "a new day"
        await world.void(order("s2"), after=DAY)
        assert await world.hold(order("s6"), after=DAY) == "over-cap", "given back to yesterday"

    tell(story, daily_cap=2)


def test_a_delivery_that_wins_over_a_void_counts_on_the_day_of_its_hold(tell):
    async def story(world):
        await world.hold(order("s1"))
        await world.void(order("s1"))
        await world.settle(order("s1"))
        assert await world.hold(order("s2")) == "over-cap"

    tell(story, daily_cap=1)


def test_a_failed_group_counts_towards_no_cap(tell):
    async def story(world):
        await world.hold_all([order("s1"), order("s2", domain=OTHER_DOMAIN)])
        assert await world.hold(order("s3")) == "held"

    tell(story, daily_cap=1)


def test_accounts_that_may_not_be_charged(tell):
    async def story(world):
        assert await world.hold(order(account="nobody0000000000")) == "unknown-account"
        assert await world.hold(order(account=receiver_account(RECEIVER))) == "unknown-account"
        assert await world.hold(order(account="office:sales")) == "unknown-account"
        await world.ledger.replace_key(SENDER, some_bytes("new key", 32))
        assert await world.hold(order()) == "revoked"
        assert await world.hold(order(public_key=some_bytes("new key", 32))) == "held"
        await world.ledger.close_account(SENDER)
        assert await world.hold(order("s2", public_key=some_bytes("new key", 32))) == "account-closed"
        assert await world.settle(order()) == "settled", "what was held before is settled all the same"

    tell(story)


def test_receivers_that_may_not_redeem(tell):
    async def story(world):
        assert await world.hold(order(), by="nobody") == "wrong-receiver"
        assert await world.hold(order(domain=OTHER_DOMAIN)) == "wrong-receiver"
        assert await world.hold(order(domain=OTHER_DOMAIN), by=OTHER_RECEIVER) == "held"
        assert await world.settle(order(), by=RECEIVER) == "no-such-hold"
        assert await world.void(order(), by=RECEIVER) == "not-held"
        await world.ledger.close_account(receiver_account(OTHER_RECEIVER))
        assert await world.hold(order("s2"), by=OTHER_RECEIVER) == "wrong-receiver"
        assert await world.settle(order(), by=OTHER_RECEIVER) == "settled"

    tell(story)


def test_a_flaw_the_office_found_is_told_only_to_a_new_hold(tell):
    async def story(world):
        (answer,) = await world.hold_all([order(flaw=Reason.BAD_SIGNATURE)])
        assert (answer.outcome, answer.reason) == ("invalid", "bad-signature")
        await world.hold(order())
        await world.settle(order())
        assert await world.hold(order(flaw=Reason.EXPIRED)) == "already-settled"

    tell(story)


def test_days_beyond_reason_are_answered_and_make_no_tables(tell):
    async def story(world):
        for day in (-1, TODAY - 1, TODAY + 16, 2**40, 2**70):
            odd = order(expiry_day=day)
            assert await world.hold(odd) in ("expired", "invalid")
            assert await world.settle(odd) == "no-such-hold"
            assert await world.void(odd) == "not-held"

    tell(story)


def test_calls_made_at_the_same_time_are_each_answered_in_their_own_order(tell):
    async def story(world):
        async def one_letter(number):
            mine = order(f"s{number}", f"letter {number}", f"t{number}")
            held = await world.hold(mine)
            taken = await (world.settle(mine) if number % 2 else world.void(mine))
            return held, taken

        told = await asyncio.gather(*(one_letter(number) for number in range(40)))
        assert told == [("held", "settled" if number % 2 else "voided") for number in range(40)]
        assert await world.figures() == (30, 0)

    tell(story, balance=50)


def test_of_many_letters_that_bear_the_same_stamp_one_is_held(tell):
    async def story(world):
        told = await asyncio.gather(*(world.hold(order(letter=f"letter {n}", tx=f"t{n}")) for n in range(30)))
        assert sorted(told) == ["held"] + ["in-progress"] * 29

    tell(story)


def test_calls_around_midnight_each_count_on_their_own_day(tell):
    async def story(world):
        to_midnight = DAY - NOW % DAY
        told = await asyncio.gather(
            world.hold(order("s1"), after=to_midnight - 1),
            world.hold(order("s2"), after=to_midnight),
            world.hold(order("s3"), after=to_midnight),
        )
        assert told == ["held", "held", "over-cap"]

    tell(story, daily_cap=1)


def test_what_a_void_gives_back_can_be_held_by_a_call_made_at_the_same_time(tell):
    """They share a transaction; the hold, asked later, sees what the void has done to the cap and the balance."""

    async def story(world):
        await world.hold(order("s1"))
        assert await asyncio.gather(world.void(order("s1")), world.hold(order("s2"))) == ["voided", "held"]

    tell(story, balance=1, daily_cap=1)


def test_a_stamp_asked_about_with_a_flaw_is_renewed_or_known_and_never_held_anew(tell):
    """The gate's settings or keys have changed since: the price, an office's key, the offices it accepts."""

    async def story(world):
        flawed = order(tx="t2", flaw=Reason.UNDERPAID)
        (answer,) = await world.hold_all([flawed])
        assert (answer.outcome, answer.reason) == ("invalid", "underpaid")
        assert await world.figures() == (10, 0)
        await world.hold(order())
        assert await world.hold(flawed) == "in-progress"
        assert await world.hold(flawed, after=LEASE) == "renewed"
        assert await world.settle(flawed, after=LEASE) == "settled"
        assert await world.hold(flawed, after=LEASE) == "already-settled"
        assert await world.hold(order(tx="t3", letter="another", flaw=Reason.UNDERPAID), after=LEASE) == "invalid"
        assert await world.refund(flawed, after=LEASE) == "refunded"
        assert await world.hold(flawed, after=LEASE) == "already-settled"
        await world.hold(order("s2"), after=LEASE)
        await world.void(order("s2"), after=LEASE)
        assert await world.hold(order("s2", tx="t4", flaw=Reason.UNDERPAID), after=LEASE) == "invalid"
        assert await world.figures() == (10, 0)

    tell(story)


def test_one_with_a_flaw_fails_no_group_but_its_own(tell):
    async def story(world):
        asked = [order("s1", group=0), order("s2", group=1, flaw=Reason.BAD_LICENCE), order("s3", group=0)]
        assert outcomes(await world.hold_all(asked)) == ["held", "invalid", "held"]

    tell(story)

"""Accounts, credit, vouchers, receivers and tokens, told to every back end."""

import asyncio

import pytest
from tests.support.ledgerworld import (
    DOMAIN,
    NOW,
    OTHER_RECEIVER,
    OTHER_SENDER,
    RECEIVER,
    SENDER,
    key_of,
    order,
    some_bytes,
)

from pennyred.office.ledger.protocol import AccountState, EntryKind, receiver_account
from pennyred.postage.errors import Unavailable

HASH = some_bytes("a voucher's code", 32)


def test_an_opened_account_is_found_by_id_and_by_key(tell):
    async def story(world):
        answer = await world.ledger.open_account("new0000000000000", "a@b.example", bytes(32), 5, now=NOW + 3)
        assert answer.outcome == "opened"
        account = await world.ledger.account("new0000000000000")
        assert account == answer.account == await world.ledger.account_by_key(bytes(32))
        assert (account.address, account.daily_cap, account.opened_at) == ("a@b.example", 5, NOW + 3)
        assert (account.state, account.available, account.spent) == (AccountState.OPEN, 0, 0)

    tell(story)


def test_opening_again_with_the_same_key_answers_the_same_account(tell):
    async def story(world):
        answer = await world.ledger.open_account("another000000000", "x@y.example", key_of(SENDER), 1, now=NOW)
        assert answer.outcome == "exists"
        assert answer.account == await world.ledger.account(SENDER)
        assert await world.ledger.account("another000000000") is None

    tell(story)


def test_an_id_that_is_taken_is_not_given_twice(tell):
    async def story(world):
        answer = await world.ledger.open_account(SENDER, "x@y.example", bytes(32), 1, now=NOW)
        assert (answer.outcome, answer.account) == ("id-taken", None)

    tell(story)


def test_nobody_is_found_where_nobody_is(tell):
    async def story(world):
        assert await world.ledger.account("nobody") is None
        assert await world.ledger.account_by_key(bytes(32)) is None
        assert await world.ledger.account_by_key(b"") is None
        assert await world.ledger.entries("nobody") == []
        assert await world.ledger.receiver_by_token(bytes(32)) is None

    tell(story)


def test_a_closed_account_stays_and_says_so(tell):
    async def story(world):
        assert await world.ledger.close_account(SENDER) == "done"
        assert await world.ledger.close_account(SENDER) == "done"
        assert await world.ledger.close_account("nobody") == "unknown-account"
        assert (await world.ledger.account(SENDER)).state is AccountState.CLOSED
        assert (await world.ledger.open_account("z", "", key_of(SENDER), 1, now=NOW)).outcome == "exists"

    tell(story)


def test_a_key_may_be_replaced_by_one_that_nobody_has(tell):
    async def story(world):
        new_key = some_bytes("new", 32)
        assert await world.ledger.replace_key(SENDER, key_of(OTHER_SENDER)) == "key-in-use"
        assert await world.ledger.replace_key(SENDER, new_key) == "done"
        assert await world.ledger.replace_key(SENDER, new_key) == "done"
        assert await world.ledger.replace_key("nobody", bytes(32)) == "unknown-account"
        assert await world.ledger.replace_key(receiver_account(RECEIVER), bytes(32)) == "unknown-account"
        assert await world.ledger.account_by_key(key_of(SENDER)) is None
        assert (await world.ledger.account_by_key(new_key)).id == SENDER

    tell(story)


def test_accounts_come_in_pages_ordered_by_id(tell):
    async def story(world):
        everybody = [account.id for account in await world.ledger.accounts()]
        assert everybody == sorted(everybody)
        assert set(everybody) == {
            SENDER,
            OTHER_SENDER,
            receiver_account(RECEIVER),
            receiver_account(OTHER_RECEIVER),
            "office:sales",
            "office:vouchers",
        }
        paged = []
        while page := await world.ledger.accounts(after=paged[-1] if paged else "", limit=2):
            paged += [account.id for account in page]
        assert paged == everybody

    tell(story)


def test_a_statement_comes_in_pages_with_the_balance_after_each_entry(tell):
    async def story(world):
        for number in range(5):
            await world.ledger.credit(SENDER, number + 1, f"credit {number}", now=NOW + number)
        statement = await world.ledger.entries(SENDER)
        assert [entry.balance for entry in statement] == [10, 11, 13, 16, 20, 25]
        page = await world.ledger.entries(SENDER, after=statement[1].id, limit=2)
        assert page == statement[2:4]
        assert (page[0].at, page[0].stamps, page[0].detail) == (NOW + 1, 2, "credit 1")

    tell(story)


@pytest.mark.parametrize("stamps", [0, -1, True, 1.0, 10**12 + 1])
def test_only_a_whole_positive_number_of_stamps_can_be_credited(tell, stamps):
    async def story(world):
        with pytest.raises(ValueError, match="number of stamps"):
            await world.ledger.credit(SENDER, stamps, "", now=NOW)
        with pytest.raises(ValueError, match="number of stamps"):
            await world.ledger.create_vouchers([HASH], stamps, now=NOW)

    tell(story)


def test_credit_goes_to_open_accounts_only(tell):
    async def story(world):
        await world.ledger.close_account(SENDER)
        assert await world.ledger.credit(SENDER, 1, "", now=NOW) == "account-closed"
        assert await world.ledger.credit("nobody", 1, "", now=NOW) == "unknown-account"
        assert await world.ledger.credit(OTHER_SENDER, 1, "", now=NOW, source="nobody") == "unknown-account"

    tell(story)


def test_the_offices_internal_accounts_are_neither_credited_nor_closed(tell):
    async def story(world):
        for internal in ("office:sales", "office:vouchers"):
            assert await world.ledger.credit(internal, 1, "", now=NOW) == "unknown-account"
            assert await world.ledger.close_account(internal) == "unknown-account"
            assert (await world.ledger.account(internal)).state is AccountState.OPEN

    tell(story)


def test_a_receivers_credit_buys_postage_and_no_more_than_it_has(tell):
    async def story(world):
        await world.hold(order())
        await world.settle(order())
        mine = receiver_account(RECEIVER)
        assert await world.ledger.credit(OTHER_SENDER, 2, "", now=NOW, source=mine) == "no-funds"
        assert await world.ledger.credit(OTHER_SENDER, 1, "", now=NOW, source=mine) == "credited"
        assert await world.figures(OTHER_SENDER) == (11, 0)
        assert (await world.ledger.audit()).sold == 20

    tell(story)


def test_what_is_held_cannot_be_moved_away(tell):
    async def story(world):
        await world.hold(order(price=8))
        assert await world.ledger.credit(OTHER_SENDER, 3, "", now=NOW, source=SENDER) == "no-funds"

    tell(story)


def test_a_voucher_is_credited_once_and_answers_its_owner_the_same_again(tell):
    async def story(world):
        await world.ledger.create_vouchers([HASH], 50, now=NOW)
        for _ in range(2):
            answer = await world.ledger.redeem_voucher(SENDER, HASH, now=NOW)
            assert (answer.outcome, answer.stamps) == ("redeemed", 50)
        assert await world.figures() == (60, 0)
        other = await world.ledger.redeem_voucher(OTHER_SENDER, HASH, now=NOW)
        assert (other.outcome, other.stamps) == ("already-used", 0)
        assert [entry.kind for entry in await world.ledger.entries(SENDER)] == [EntryKind.CREDIT, EntryKind.VOUCHER]
        assert (await world.ledger.audit()).sold == 70

    tell(story)


def test_a_voucher_asked_for_by_two_at_once_goes_to_one(tell):
    async def story(world):
        await world.ledger.create_vouchers([HASH], 50, now=NOW)
        told = await asyncio.gather(
            *(world.ledger.redeem_voucher(who, HASH, now=NOW) for who in (SENDER, OTHER_SENDER))
        )
        assert sorted(answer.outcome for answer in told) == ["already-used", "redeemed"]

    tell(story)


def test_vouchers_that_cannot_be_redeemed(tell):
    async def story(world):
        await world.ledger.create_vouchers([HASH], 50, now=NOW)
        assert (await world.ledger.redeem_voucher(SENDER, bytes(32), now=NOW)).outcome == "unknown-voucher"
        assert (await world.ledger.redeem_voucher("nobody", HASH, now=NOW)).outcome == "unknown-account"
        await world.ledger.close_account(SENDER)
        assert (await world.ledger.redeem_voucher(SENDER, HASH, now=NOW)).outcome == "account-closed"
        assert (await world.ledger.redeem_voucher(OTHER_SENDER, HASH, now=NOW)).outcome == "redeemed"

    tell(story)


def test_a_voucher_is_made_once_or_not_at_all(tell):
    async def story(world):
        await world.ledger.create_vouchers([HASH], 50, now=NOW)
        with pytest.raises(ValueError, match="exists"):
            await world.ledger.create_vouchers([bytes(32), HASH], 70, now=NOW)
        assert (await world.ledger.redeem_voucher(SENDER, bytes(32), now=NOW)).outcome == "unknown-voucher"
        assert (await world.ledger.redeem_voucher(SENDER, HASH, now=NOW)).stamps == 50

    tell(story)


def test_a_receiver_is_known_by_its_token_until_it_is_closed(tell):
    async def story(world):
        receiver = await world.ledger.receiver_by_token(some_bytes("token", 32))
        assert (receiver.name, receiver.domains) == (RECEIVER, (DOMAIN,))
        assert await world.ledger.add_receiver(RECEIVER, ["x.example"], bytes(32), now=NOW) == "name-taken"
        await world.ledger.close_account(receiver_account(RECEIVER))
        assert await world.ledger.receiver_by_token(some_bytes("token", 32)) is None

    tell(story)


def test_a_token_id_is_accepted_once_until_it_expires(tell):
    async def story(world):
        ledger = world.ledger
        assert await ledger.remember_jti("id", NOW + 60, now=NOW)
        assert not await ledger.remember_jti("id", NOW + 60, now=NOW + 59)
        assert await ledger.remember_jti("other id", NOW + 60, now=NOW + 59)
        assert not await ledger.remember_jti("late", NOW, now=NOW), "it has expired"
        assert not await ledger.remember_jti("long", NOW + 3601, now=NOW), "no token lives so long"
        assert await ledger.remember_jti("id", NOW + 120, now=NOW + 60), "nobody can present the old one any more"

    tell(story)


def test_of_two_that_present_the_same_token_one_is_believed(tell):
    async def story(world):
        told = await asyncio.gather(*(world.ledger.remember_jti("id", NOW + 60, now=NOW) for _ in range(10)))
        assert sorted(told) == [False] * 9 + [True]

    tell(story)


def test_a_closed_ledger_says_later(new_ledger):
    async def story():
        ledger = await new_ledger()
        await ledger.close()
        await ledger.close()
        for question in (
            ledger.account("x"),
            ledger.hold(RECEIVER, [order()], now=NOW),
            ledger.sweep(now=NOW, until=NOW),
        ):
            with pytest.raises(Unavailable) as caught:
                await question
            assert caught.value.reason == "ledger-unavailable"

    asyncio.run(story())

"""Settlements with their stamps, as gates of this release and of earlier ones ask an office for them over a socket."""

import json

from tests.office.api.test_receivers import BOB, LEASE, gate, hold_of, post, tell, to_dict  # noqa: F401
from tests.support.office_at_work import ANN
from tests.support.replacing import replace
from tests.support.stationery import DAY, LETTER, Stationery

from pennyred.http import redemptions
from pennyred.http.messages import SETTLE_STAMP
from pennyred.postage.proofs.receipt import holds, parse_receipt
from pennyred.postage.redemption import HoldOutcome, SettleOutcome

EARLIER_OUTCOMES = {"settled", "already-settled", "no-funds", "no-such-hold"}
"""All that gates of earlier releases can read."""


def settle_item(held):
    return to_dict(redemptions.write_settle(held.settle()))


def earlier_settle_item(held):
    """As gates of earlier releases write it."""
    item = settle_item(held)
    return {name: item[name] for name in ("issuer", "account", "expiry_day", "serial", "letter")}


def noting_holds(work):
    """What each hold asks of the ledger: whether it must last."""
    noted, hold = [], work.ledger.hold

    async def noting(*arguments, is_lasting=True, **named):
        noted.append(is_lasting)
        return await hold(*arguments, is_lasting=is_lasting, **named)

    work.ledger.hold = noting
    return noted


async def balance(work):
    account = await work.ledger.account(work.paper.account)
    return account.balance, account.held


def test_an_office_says_that_it_takes_them(tell):  # noqa: F811
    async def story(work):
        _, said, _ = await work.ask("GET", "/.well-known/pennyred")
        assert SETTLE_STAMP in said["abilities"]

    tell(story)


def test_holds_last_unless_the_gate_says_that_they_need_not(tell):  # noqa: F811
    async def story(work):
        noted = noting_holds(work)
        hold = to_dict(redemptions.write_hold(hold_of(work)))
        for more in ({}, {"lease_seconds": LEASE}, {"lasting": True}, {"lasting": False}):
            status, _, _ = await post(work, "hold", {"holds": [hold], **more})
            assert status == 200
        assert noted == [True, True, True, False]

    tell(story)


def test_a_gate_of_this_release_says_so_once_it_knows_that_the_office_takes_stamps(tell):  # noqa: F811
    async def story(work):
        noted = noting_holds(work)
        async with gate(work) as way:
            await way.hold([hold_of(work)], lease_seconds=LEASE)
            await way._abilities.has(SETTLE_STAMP)
            await way.hold([hold_of(work, 2)], lease_seconds=LEASE)
        assert noted == [True, False]

    tell(story)


def test_a_gate_of_an_earlier_release_hears_only_what_it_can_read(tell):  # noqa: F811
    async def story(work):
        held, used, unseen = hold_of(work), hold_of(work, 2), hold_of(work, 3)
        async with gate(work) as way:
            await way.hold([held, used], lease_seconds=LEASE)
            await way.settle([used.settle()])
        elsewhere = [replace(one, letter=b"x" * 32) for one in (held, used)]
        asked = [earlier_settle_item(one) for one in (held, used, unseen, *elsewhere)]
        for token in (work.other, work.acme):
            status, said, _ = await post(work, "settle", {"settles": asked}, token=token)
            assert status == 200
            assert {one["outcome"] for one in said["outcomes"]} <= EARLIER_OUTCOMES
        assert [one["outcome"] for one in said["outcomes"]][:3] == ["settled", "already-settled", "no-such-hold"]
        assert await balance(work) == (98, 0)

    tell(story)


def test_what_the_ledger_has_forgotten_is_paid_once_with_a_receipt(tell):  # noqa: F811
    async def story(work):
        lost = hold_of(work)
        async with gate(work) as way:
            assert await way.settle([lost.settle()]) == [SettleOutcome.SETTLED]
            assert await way.settle([lost.settle()]) == [SettleOutcome.ALREADY_SETTLED]
            [answer] = await way.hold([lost], lease_seconds=LEASE)
            assert answer.outcome is HoldOutcome.ALREADY_SETTLED
        _, said, _ = await post(work, "settle", {"settles": [settle_item(lost)]})
        receipt = parse_receipt(said["outcomes"][0]["receipt"].encode())
        assert holds(receipt, work.office.keys.public_keys)
        assert receipt.sealed.use.letter == lost.letter
        assert await balance(work) == (99, 0)

    tell(story)


def test_of_a_stamp_that_comes_with_a_settlement_nothing_is_believed(tell):  # noqa: F811
    async def story(work):
        other_office, no_sender = Stationery(office_key=ANN), Stationery(sender_key=ANN)
        async with gate(work) as way, gate(work, work.other) as stranger:
            good = hold_of(work)
            unlicensed = replace(good, stamp=other_office.stamp(LETTER, BOB))
            unsigned = replace(good, stamp=no_sender.stamp(LETTER, BOB))
            said = [
                await way.settle([unlicensed.settle()]),
                await way.settle([unsigned.settle()]),
                await way.settle([replace(good, domain="example.net").settle()]),
                await way.settle([hold_of(work, to="bob@example.net").settle()]),
                await way.settle([hold_of(work, now=work.now - 16 * DAY).settle()]),
                await stranger.settle([good.settle()]),
            ]
        assert [one for [one] in said] == [
            SettleOutcome.INVALID,
            SettleOutcome.REVOKED,
            SettleOutcome.WRONG_RECEIVER,
            SettleOutcome.WRONG_RECEIVER,
            SettleOutcome.EXPIRED,
            SettleOutcome.WRONG_RECEIVER,
        ]
        assert await balance(work) == (100, 0)

    tell(story)


def test_one_out_of_form_changes_nothing(tell):  # noqa: F811
    async def story(work):
        good, other = settle_item(hold_of(work)), settle_item(hold_of(work, 2))
        with_salt = {**good, "stamp": hold_of(work).stamp.text.decode()}
        for bad in (
            {**good, "stamp": other["stamp"]},
            {**good, "stamp": "v=2;"},
            {**good, "domain": "EXAMPLE.ORG"},
            {**good, "domain": ""},
            {**good, "stamp": ""},
            {**good, "stamp": None},
            {**good, "domain": 1},
            with_salt,
        ):
            status, problem, _ = await post(work, "settle", {"settles": [good, bad]})
            assert status == 400, json.dumps(problem)
        assert await balance(work) == (100, 0)

    tell(story)

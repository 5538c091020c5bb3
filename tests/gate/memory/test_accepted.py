"""Stamps accepted while their office did not answer: a small ledger, shared by the workers, within limits."""

import asyncio

import pytest
from tests.support.replacing import replace
from tests.support.state_file import teller_of, time_passes
from tests.support.stationery import DAY, ISSUER, LETTER, NOW, Stationery

from pennyred.gate.memory.accepted import DOUBT_SECONDS, TRUST_SECONDS
from pennyred.gate.memory.store import GateState
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldOutcome

BOB = "bob@example.org"
HELD, RENEWED, NO = HoldOutcome.HELD, HoldOutcome.RENEWED, HoldOutcome.GROUP_FAILED
ANN = Stationery()
EVE = Stationery(account="e" * 16)

on = teller_of("accepted")


def hold(paper=ANN, group=0, letter="l", tx="t", **changes) -> Hold:
    stamp = paper.stamp(LETTER, BOB, **changes)
    return Hold(tx.encode() * 16, group, stamp, "example.org", letter.encode() * 32)


async def trust(accepted, *papers):
    await accepted.note_settled([(paper.issuer, paper.account) for paper in papers or (ANN,)], now=NOW)


async def take(accepted, *holds, now=NOW, lease=60, per_account=20, total=1000):
    return await accepted.take(holds, lease_until=now + lease, now=now, per_account_max=per_account, total_max=total)


def test_only_accounts_that_were_settled_for_are_trusted(path):
    async def story(accepted):
        assert await take(accepted, hold()) == [NO]
        await trust(accepted)
        assert await take(accepted, hold(), hold(EVE, 1)) == [HELD, NO]

    on(path, story)


def test_what_was_delivered_is_owed_and_presented_in_order(path):
    one, two, three = hold(), hold(), hold()

    async def accept(accepted):
        await trust(accepted)
        for place, each in enumerate((two, one, three)):
            assert await take(accepted, each, now=NOW + place) == [HELD]
        assert await accepted.owe([one.settle(), two.settle(), hold().settle()]) == [True, True, False]
        assert await accepted.owe([replace(three.settle(), letter=bytes(32))]) == [False]

    async def present(accepted):
        assert await accepted.is_owing(ISSUER)
        assert not await accepted.is_owing("other.example")
        waiting = await accepted.waiting(ISSUER, now=NOW)
        assert [each.settle().key for each in waiting] == [two.settle().key, one.settle().key]
        assert waiting[0].tx == two.tx
        assert waiting[0].stamp.salt is None
        assert waiting[0].stamp.for_office() == two.stamp.for_office()
        await accepted.postpone([two.settle()], until=NOW + 9)
        assert len(await accepted.waiting(ISSUER, now=NOW + 8)) == 1
        assert len(await accepted.waiting(ISSUER, now=NOW + 9)) == 2
        await accepted.redeemed([one.settle(), two.settle()])
        assert await accepted.waiting(ISSUER, now=NOW + 9) == []
        assert await accepted.release([three.void()]) == [True]
        assert not await accepted.is_owing(ISSUER)

    on(path, accept)
    on(path, present)


@pytest.mark.parametrize("is_redeemed", [False, True])
def test_a_stamp_is_accepted_for_one_letter(path, is_redeemed):
    """As in an office's ledger, and also after it was paid."""

    async def story(accepted):
        await trust(accepted)
        one = hold()
        same_again, thief = replace(one, tx=b"u" * 16), replace(one, letter=b"x" * 32, tx=b"x" * 16)
        assert await take(accepted, one) == [HELD]
        assert await take(accepted, one) == [RENEWED]
        assert await take(accepted, same_again) == [HoldOutcome.IN_PROGRESS]
        assert await take(accepted, same_again, now=NOW + 60) == [RENEWED]
        assert await take(accepted, thief, now=NOW + 999) == [HoldOutcome.IN_PROGRESS]
        assert await accepted.release([one.void()]) == [False]
        assert await accepted.owe([one.settle()]) == [True]
        if is_redeemed:
            await accepted.redeemed([one.settle()])
        assert await take(accepted, one) == [HoldOutcome.ALREADY_SETTLED]
        assert await take(accepted, thief) == [HoldOutcome.SPENT]
        assert await accepted.release([same_again.void()]) == [False]

    on(path, story)


def test_a_void_frees_the_stamp(path):
    async def story(accepted):
        await trust(accepted)
        one = hold()
        await take(accepted, one)
        assert await accepted.release([one.void()]) == [True]
        assert await take(accepted, replace(one, letter=b"x" * 32)) == [HELD]

    on(path, story)


def test_a_group_is_accepted_whole_or_not_at_all(path):
    async def story(accepted):
        await trust(accepted)
        assert await take(accepted, hold(), hold(EVE), hold(group=1)) == [NO, NO, HELD]
        old = hold()
        await take(accepted, old)
        await accepted.owe([old.settle()])
        assert await take(accepted, old, hold()) == [HoldOutcome.ALREADY_SETTLED, HELD]

    on(path, story)


def test_an_expired_stamp_is_not_accepted(path):
    async def story(accepted):
        await trust(accepted)
        assert await take(accepted, hold(lifetime_seconds=60), now=NOW + 60) == [NO]

    on(path, story)


def test_so_many_stamps_of_an_account_and_of_all(path):
    """Stamps, not letters: one may be worth several."""

    async def story(accepted):
        await trust(accepted, ANN, EVE)
        limits = {"per_account": 5, "total": 8}
        assert await take(accepted, *(hold() for _ in range(6)), **limits) == [NO] * 6
        mine = [hold(price=2), hold(), hold()]
        assert await take(accepted, *mine, **limits) == [HELD] * 3
        assert await take(accepted, hold(price=2, group=1), hold(group=2), **limits) == [NO, HELD]
        assert await take(accepted, *(hold(EVE, n) for n in range(4)), **limits) == [HELD, HELD, HELD, NO]
        await accepted.owe([mine[0].settle()])
        await accepted.redeemed([mine[0].settle()])
        assert await take(accepted, hold(EVE), **limits) == [HELD]

    on(path, story)


def test_two_workers_share_the_limits(path):
    async def story():
        workers = [GateState.open(path, now=NOW) for _ in range(2)]
        try:
            await trust(workers[0].accepted)
            taken = await asyncio.gather(*(take(workers[n % 2].accepted, hold()) for n in range(30)))
            assert sorted(taken) == [[NO]] * 10 + [[HELD]] * 20
        finally:
            for worker in workers:
                await worker.close()

    asyncio.run(story())


def test_an_account_whose_stamps_were_not_paid_is_not_trusted_again(path):
    async def story(accepted):
        await trust(accepted, ANN, EVE)
        mine, hers = hold(), hold(EVE)
        await take(accepted, mine, hers)
        await accepted.owe([mine.settle(), hers.settle()])
        assert await accepted.lost([hers.settle()], is_blamed=True) == [hers.settle()]
        assert await accepted.lost([hers.settle()], is_blamed=True) == []
        assert await accepted.lost([mine.settle()], is_blamed=False) == [mine.settle()]
        await trust(accepted, ANN, EVE)
        assert await take(accepted, hold(), hold(EVE, 1)) == [HELD, NO]

    on(path, story)


def test_what_is_over_is_forgotten_once_it_has_expired(path):
    async def story(accepted):
        await trust(accepted)
        done, doubtful, owed = hold(), hold(), hold()
        await take(accepted, done, doubtful, owed)
        await accepted.owe([done.settle(), owed.settle()])
        await accepted.redeemed([done.settle()])
        await time_passes(path, NOW + 60 + DOUBT_SECONDS)
        await accepted.sweep()
        assert await take(accepted, replace(doubtful, letter=b"x" * 32)) == [HoldOutcome.IN_PROGRESS]
        await time_passes(path, NOW + 61 + DOUBT_SECONDS)
        await accepted.sweep()
        assert await take(accepted, replace(doubtful, letter=b"x" * 32)) == [HELD]
        assert await take(accepted, done) == [HoldOutcome.ALREADY_SETTLED]
        await time_passes(path, NOW + 11 * DAY)
        await accepted.sweep()
        assert await take(accepted, done) == [HELD]
        assert await accepted.waiting(ISSUER, now=NOW) != []
        await time_passes(path, NOW + TRUST_SECONDS + 1)
        await accepted.sweep()
        assert await take(accepted, hold()) == [NO]
        assert await accepted.waiting(ISSUER, now=NOW) != []

    on(path, story)


def test_what_was_spent_while_the_office_answered_is_remembered_until_it_has_expired(path):
    one, two = hold(), hold()
    day = one.stamp.expiry_day

    async def note(accepted):
        await trust(accepted)
        await accepted.note_spent([one.settle(), replace(two.settle(), letter=b"")])
        await accepted.note_spent([replace(one.settle(), letter=bytes(32))])  # the first use counts

    async def ask(accepted):
        assert await take(accepted, one) == [HoldOutcome.ALREADY_SETTLED]
        assert await take(accepted, replace(one, letter=b"x" * 32)) == [HoldOutcome.SPENT]
        assert await take(accepted, two) == [HoldOutcome.SPENT]
        await time_passes(path, day * DAY)
        await accepted.sweep()
        assert await take(accepted, two) == [HoldOutcome.SPENT]
        await time_passes(path, (day + 1) * DAY)
        await accepted.sweep()
        assert await take(accepted, two) == [HELD]

    on(path, note)
    on(path, ask)


@pytest.mark.parametrize("changes", [{"is_altered": True}, {"flaw": Reason.UNDERPAID}])
def test_an_altered_letter_and_a_stamp_with_a_flaw_are_only_known_if_they_were_before(path, changes):
    one = hold()

    async def story(accepted):
        await trust(accepted)
        assert await take(accepted, replace(one, **changes)) == [NO]
        assert await take(accepted, one) == [HELD]
        assert await take(accepted, replace(one, **changes)) == [RENEWED]
        await accepted.owe([one.settle()])
        assert await take(accepted, replace(one, **changes)) == [HoldOutcome.ALREADY_SETTLED]

    on(path, story)

"""The settlements an office has not confirmed yet."""

import asyncio
from types import SimpleNamespace

from tests.support.state_file import NOW, teller_of
from tests.support.stationery import LETTER, Stationery

from pennyred.gate.memory.outbox import OutboxStanding
from pennyred.gate.memory.taking import AHEAD_SECONDS_MAX
from pennyred.postage.redemption import Settle


def settle(number, **changes):
    fields = {
        "issuer": "post.example.org",
        "account": "sender0000000000",
        "expiry_day": 20_720,
        "serial": number.to_bytes(16, "big"),
        "letter": bytes(32),
    }
    return Settle(**(fields | changes))


on = teller_of("outbox")


def test_what_was_added_waits_oldest_first_until_it_is_done(path):
    async def add(outbox):
        await outbox.add([settle(1), settle(2)], now=NOW)
        await outbox.add([settle(3)], now=NOW + 5)

    async def confirm(outbox):
        waiting = await outbox.pending(10, now=NOW)
        assert [(entry.settle, entry.added_at) for entry in waiting] == [
            (settle(1), NOW),
            (settle(2), NOW),
            (settle(3), NOW + 5),
        ]
        await outbox.done([waiting[0].id, waiting[2].id, 999])
        assert [entry.settle for entry in await outbox.pending(10, now=NOW)] == [settle(2)]

    on(path, add)
    on(path, confirm)


def test_pages_are_as_long_as_asked(path):
    async def story(outbox):
        await outbox.add([settle(n) for n in range(5)], now=NOW)
        assert len(await outbox.pending(2, now=NOW)) == 2

    on(path, story)


def test_what_waits_for_offices_that_do_not_answer_can_be_left_out(path):
    async def story(outbox):
        await outbox.add([settle(n, issuer=f"{n % 3}.example") for n in range(9)], now=NOW)
        waiting = await outbox.pending(2, now=NOW, besides={"0.example", "1.example"})
        assert [entry.settle.serial[-1] for entry in waiting] == [2, 5]
        assert await outbox.pending(9, now=NOW, besides=[f"{n}.example" for n in range(3)]) == []

    on(path, story)


def test_the_same_settlement_waits_once(path):
    async def story(outbox):
        await asyncio.gather(*(outbox.add([settle(1)], now=NOW) for _ in range(5)))
        await outbox.add([settle(1), settle(1, letter=bytes([1]) * 32)], now=NOW + 1)
        assert len(await outbox.pending(10, now=NOW)) == 2

    on(path, story)


def test_an_id_is_never_used_again(path):
    """A late `done` of another worker must not forget a settlement it does not know."""

    async def story(outbox):
        await outbox.add([settle(1)], now=NOW)
        (old,) = await outbox.pending(1, now=NOW)
        await outbox.done([old.id])
        await outbox.add([settle(2)], now=NOW)
        await outbox.done([old.id])
        assert [entry.settle for entry in await outbox.pending(1, now=NOW)] == [settle(2)]

    on(path, story)


def test_an_empty_list_is_nothing_to_write(path):
    async def story(outbox):
        await outbox.add([], now=NOW)
        await outbox.done([])
        assert await outbox.pending(1, now=NOW) == []

    on(path, story)


def test_a_settlement_waits_with_its_stamp_but_never_with_the_salt(path):
    """The salt tells the recipient's name: it stays with the letter."""
    stamp = Stationery().stamp(LETTER, "bob@example.org")
    assert stamp.salt is not None

    async def add(outbox):
        with_stamp = settle(1, stamp=stamp, domain="example.org")
        await outbox.add([with_stamp, settle(2)], now=NOW)

    async def read(outbox):
        one, two = [entry.settle for entry in await outbox.pending(9, now=NOW)]
        assert (one.stamp.for_office(), one.domain) == (stamp.for_office(), "example.org")
        assert one.stamp.salt is None
        assert one.without_stamp() == settle(1)
        assert two == settle(2)

    on(path, add)
    on(path, read)


def test_a_stamp_in_the_form_of_another_release_keeps_nothing_from_being_presented(path):
    """It is paid by its hold alone."""
    stamp = SimpleNamespace(for_office=lambda: b"v=9;of=tomorrow")

    async def story(outbox):
        await outbox.add([settle(1, stamp=stamp, domain="example.org"), settle(2)], now=NOW)
        one, two = [entry.settle for entry in await outbox.pending(9, now=NOW)]
        assert (one.stamp, one.key, two) == (None, settle(1).key, settle(2))

    on(path, story)


def test_what_is_put_off_waits_until_then_and_keeps_nobody_waiting(path):
    async def story(outbox):
        await outbox.add([settle(n) for n in range(3)], now=NOW)
        first, *_ = await outbox.pending(1, now=NOW)
        await outbox.postpone([first.id], until=NOW + 60)
        assert [one.settle.serial[-1] for one in await outbox.pending(9, now=NOW + 59)] == [1, 2]
        assert [one.settle.serial[-1] for one in await outbox.pending(9, now=NOW + 60)] == [0, 1, 2]
        assert await outbox.standing() == OutboxStanding(unanswered=2, since=NOW, put_off=1)

    on(path, story)


def test_what_a_clock_that_was_ahead_has_put_off_does_not_wait_for_ever(path):
    async def story(outbox):
        await outbox.add([settle(1)], now=NOW)
        (one,) = await outbox.pending(1, now=NOW)
        await outbox.postpone([one.id], until=NOW + AHEAD_SECONDS_MAX + 1)
        assert len(await outbox.pending(1, now=NOW)) == 1

    on(path, story)

"""The settlements an office has not confirmed yet."""

import asyncio

from tests.support.state_file import NOW, teller_of

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
        waiting = await outbox.pending(10)
        assert [(entry.settle, entry.added_at) for entry in waiting] == [
            (settle(1), NOW),
            (settle(2), NOW),
            (settle(3), NOW + 5),
        ]
        await outbox.done([waiting[0].id, waiting[2].id, 999])
        assert [entry.settle for entry in await outbox.pending(10)] == [settle(2)]

    on(path, add)
    on(path, confirm)


def test_pages_are_as_long_as_asked(path):
    async def story(outbox):
        await outbox.add([settle(n) for n in range(5)], now=NOW)
        assert len(await outbox.pending(2)) == 2

    on(path, story)


def test_what_waits_for_offices_that_do_not_answer_can_be_left_out(path):
    async def story(outbox):
        await outbox.add([settle(n, issuer=f"{n % 3}.example") for n in range(9)], now=NOW)
        waiting = await outbox.pending(2, besides={"0.example", "1.example"})
        assert [entry.settle.serial[-1] for entry in waiting] == [2, 5]
        assert await outbox.pending(9, besides=[f"{n}.example" for n in range(3)]) == []

    on(path, story)


def test_the_same_settlement_waits_once(path):
    async def story(outbox):
        await asyncio.gather(*(outbox.add([settle(1)], now=NOW) for _ in range(5)))
        await outbox.add([settle(1), settle(1, letter=bytes([1]) * 32)], now=NOW + 1)
        assert len(await outbox.pending(10)) == 2

    on(path, story)


def test_an_id_is_never_used_again(path):
    """A late `done` of another worker must not forget a settlement it does not know."""

    async def story(outbox):
        await outbox.add([settle(1)], now=NOW)
        (old,) = await outbox.pending(1)
        await outbox.done([old.id])
        await outbox.add([settle(2)], now=NOW)
        await outbox.done([old.id])
        assert [entry.settle for entry in await outbox.pending(1)] == [settle(2)]

    on(path, story)


def test_an_empty_list_is_nothing_to_write(path):
    async def story(outbox):
        await outbox.add([], now=NOW)
        await outbox.done([])
        assert await outbox.pending(1) == []

    on(path, story)

"""Who may use the connections to a mail server, and whose turn it is."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.smtp_gate import eventually

from pennyred.gate.smtp.sources import NOBODY, Source, source_of
from pennyred.gate.upstream import slots
from pennyred.gate.upstream.slots import PoolExhausted, Slot, Slots

ANN, BOB, CARL = (source_of(f"192.0.2.{last}") for last in (1, 2, 3))


def told(story):
    asyncio.run(asyncio.wait_for(story(), 20))


async def at_once(room: Slots, source: Source) -> Slot | None:
    try:
        return await room.take(source, is_modest=True)
    except PoolExhausted:
        return None


def test_there_are_so_many_and_no_more():
    async def story():
        room = Slots(2, 2)
        first = await room.take(ANN)
        await room.take(BOB)
        assert await at_once(room, CARL) is None
        room.leave(first)
        room.leave(first)
        assert await at_once(room, CARL) is not None
        assert await at_once(room, CARL) is None

    told(story)


def test_a_network_has_its_share_and_others_have_theirs():
    async def story():
        room = Slots(10, 3)
        taken = [await room.take(ANN) for _ in range(3)]
        with pytest.raises(PoolExhausted, match="network has as many"):
            await room.take(ANN, is_modest=True)
        assert await at_once(room, BOB) is not None
        room.leave(taken[0])
        assert await at_once(room, ANN) is not None

    told(story)


def test_what_is_nobodys_in_particular_has_no_share():
    async def story():
        room = Slots(5, 1)
        assert all([await at_once(room, NOBODY) for _ in range(5)])
        assert await at_once(room, NOBODY) is None

    told(story)


@pytest.mark.parametrize(
    ("addresses", "is_one"),
    [
        (("2001:db8:1:1::1", "2001:db8:1:1:ffff::9"), True),
        (("2001:db8:1:1::1", "2001:db8:1:2::1"), False),
        (("192.0.2.1", "192.0.2.2"), False),
    ],
)
def test_an_ipv4_address_or_an_ipv6_64_is_a_network(addresses, is_one):
    async def story():
        room = Slots(10, 1)
        await room.take(source_of(addresses[0]))
        assert (await at_once(room, source_of(addresses[1])) is None) == is_one

    told(story)


def test_who_has_a_48_does_not_have_65536_shares():
    async def story():
        room = Slots(100, 3)
        taken = [await at_once(room, source_of(f"2001:db8:1:{net:x}::1")) for net in range(50)]
        assert len([one for one in taken if one]) == 6
        assert await at_once(room, source_of("2001:db8:2::1")) is not None

    told(story)


def test_who_has_rested_longest_makes_room():
    async def story():
        room, recalled = Slots(3, 3), []
        for source in (ANN, BOB, CARL):
            room.rest(await room.take(source), lambda source=source: recalled.append(source))
        await room.take(CARL)
        await room.take(CARL)
        assert recalled == [ANN, BOB]

    told(story)


def test_who_is_busy_never_does():
    async def story():
        room, recalled = Slots(2, 2), []
        busy, other = await room.take(ANN), await room.take(BOB)
        room.rest(busy, lambda: recalled.append(busy))
        room.resume(busy)
        assert await at_once(room, CARL) is None
        room.rest(other, lambda: recalled.append(other))
        assert await at_once(room, CARL) is None, "who is modest takes nobody's"
        await room.take(CARL)
        assert recalled == [other]

    told(story)


def test_a_network_at_its_share_makes_room_for_itself_and_takes_nobody_elses():
    async def story():
        room, recalled = Slots(10, 2), []
        room.rest(await room.take(BOB), lambda: recalled.append(BOB))
        await room.take(ANN)
        room.rest(await room.take(ANN), lambda: recalled.append(ANN))
        await room.take(ANN)
        assert recalled == [ANN]
        assert await at_once(room, ANN) is None

    told(story)


def test_who_waits_has_the_next_one_and_first_of_all_whose_network_has_fewest():
    async def story():
        room, order = Slots(3, 3), []
        taken = [await room.take(ANN) for _ in range(3)]

        async def wait(name, source):
            await room.take(source)
            order.append(name)

        waiting = []
        for name, source in (("ann", ANN), ("bob", BOB), ("bob again", BOB), ("carl", CARL)):
            waiting.append(asyncio.ensure_future(wait(name, source)))
            await asyncio.sleep(0)
        room.leave(taken[0])
        await waiting[1]
        room.leave(taken[1])
        await waiting[3]
        for one in (waiting[0], waiting[2]):
            one.cancel()
        await asyncio.wait(waiting)
        assert order == ["bob", "carl"]

    told(story)


def test_who_begins_to_rest_makes_room_for_whoever_waits():
    async def story():
        room, recalled = Slots(1, 1), []
        slot = await room.take(ANN)
        waiting = asyncio.ensure_future(room.take(BOB))
        await asyncio.sleep(0)
        room.rest(slot, lambda: recalled.append(slot))
        assert recalled == [slot]
        assert (await waiting).source == BOB
        room.leave(slot)
        assert room.used == 1, "what was recalled is over already"

    told(story)


def test_nobody_waits_for_ever_and_who_gives_up_takes_nothing_along(monkeypatch):
    async def story():
        room = Slots(1, 1)
        slot = await room.take(ANN)
        with monkeypatch.context() as patch:
            patch.setattr(slots, "PATIENCE_SECONDS", 0.01)
            with pytest.raises(PoolExhausted, match="all 1 connections"):
                await room.take(BOB)
        gone = asyncio.ensure_future(room.take(BOB))
        await asyncio.sleep(0)
        gone.cancel()
        room.leave(slot)  # in the same moment
        await asyncio.wait([gone])
        await eventually(lambda: room.used == 0)
        assert await at_once(room, CARL) is not None

    told(story)


def test_one_network_does_not_fill_the_waiting_room(monkeypatch):
    monkeypatch.setattr(slots, "_WAITING_MAX", 2)

    async def story():
        room = Slots(2, 1)
        held = [await room.take(ANN), await room.take(BOB)]
        crowd = [asyncio.ensure_future(room.take(ANN)) for _ in range(4)]
        await asyncio.sleep(0)
        carl = asyncio.ensure_future(room.take(CARL))
        await eventually(crowd[3].done)
        assert not any(one.done() for one in crowd[:3])
        with pytest.raises(PoolExhausted):
            await crowd[3]
        with pytest.raises(PoolExhausted):
            await room.take(ANN)
        room.leave(held[1])
        assert (await carl).source == CARL
        for one in crowd[:3]:
            one.cancel()
        await asyncio.wait(crowd)

    told(story)


SOURCES = [NOBODY, ANN, BOB, source_of("2001:db8::1"), source_of("2001:db8:0:1::1"), source_of("2001:db8:0:2::1")]


@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.lists(
        st.tuples(st.sampled_from(["take", "leave", "rest", "resume", "give up"]), st.integers(0, 9)), max_size=60
    ),
)
def test_whatever_happens_no_limit_is_passed_and_nobody_waits_for_what_is_free(total, share, moves):
    async def story():
        room = Slots(total, share)
        held: list[Slot] = []
        waiting: list[asyncio.Task] = []
        for move, number in moves:
            if move == "take":
                waiting.append(asyncio.ensure_future(room.take(SOURCES[number % len(SOURCES)])))
            elif move == "give up" and waiting:
                waiting.pop(number % len(waiting)).cancel()
            elif held:
                slot = held[number % len(held)]
                if move == "leave":
                    room.leave(slot)
                elif move == "rest":
                    room.rest(slot, lambda: None)
                elif not slot.is_over:
                    room.resume(slot)
            for _ in range(5):
                await asyncio.sleep(0)
            held += [one.result() for one in waiting if one.done() and not one.cancelled() and not one.exception()]
            waiting = [one for one in waiting if not one.done()]
            held = [slot for slot in held if not slot.is_over]
            assert room.used == len(held) <= total
            for source in SOURCES[1:]:
                of_it = [slot for slot in held if slot.source == source]
                assert len(of_it) <= share
            assert len([slot for slot in held if slot.source.wider]) <= 2 * share
            if room.used < total:
                assert all(room._is_at_share(one.source) for one in room._waiting)
            assert not (room._resting and any(not room._is_at_share(one.source) for one in room._waiting))
        for one in waiting:
            one.cancel()
        if waiting:
            await asyncio.wait(waiting)

    told(story)

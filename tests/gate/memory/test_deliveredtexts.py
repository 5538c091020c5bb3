"""Which text each stamp has paid for, as the state remembers it."""

import asyncio

from tests.support.state_file import NOW, teller_of, time_passes

from pennyred.gate.judging.delivered_texts import DeliveredText
from pennyred.gate.memory import deliveredtexts
from pennyred.gate.memory.store import GateState

DAY = NOW // 86_400

on = teller_of("delivered_texts")


def stamp(number, issuer="post.example.org", day=DAY + 10):
    return issuer, ("aaaaaaaaaaaaaaaa", day, number.to_bytes(16, "big"))


def text(number, at=NOW):
    return DeliveredText(number.to_bytes(16, "big"), at)


def test_what_was_noted_is_known_after_a_restart_and_to_sister_gates(path):
    async def note(book):
        await book.add({stamp(1): text(7), stamp(2): text(8)})

    async def ask(book):
        others = [stamp(1, issuer="other.example"), stamp(1, day=DAY + 11), stamp(3)]
        assert await book.of([stamp(1), *others, stamp(2)]) == [text(7), None, None, None, text(8)]
        assert await book.of([]) == []
        sister = GateState.open(path, now=NOW)
        await book.add({stamp(4): text(9)})
        assert await sister.delivered_texts.of([stamp(4)]) == [text(9)]
        await sister.close()

    on(path, note)
    on(path, ask)


def test_the_first_text_of_a_stamp_stays(path):
    async def story(book):
        await book.add({stamp(1): text(7)})
        await book.add({stamp(1): text(8, NOW + 60)})
        assert await book.of([stamp(1)]) == [text(7)]

    on(path, story)


def test_gates_that_note_the_same_stamps_at_the_same_time_do_not_stand_in_each_others_way(path):
    async def story(book):
        sister = GateState.open(path, now=NOW)
        both = [{stamp(number): text(number) for number in numbers} for numbers in (range(100), range(99, -1, -1))]
        for _ in range(5):
            await asyncio.gather(book.add(both[0]), sister.delivered_texts.add(both[1]))
        assert await book.of([stamp(number) for number in range(100)]) == [text(number) for number in range(100)]
        await sister.close()

    on(path, story)


def test_it_is_forgotten_with_the_day_of_the_stamp(path):
    async def story(book):
        await book.add({stamp(1, day=DAY): text(7), stamp(2, day=DAY + 1): text(8)})
        await time_passes(path, (DAY + 1) * 86_400)
        await book.add({stamp(3): text(9)})
        asked = [stamp(1, day=DAY), stamp(2, day=DAY + 1), stamp(3)]
        assert await book.of(asked) == [None, text(8), text(9)]

    on(path, story)


def test_however_many_stamps_come_the_table_does_not_grow(path, monkeypatch):
    monkeypatch.setattr(deliveredtexts, "PLACES", 16)

    async def story(book):
        for number in range(100):
            await book.add({stamp(number): text(number)})
        found = await book.of([stamp(number) for number in range(100)])
        known = [number for number, one in enumerate(found) if one is not None]
        assert 0 < len(known) <= 16
        assert 99 in known, "the later one takes the place"
        assert [found[number] for number in known] == [text(number) for number in known]

    on(path, story)

"""Who has had a letter that others of its recipients must wait for."""

import asyncio

import pytest
from tests.support.state_file import NOW, teller_of, time_passes

from pennyred.gate.memory.part_deliveries import DAYS_KEPT
from pennyred.gate.memory.store import GateState
from pennyred.postage.errors import Unavailable

DAY = NOW // 86_400


def letter(number: int) -> bytes:
    return number.to_bytes(32, "big")


on = teller_of("part_deliveries")


def test_what_was_noted_is_known_after_a_restart(path):
    async def note(book):
        await book.add(DAY, [letter(1), letter(2)])

    async def ask(book):
        assert await book.had([letter(1), letter(3), letter(1)]) == {letter(1)}
        assert await book.had([]) == frozenset()

    on(path, note)
    on(path, ask)


def test_it_is_forgotten_when_no_mail_server_tries_any_more(path):
    async def story(book):
        await book.add(DAY, [letter(1), letter(2)])
        await book.add(DAY + 3, [letter(2)])
        await time_passes(path, (DAY + DAYS_KEPT) * 86_400)
        await book.add(DAY + DAYS_KEPT, [letter(3)])
        assert await book.had([letter(1), letter(2), letter(3)]) == {letter(2), letter(3)}

    on(path, story)


def test_what_several_letters_ask_at_once_is_answered_to_each(path):
    async def story(book):
        await book.add(DAY, [letter(1)])
        asked = (book.had([letter(number)]) for number in range(3))
        assert await asyncio.gather(*asked) == [frozenset(), {letter(1)}, frozenset()]

    on(path, story)


def test_a_state_that_is_closed_does_not_answer(path):
    async def story():
        state = GateState.open(path, now=NOW)
        await state.close()
        with pytest.raises(Unavailable):
            await state.part_deliveries.had([letter(1)])

    asyncio.run(story())

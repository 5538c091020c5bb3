"""One timer bounds many waits: nobody waits longer, and nobody is woken up who is not late."""

import asyncio

import pytest

from pennyred.gate.patience import Patience

SOON, NEVER = 0.01, 3600.0


async def for_ever() -> None:
    await asyncio.Event().wait()


async def after(turns: int) -> int:
    for _ in range(turns):
        await asyncio.sleep(0)
    return turns


def test_an_answer_in_time_is_the_answer():
    async def story():
        patience = Patience(NEVER)
        assert await asyncio.gather(*(patience.wait(after(turns)) for turns in range(5))) == list(range(5))

    asyncio.run(story())


def test_an_error_is_passed_on():
    async def story():
        async def broken():
            await after(1)
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            await Patience(NEVER).wait(broken())

    asyncio.run(story())


def test_who_waits_too_long_is_told_so_and_can_wait_again():
    async def story():
        patience = Patience(SOON)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await patience.wait(for_ever())
        assert await patience.wait(after(1)) == 1
        assert asyncio.current_task().cancelling() == 0

    asyncio.run(story())


def test_what_is_late_is_cancelled():
    async def story():
        ended = []

        async def late():
            try:
                await for_ever()
            finally:
                ended.append("late")

        with pytest.raises(TimeoutError):
            await Patience(SOON).wait(late())
        assert ended == ["late"]

    asyncio.run(story())


def test_each_of_many_has_its_own_time():
    async def story():
        patience = Patience(SOON)

        async def begun_after(turns: int) -> str:
            await after(turns)
            try:
                return str(await patience.wait(for_ever() if turns % 2 else after(1)))
            except TimeoutError:
                return "late"

        told = await asyncio.gather(*(begun_after(turns) for turns in range(50)))
        assert told == ["1", "late"] * 25

    asyncio.run(story())


def test_who_is_cancelled_by_somebody_else_is_not_late():
    async def story():
        patience = Patience(NEVER)
        waiting = asyncio.create_task(patience.wait(for_ever()))
        await after(2)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()

    asyncio.run(story())


def test_who_is_late_and_cancelled_by_somebody_else_stays_cancelled():
    async def story():
        patience = Patience(SOON)

        async def cancelled_while_it_ends():
            try:
                await for_ever()
            finally:
                waiting.cancel()

        waiting = asyncio.create_task(patience.wait(cancelled_while_it_ends()))
        await asyncio.wait([waiting])
        assert waiting.cancelled()

    asyncio.run(story())


def test_who_is_late_is_not_left_cancelled_where_another_error_comes_of_it():
    async def story():
        async def fails_when_cancelled():
            try:
                await for_ever()
            except asyncio.CancelledError:
                raise ValueError from None

        with pytest.raises(ValueError):
            await Patience(SOON).wait(fails_when_cancelled())
        assert asyncio.current_task().cancelling() == 0

    asyncio.run(story())

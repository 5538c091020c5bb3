"""What many ask at nearly the same time travels together, within bounds; nobody waits for ever."""

import asyncio

import pytest

from pennyred.gate.issuers.asking import RequestRefused
from pennyred.gate.issuers.batching import Batcher, BatchLimits
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason


class Office:
    """Answers each number with its double; holds its answers back while `gate` is closed."""

    def __init__(self) -> None:
        self.batches: list[tuple[object, list[list[int]]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.poison: int | None = None
        self.error: Exception | None = None
        self.is_asked = asyncio.Event()

    async def send(self, key, questions):
        self.batches.append((key, [list(one) for one in questions]))
        self.is_asked.set()
        await self.gate.wait()
        if self.error:
            raise self.error
        if any(self.poison in one for one in questions):
            raise RequestRefused(Reason.OFFICE_UNREACHABLE, "no such question")
        return [[2 * number for number in one] for one in questions]

    @property
    def sizes(self) -> list[int]:
        return [len(questions) for _, questions in self.batches]


def tell(story, **limits):
    async def run():
        office = Office()
        batcher = Batcher(office.send, BatchLimits(**limits))
        try:
            await story(office, batcher)
        finally:
            office.gate.set()
            await batcher.close()

    asyncio.run(run())


def test_those_who_ask_together_travel_together_and_each_has_its_own_answer():
    async def story(office, batcher):
        answers = await asyncio.gather(*(batcher.ask([n, n + 100], 1) for n in range(50)))
        assert answers == [[2 * n, 2 * n + 200] for n in range(50)]
        assert office.sizes == [50]

    tell(story)


def test_a_request_takes_so_many_items_and_no_question_is_divided():
    async def story(office, batcher):
        await asyncio.gather(*(batcher.ask([n] * 3, 1) for n in range(4)))
        assert office.sizes == [2, 2]

    tell(story, items_max=7)


def test_a_question_larger_than_a_request_goes_alone():
    async def story(office, batcher):
        await asyncio.gather(batcher.ask([1] * 9, 1), batcher.ask([2], 1))
        assert office.sizes == [1, 1]

    tell(story, items_max=7)


def test_a_request_takes_so_many_bytes():
    async def story(office, batcher):
        await asyncio.gather(*(batcher.ask([n], 40) for n in range(5)))
        assert office.sizes == [2, 2, 1]

    tell(story, bytes_max=100)


def test_a_full_request_does_not_wait_for_more():
    async def story(office, batcher):
        await asyncio.gather(*(batcher.ask([n], 1) for n in range(4)))
        assert office.sizes == [4]

    tell(story, items_max=4, linger_seconds=1000)


def test_questions_of_different_keys_do_not_travel_together():
    async def story(office, batcher):
        await asyncio.gather(*(batcher.ask([n], 1, n % 2) for n in range(6)))
        assert sorted(office.batches) == [(0, [[0], [2], [4]]), (1, [[1], [3], [5]])]

    tell(story)


def test_while_as_many_are_under_way_as_may_be_the_others_gather():
    async def story(office, batcher):
        office.gate.clear()
        first = []
        for n in range(2):
            first.append(asyncio.create_task(batcher.ask([n], 1)))
            await office.is_asked.wait()
            office.is_asked.clear()
        later = [asyncio.create_task(batcher.ask([n], 1)) for n in range(2, 30)]
        await asyncio.sleep(0.02)
        assert office.sizes == [1, 1]
        office.gate.set()
        assert await asyncio.gather(*first, *later) == [[2 * n] for n in range(30)]
        assert office.sizes == [1, 1, 28]

    tell(story, requests_max=2, linger_seconds=0)


def test_what_goes_wrong_is_told_to_all_of_the_request():
    async def story(office, batcher):
        office.error = Unavailable(Reason.OFFICE_UNREACHABLE, "down")
        answers = await asyncio.gather(*(batcher.ask([n], 1) for n in range(3)), return_exceptions=True)
        assert answers == [office.error] * 3

    tell(story)


def test_a_question_that_the_office_refuses_does_not_spoil_it_for_others():
    async def story(office, batcher):
        office.poison = 1
        answers = await asyncio.gather(*(batcher.ask([n], 1) for n in range(3)), return_exceptions=True)
        assert [answers[0], answers[2]] == [[0], [4]]
        assert isinstance(answers[1], RequestRefused)
        assert office.sizes == [3, 1, 1, 1]

    tell(story)


def test_what_nobody_waits_for_any_more_is_not_sent():
    async def story(office, batcher):
        office.gate.clear()
        first = asyncio.create_task(batcher.ask([0], 1))
        await office.is_asked.wait()
        gone = asyncio.create_task(batcher.ask([1], 1))
        stays = asyncio.create_task(batcher.ask([2], 1))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.wait([gone])
        office.gate.set()
        await asyncio.gather(first, stays)
        assert [questions for _, questions in office.batches] == [[[0]], [[2]]]

    tell(story, requests_max=1, linger_seconds=0)


def test_who_waits_too_long_is_told_later():
    async def story(office, batcher):
        office.gate.clear()
        with pytest.raises(Unavailable, match="too long"):
            await batcher.ask([1], 1)

    tell(story, wait_seconds=0.02)


def test_not_more_wait_than_memory_is_given_for():
    async def story(office, batcher):
        waiting = asyncio.create_task(batcher.ask([1, 2, 3], 1))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="too many") as crowded:
            await batcher.ask([4, 5], 1)
        assert not crowded.value.is_silence
        assert await waiting == [2, 4, 6]
        assert await batcher.ask([4, 5], 1) == [8, 10]

    tell(story, waiting_max=4)


def test_at_the_end_whoever_waits_is_told_later():
    async def story(office, batcher):
        office.gate.clear()
        asked = [asyncio.create_task(batcher.ask([n], 1)) for n in range(2)]
        await office.is_asked.wait()
        asked.append(asyncio.create_task(batcher.ask([3], 1)))
        await asyncio.sleep(0)
        await batcher.close()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable] * 3

    tell(story)

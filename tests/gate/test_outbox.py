"""What a full disk keeps out of the outbox stands in memory, and is written down once there is room."""

import asyncio

import pytest
from tests.support.desk import Lines, OutboxInMemory

from pennyred.gate import outbox
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.outbox import BufferedOutbox
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Settle

ONE, TWO, THREE = (Settle("post.example.org", f"account{number}", 20_720, bytes(16), bytes(32)) for number in range(3))


class Disk(OutboxInMemory):
    """It has room for so many more."""

    room = 0
    pause: asyncio.Event | None = None
    """Until which nothing is written."""
    begun: asyncio.Event

    async def add(self, settles, *, now):
        if self.pause is not None:
            self.begun.set()
            await self.pause.wait()
        if self.room < len(settles):
            raise Unavailable(Reason.INTERNAL, "the disk is full")
        self.room -= len(settles)
        await super().add(settles, now=now)


def run(story) -> Lines:
    lines, disk = Lines(), Disk()
    asyncio.run(story(disk, BufferedOutbox(disk, LetterLog(lines))))
    return lines


async def waiting(outbox: BufferedOutbox) -> list[Settle]:
    return [entry.settle for entry in await outbox.pending(10, now=2)]


def test_what_does_not_go_to_the_disk_is_remembered_and_goes_there_in_order_once_there_is_room():
    async def story(disk: Disk, outbox: BufferedOutbox) -> None:
        await outbox.add([ONE, TWO], now=1)
        await outbox.add([THREE], now=2)
        assert await waiting(outbox) == []
        disk.room = 2
        assert await waiting(outbox) == []
        disk.room = 9
        assert await waiting(outbox) == [ONE, TWO, THREE]
        assert await waiting(outbox) == [ONE, TWO, THREE]
        await outbox.close()

    lines = run(story).lines
    assert [(line["event"], line["stamps"]) for line in lines] == [
        ("outbox.in_memory_only", 2),
        ("outbox.in_memory_only", 1),
    ]


def test_a_stop_writes_down_what_it_can_and_names_what_is_lost():
    async def story(disk: Disk, outbox: BufferedOutbox) -> None:
        await outbox.add([ONE], now=1)
        await outbox.add([TWO], now=1)
        disk.room = 1
        await outbox.close()
        assert await waiting(outbox) == []

    [*_, one, two] = run(story).lines
    assert [(line["event"], line["account"]) for line in (one, two)] == [
        ("stamp.not_settled", ONE.account),
        ("stamp.not_settled", TWO.account),
    ]


def test_who_is_stopped_while_writing_down_has_forgotten_nothing(monkeypatch):
    """The program stops: what presents the outbox is cancelled, and then the outbox is closed."""
    monkeypatch.setattr(outbox, "_AT_ONCE", 1)

    async def story(disk: Disk, outbox: BufferedOutbox) -> None:
        await outbox.add([ONE, TWO, THREE], now=1)
        disk.room = 3
        disk.begun, disk.pause = asyncio.Event(), asyncio.Event()
        writing = asyncio.create_task(outbox.pending(10, now=2))
        await disk.begun.wait()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        disk.pause.set()
        await outbox.close()
        assert set(await waiting(outbox)) == {ONE, TWO, THREE}

    assert [line["event"] for line in run(story).lines] == ["outbox.in_memory_only"]


def test_memory_has_an_end_too(monkeypatch):
    monkeypatch.setattr(outbox, "SETTLES_MAX", 2)

    async def story(_disk: Disk, outbox: BufferedOutbox) -> None:
        await outbox.add([ONE, TWO], now=1)
        with pytest.raises(Unavailable):
            await outbox.add([THREE], now=1)

    run(story)

"""Letters that wait for the DNS: each network has a share, and who keeps many waiting has less of it."""

import asyncio

import pytest

from pennyred.gate.authentication.dns_shares import (
    PER_CLIENT_MAX,
    PER_NETWORK_MAX,
    SLOW_MAX,
    SLOW_SECONDS,
    WINDOW_SECONDS,
    Turns,
)

ONE, OTHER = "198.51.100.0/24", "203.0.113.0/24"


class Room:
    """Turns with a clock of their own, and letters that stay until they are let go."""

    def __init__(self, threads: int = 64) -> None:
        self.now = 0.0
        self.turns = Turns(threads, clock=lambda: self.now)
        self.inside: list[str] = []
        self.over = asyncio.Event()

    def comes(self, network: str, wait_seconds: float = 5, *, client: str = "") -> asyncio.Task[None]:
        async def letter() -> None:
            async with self.turns.turn(network, wait_seconds, client=client):
                self.inside.append(client or network)
                await self.over.wait()

        return asyncio.ensure_future(letter())

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


def run(story) -> None:
    asyncio.run(story())


def test_a_network_has_its_share_and_the_rest_of_its_letters_come_after_them():
    async def story():
        room = Room()
        letters = [room.comes(ONE) for _ in range(PER_NETWORK_MAX + 3)]
        letters.append(room.comes(OTHER))
        await room.settle()
        assert room.inside == [ONE] * PER_NETWORK_MAX + [OTHER]
        room.over.set()
        await asyncio.gather(*letters)
        assert len(room.inside) == PER_NETWORK_MAX + 4
        assert (room.turns._shares, room.turns._members) == ({}, {})

    run(story)


def test_a_neighbour_does_not_wait_behind_all_letters_of_another_client():
    """Else whoever takes a machine at the same hoster keeps a friend from being recognised, for as long as he likes."""

    async def story():
        room = Room()
        letters = [room.comes(ONE, client="198.51.100.66") for _ in range(50)]
        await room.settle()
        letters.append(room.comes(ONE, client="198.51.100.7"))
        await room.settle()
        assert room.inside == ["198.51.100.66"] * PER_CLIENT_MAX + ["198.51.100.7"]
        letters += [room.comes(ONE, client="198.51.100.67") for _ in range(50)]
        await room.settle()
        assert len(room.inside) == PER_NETWORK_MAX
        room.over.set()
        await asyncio.gather(*letters)
        assert (room.turns._shares, room.turns._members) == ({}, {})

    run(story)


def test_who_waits_in_vain_for_a_networks_turn_gives_his_clients_back():
    async def story():
        room = Room()
        letters = [room.comes(ONE, client=f"198.51.100.{number}") for number in range(PER_NETWORK_MAX)]
        await room.settle()
        for _ in range(PER_CLIENT_MAX + 1):
            with pytest.raises(TimeoutError):
                await room.comes(ONE, wait_seconds=0.001, client="198.51.100.7")
        room.over.set()
        await asyncio.gather(*letters, room.comes(ONE, client="198.51.100.7"))
        assert (room.turns._shares, room.turns._members) == ({}, {})

    run(story)


def test_nobody_waits_for_a_turn_for_ever():
    async def story():
        room = Room()
        letters = [room.comes(ONE) for _ in range(PER_NETWORK_MAX)]
        await room.settle()
        with pytest.raises(TimeoutError):
            await room.comes(ONE, wait_seconds=0.01)
        room.over.set()
        await asyncio.gather(*letters)
        assert room.turns._shares == {}

    run(story)


def test_half_of_the_threads_are_for_what_is_vital_and_not_for_networks_that_keep_others_waiting():
    async def story():
        room = Room(threads=4)
        for _ in range(SLOW_MAX):
            letter = room.comes(ONE)
            await room.settle()
            room.now += SLOW_SECONDS
            room.over.set()
            await letter
            room.over.clear()
        letters = [room.comes(OTHER) for _ in range(2)]
        await room.settle()
        assert [room.turns.is_open(one, is_vital=True) for one in (ONE, OTHER, "")] == [False, True, True]
        assert [room.turns.is_open(one, is_vital=False) for one in (ONE, OTHER, "")] == [False] * 3
        room.now += WINDOW_SECONDS
        assert room.turns.is_open(ONE, is_vital=True)
        room.over.set()
        await asyncio.gather(*letters)
        assert all(room.turns.is_open(one, is_vital=False) for one in (ONE, OTHER))

    run(story)


def test_where_nobody_knows_who_it_is_nobody_is_held_to_account():
    async def story():
        room = Room()
        letters = [room.comes("") for _ in range(PER_NETWORK_MAX + 3)]
        await room.settle()
        assert len(room.inside) == PER_NETWORK_MAX + 3
        room.now += 60
        room.over.set()
        await asyncio.gather(*letters)
        assert room.turns.is_open("", is_vital=True)

    run(story)

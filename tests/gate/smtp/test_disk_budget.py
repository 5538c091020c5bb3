"""Nobody's letters fill the disk that everybody's long letters need."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_upstream import FakeUpstream
from tests.support.smtp_gate import FakeDesk, Gate

from pennyred.gate.smtp.disk_budget import BY_RIGHT_OCTETS, SpoolDisk
from pennyred.gate.smtp.sources import NOBODY, source_of
from pennyred.gate.smtp.spool import SpoolLimits

MB = 1024 * 1024
ANN, BOB = source_of("192.0.2.1"), source_of("2001:db8::1")
LONG = b"Subject: x\r\n\r\n" + (b"x" * 998 + b"\r\n") * 1200


class Disk:
    """So large; what letters have on it is taken off."""

    def __init__(self, octets: int) -> None:
        self.octets = octets
        self.disk = SpoolDisk(free_octets=lambda: self.octets - self.taken)
        self.taken = 0

    def hold(self, share, octets: int) -> bool:
        before = share.held
        is_held = share.hold(octets)
        self.taken += share.held - before
        return is_held


def test_a_network_has_a_quarter_and_others_have_theirs():
    room = Disk(100 * MB)
    shares = [room.disk.share(ANN) for _ in range(9)]
    assert [room.hold(share, 5 * MB) for share in shares] == [True] * 5 + [False] * 4
    shares[0].release()
    room.taken -= 5 * MB
    assert room.hold(shares[8], 5 * MB)
    assert room.hold(room.disk.share(BOB), 18 * MB)


def test_a_little_is_every_letters_by_right():
    room = Disk(0)
    assert all(room.hold(room.disk.share(ANN), BY_RIGHT_OCTETS) for _ in range(50))
    assert not room.hold(room.disk.share(BOB), BY_RIGHT_OCTETS + 1)


def test_whoever_is_nobody_in_particular_has_no_limit():
    room = Disk(10 * MB)
    assert all(room.hold(room.disk.share(NOBODY), 5 * MB) for _ in range(5))


def test_an_ipv6_48_is_one_network_here():
    room = Disk(40 * MB)
    shares = [room.disk.share(source_of(f"2001:db8:1:{net:x}::1")) for net in range(9)]
    assert sum(room.hold(share, 5 * MB) for share in shares) == 2


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=60))
def test_what_is_counted_is_what_letters_hold(moves):
    room = Disk(100 * MB)
    shares = [room.disk.share(ANN) for _ in range(3)]
    for which, megabytes in moves:
        if which == 3:
            share = shares[megabytes % 3]
            room.taken -= share.held
            share.release()
        else:
            held = shares[which].held
            if not room.hold(shares[which], megabytes * MB):
                assert shares[which].held == held
        assert room.disk.used(ANN) == sum(share.held for share in shares) == room.taken


@pytest.mark.parametrize("by", ["DATA", "BDAT"])
@pytest.mark.parametrize("is_small", [True, False])
def test_a_letter_that_does_not_fit_in_its_networks_share_is_later_and_leaves_nothing_behind(by, is_small, tmp_path):
    async def story():
        limits = SpoolLimits(50 * MB, memory_bytes_max=1000, directory=tmp_path)
        async with FakeUpstream() as upstream, Gate(upstream, FakeDesk(), spool=limits) as gate:
            disk = gate.server._house.disk
            if is_small:
                disk._free_octets = lambda: 2 * MB
            client = await gate.connect()
            await client.envelope()
            if by == "DATA":
                await client.say(b"DATA")
                client.send(LONG)
                said = await client.say(b".")
            else:
                client.send(b"BDAT %d LAST\r\n" % len(LONG) + LONG)
                said = await client.reply()
            assert said.startswith(b"452 4.3.1" if is_small else b"250")
            assert len(upstream.letters) == (not is_small)
            assert disk.used(source_of("127.0.0.1")) == 0
            if is_small:
                assert "a quarter of the disk" in gate.notes.lines[-1][2]["detail"]
            assert (await client.mail()).startswith(b"250")

    asyncio.run(asyncio.wait_for(story(), 30))

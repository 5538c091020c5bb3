"""Where a letter ends can be read in one way only: by the gate as by the book, by whoever is behind it as by the gate."""

import asyncio
import re

import pytest
from tests.support.fake_upstream import FakeUpstream
from tests.support.lax_readers import LAX, STRICT
from tests.support.letter_ends import FALSE_ENDS, TRUE_ENDS, by_postfix, is_mended
from tests.support.memory_gate import MemoryGate
from tests.support.smtp_gate import Gate

ENVELOPE = b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
SECOND = b"MAIL FROM:<ceo@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\npay\r\n"
TRUE_END = b"\r\n.\r\n"
HEADER = b"Subject: tea\r\n\r\n"
BODIES = {
    "plain": HEADER + b"hello",
    "empty": b"",
    "header only": b"Subject: tea",
    "long line": HEADER + b"x" * 70_000,
    "longer than one write": HEADER + (b"y" * 9_998 + b"\r\n") * 14 + b"z",
    "dots": HEADER + b"..\r\n...\r\n..x\r\n.y\r\n" + b"..\r\n" * 3 + b"..",
}
ENDS = pytest.mark.parametrize("end", [*FALSE_ENDS, *TRUE_ENDS], ids=repr)


def heard_alike(gate: MemoryGate) -> list[bytes]:
    """The letters the mail server got, which every reader must see as the strict one does, commands and all."""
    letters = []
    for heard in map(bytes, gate.upstream.heard):
        seen = STRICT.read(heard)
        letters += seen[1]
        for reader in LAX:
            assert reader.read(heard) == seen, reader.name
    assert len(letters) == len(gate.upstream.letters)
    return letters


def by_the_book(wire: bytes) -> list[bytes]:
    """The letters in what a client says, as the gate is to see them."""
    _, letters = STRICT.read(wire)
    # Of the dots behind a bare LF one goes as well, as Postfix has it: whoever ends lines so doubles their dots, too.
    return [by_postfix(re.sub(rb"(?<!\r)\n\.", b"\n", letter)) for letter in letters]


@ENDS
@pytest.mark.parametrize("body", BODIES)
def test_everybody_behind_the_gate_sees_the_letters_it_saw_and_no_other(body, end):
    """A second mail stands behind an end that is none, or behind one that is: the very bytes sent on are read."""
    wire = ENVELOPE + BODIES[body] + end + SECOND + TRUE_END + ENVELOPE + HEADER + b"the last" + TRUE_END
    with MemoryGate() as gate:
        client = gate.client()
        client.send(wire)
        letters = heard_alike(gate)
        assert letters == gate.desk.letters
        assert letters == by_the_book(wire)
        assert len(letters) == 2 + (end in TRUE_ENDS)


@ENDS
@pytest.mark.parametrize("body", BODIES)
def test_where_bare_newlines_are_refused_nothing_ambiguous_goes_on_at_all(body, end):
    first = BODIES[body] + end + SECOND
    wire = ENVELOPE + first + TRUE_END + ENVELOPE + HEADER + b"the last" + TRUE_END
    with MemoryGate(options={"is_bare_newline_refused": True}) as gate:
        client = gate.client()
        said = client.send(wire)
        seen = by_the_book(wire)
        refused = is_mended(BODIES[body] + end)
        assert said.count(b"554 5.6.0 ") == refused
        assert heard_alike(gate) == (seen[1:] if refused else seen)


@ENDS
def test_cut_in_two_anywhere_and_in_single_octets_the_letters_are_the_same(end):
    first = ENVELOPE + b"a: b\r\n\r\n..x" + end
    wire = first + SECOND + TRUE_END + ENVELOPE + b"c" + TRUE_END
    with MemoryGate(options={"errors_max": 10**6}) as gate:
        client = gate.client()
        client.send(wire)
        whole = list(gate.desk.letters)
        for cut in range(len(ENVELOPE) - 4, len(first) + 4):
            gate.desk.letters.clear()
            client.send(wire[:cut])
            client.send(wire[cut:])
            assert gate.desk.letters == whole, cut
        gate.desk.letters.clear()
        for octet in wire:
            client.send(bytes((octet,)))
        assert gate.desk.letters == whole
        heard_alike(gate)


@pytest.mark.parametrize("end", [b"\r\n\0.\r\n", b"\n.\r\n"], ids=repr)
def test_over_real_sockets_it_is_the_same(end):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            client.send(ENVELOPE + HEADER + b"a" + end + SECOND + TRUE_END + b"QUIT\r\n")
            said = await client.rest()
            assert [line[:3] for line in said.splitlines()] == [b"250", b"250", b"354", b"250", b"221"]
            wire = bytes(upstream.heard[-1]).removesuffix(b"QUIT\r\n")
            seen = STRICT.read(wire)
            assert seen[1] == gate.desk.letters
            assert all(reader.read(wire) == seen for reader in LAX)

    asyncio.run(story())


def test_a_letter_of_nul_is_mended_or_refused_and_judged_as_it_is_sent_on():
    letter = b"Fr\0om: x\r\n\0\r\nh\0i\0\0"
    with MemoryGate() as gate:
        gate.client().send(ENVELOPE + letter + TRUE_END)
        assert gate.desk.letters == [b"From: x\r\n\r\nhi\r\n"]
        assert heard_alike(gate) == gate.desk.letters
    with MemoryGate(options={"is_bare_newline_refused": True}) as gate:
        said = gate.client().send(ENVELOPE + letter + TRUE_END)
        assert said.endswith(b"\r\n554 5.6.0 NUL in the letter; mail must not contain it\r\n")
        assert not gate.desk.letters

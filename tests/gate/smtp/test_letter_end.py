"""Where a letter ends, and that nobody can see another end than the gate."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.letter_ends import FALSE_ENDS, TRUE_ENDS, by_postfix

from pennyred.gate.smtp.letter_end import LetterStream, stuffed

wire_text = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"a", b"\0", b"\r\n."]), max_size=30).map(b"".join)


def received(wire: bytes, cuts: tuple[int, ...] = ()) -> tuple[bytes, bytes, LetterStream]:
    stream = LetterStream()
    letter = b""
    for start, end in zip((0, *cuts), (*cuts, len(wire)), strict=True):
        if stream.is_complete:
            return letter, stream.rest + wire[start:], stream
        letter += stream.feed(wire[start:end])
    return letter, stream.rest, stream


def naively_received(wire: bytes) -> tuple[bytes, bytes] | None:
    """The same by the book, slowly: line by line, then newlines."""
    end = (b"\r\n" + wire).find(b"\r\n.\r\n")
    if end < 0:
        return None
    lines = wire[:end].split(b"\n")
    letter = b"\n".join(line.removeprefix(b".") for line in lines)
    return by_postfix(letter), wire[end + 3 :]


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_only_crlf_dot_crlf_ends_a_letter(end):
    wire = b"a" + end + b"MAIL FROM:<mallory@example.com>\r\n"
    letter, _, stream = received(wire)
    assert not stream.is_complete
    assert letter.startswith(b"a")


@pytest.mark.parametrize("end", TRUE_ENDS)
def test_crlf_dot_crlf_ends_it_whatever_stands_before(end):
    letter, rest, stream = received(b"a" + end + b"NOOP\r\n")
    assert stream.is_complete
    assert rest == b"NOOP\r\n"
    assert letter == by_postfix(b"a" + end[:-3])
    assert letter.count(b"\r\n") == end[:-3].count(b"\n")


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_what_is_sent_on_has_no_end_but_its_own_for_the_laxest_reader(end):
    letter, _, _ = received(b"a" + end + b"b\r\n.\r\n")
    wire = b"".join(stuffed([letter]))
    assert re.findall(rb"(?:\r\n|\r|\n)\.(?:\r\n|\r|\n)", wire) == [b"\r\n.\r\n"]
    assert wire.endswith(b"\r\n.\r\n")


def test_a_letter_may_be_nothing_at_all():
    letter, rest, stream = received(b".\r\nQUIT\r\n")
    assert (letter, rest, stream.is_complete) == (b"", b"QUIT\r\n", True)
    assert b"".join(stuffed([b""])) == b".\r\n"


def test_bare_newlines_are_noticed_and_well_formed_letters_are_not_accused():
    assert not received(b"a\r\nb\r\n.\r\n")[2].has_bare_newline
    assert received(b"a\nb\r\n.\r\n")[2].has_bare_newline
    assert received(b"a\rb\r\n.\r\n")[2].has_bare_newline
    assert received(b"a\r\r\n.\r\n")[2].has_bare_newline


def test_nul_is_noticed_and_dropped():
    assert not received(b"a\r\n.\r\n")[2].has_nul
    letter, _, stream = received(b"\0a\r\n\0.\0\r\n.\r\n", cuts=(1, 4, 5, 6))
    assert stream.has_nul
    assert not stream.has_bare_newline
    assert letter == b"a\r\n.\r\n"


@given(wire_text, st.data())
def test_cut_anywhere_a_letter_is_the_same(wire, data):
    wire += b"\r\n.\r\nNEXT"
    cuts = tuple(sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6))))
    letter, rest, stream = received(wire, cuts)
    assert stream.is_complete
    assert (letter, rest) == naively_received(wire)
    assert stream.has_bare_newline == (re.search(rb"(?<!\r)\n|\r(?!\n)", _unstuffed(wire)) is not None)
    assert stream.has_nul == (b"\0" in _unstuffed(wire))


def _unstuffed(wire: bytes) -> bytes:
    end = (b"\r\n" + wire).find(b"\r\n.\r\n")
    return b"\n".join(line.removeprefix(b".") for line in wire[:end].split(b"\n"))


@pytest.mark.parametrize("end", [b"\n", b"\0\n", b"\r\0\n"])
def test_of_the_dots_that_a_line_begins_with_one_goes_whatever_ended_the_line_before_and_wherever_it_is_cut(end):
    wire = end.join([b"a", b".b", b"..c", b".", b"..", b"d"])
    for cut in range(len(wire) + 1):
        letter, _, _ = received(wire + b"\r\n.\r\n", (cut,))
        assert letter.replace(b" ", b"") == b"a\r\nb\r\n.c\r\n\r\n.\r\nd\r\n"


@given(wire_text, st.data())
def test_out_and_in_again_a_letter_is_the_same(text, data):
    letter = by_postfix(text) + b"\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(letter)), max_size=6)))
    chunks = [letter[start:end] for start, end in zip([0, *cuts], [*cuts, len(letter)], strict=True)]
    wire = b"".join(stuffed(chunks))
    assert received(wire)[0] == letter
    assert wire.count(b"\r\n.\r\n") + wire.startswith(b".\r\n") == 1

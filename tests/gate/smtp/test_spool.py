"""A letter as it comes: split, hashed and kept, its bytes as they were, in whatever pieces."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.smtp.spool import Problem, Spool, SpoolLimits
from pennyred.postage.canonical import body_hash
from pennyred.postage.letter import split_letter

LIMITS = SpoolLimits(letter_bytes_max=10_000, memory_bytes_max=50, header_bytes_max=500)
texts = st.lists(st.sampled_from([b"\r\n", b"a", b":", b" ", b"a: b\r\n", b"x" * 30]), max_size=30).map(b"".join)


def spooled(letter: bytes, cuts: list[int], limits: SpoolLimits = LIMITS):
    spool = Spool(limits)
    for start, end in zip([0, *cuts], [*cuts, len(letter)], strict=True):
        spool.write(letter[start:end])
    return spool.finish(7)


@given(texts, st.data())
def test_cut_anywhere_the_letter_is_the_same_as_split_whole(letter, data):
    letter += b"\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(letter)), max_size=5)))
    received = spooled(letter, cuts)
    header, body = split_letter(letter)
    assert not isinstance(received, Problem) or len(header) > 500
    if not isinstance(received, Problem):
        for _ in range(2):
            assert received.header.raw + b"".join(received.body()) == letter
        assert received.header.raw == header
        assert received.body_hash == body_hash(body)
        assert received.size == len(letter)
        assert (received.file is not None) == (len(body) > 50)
        received.close()


def test_a_letter_too_big_is_not_kept():
    assert spooled(b"a: b\r\n\r\n" + b"x" * 10_000, [500]) is Problem.TOO_BIG


@pytest.mark.parametrize("end", [b"", b"\r\n\r\nx"])
def test_a_header_too_big_is_not_kept(end):
    assert spooled(b"a: b\r\n" * 100 + end, [300]) is Problem.HEADER_TOO_BIG


def test_more_fields_than_the_parser_takes_are_too_big_a_header():
    limits = SpoolLimits(letter_bytes_max=10**7)
    assert spooled(b"a:\r\n" * 30_000 + b"\r\n", [], limits) is Problem.HEADER_TOO_BIG


def test_what_is_thrown_away_can_be_thrown_away_twice():
    spool = Spool(LIMITS)
    spool.write(b"\r\n" + b"x" * 100)
    spool.discard()
    spool.discard()


def test_a_body_that_comes_octet_by_octet_takes_no_more_room_than_one_that_does_not():
    spool = Spool(SpoolLimits(letter_bytes_max=1_000_000))
    tracemalloc.start()
    spool.write(b"a: b\r\n\r\n")
    for _ in range(100_000):
        spool.write(b"xy")
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 400_000
    assert sum(map(len, spool.finish(0).body())) == 200_002

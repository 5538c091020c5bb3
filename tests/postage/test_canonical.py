"""The relaxed forms are those of dkimpy, octet for octet, in whatever chunks a letter comes."""

import hashlib
import re
import tracemalloc

import pytest
from dkim.canonicalization import Relaxed
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.at_once import relaxed_body
from tests.support.corpus import corpus_letters

from pennyred.postage.canonical import BodyHasher, RelaxedBody, body_hash, body_hashes, plain_field
from pennyred.postage.letter import Field, parse_header, split_letter

PIECES = st.sampled_from(
    [b" ", b"\t", b"\r\n", b"\r", b"\n", b"a", b"bc", b"  ", b"\x0b", b"\xff", b" \r\n", b"\r\n\r\n"]
)
BODIES = st.one_of(st.lists(PIECES, max_size=30).map(b"".join), st.binary(max_size=60))


def marked_at_once(body: bytes) -> bytes:
    """What stamps bind (STAMP.md 5.2), line by line."""
    lines = [re.sub(rb"[ \t]+", b" ", line) for line in body.split(b"\r\n")]
    kept = [line if line == b" " else line.removesuffix(b" ") for line in lines[:-1]]
    text = b"".join(line + b"\r\n" for line in kept) + lines[-1]
    while text.endswith(b"\r\n"):
        text = text.removesuffix(b"\r\n")
    return text and text + b"\r\n"


@given(BODIES)
@example(b" ")
@example(b"a \t")
@example(b"\r\r\n\n")
def test_a_body_is_relaxed_as_dkimpy_does(body: bytes) -> None:
    assert relaxed_body(body) == Relaxed.canonicalize_body(body)


def test_real_bodies_are_relaxed_as_dkimpy_does() -> None:
    for name, letter in corpus_letters():
        body = split_letter(letter)[1]
        assert relaxed_body(body) == Relaxed.canonicalize_body(body), name


@given(BODIES, st.data())
def test_chunks_make_no_difference(body: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)))))
    hasher = BodyHasher()
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        hasher.update(body[start:end])
    marked, relaxed = hasher.digests()
    assert relaxed == hashlib.sha256(Relaxed.canonicalize_body(body)).digest()
    assert marked == body_hash(body) == hashlib.sha256(marked_at_once(body)).digest()


def test_single_octets_make_no_difference_in_real_bodies() -> None:
    for name, letter in corpus_letters()[:20]:
        body = split_letter(letter)[1][:4000]
        hasher = BodyHasher()
        for octet in body:
            hasher.update(bytes([octet]))
        assert hasher.digests() == body_hashes(body), name


def test_the_digest_may_be_asked_for_again() -> None:
    hasher = BodyHasher()
    hasher.update(b"a ")
    assert hasher.digests() == hasher.digests()


@pytest.mark.parametrize(
    "pattern",
    [b" ", b"\r\n", b" \r\n", b"\t ", b"a ", b"a  ", b"\r", b"\n", b"\r\r\n\n", b"a\r\n\r\n", b" \r"],
    ids=repr,
)
def test_a_body_made_to_hurt_takes_little_memory(pattern: bytes) -> None:
    """Linear time shows in that this ends at all: dkimpy takes minutes for some, so it is no oracle here."""
    body = pattern * (4 * 2**20 // len(pattern))
    by_pieces = BodyHasher()
    for start in range(0, len(body), 1000):
        by_pieces.update(body[start : start + 1000])
    by_pieces.update(b"end")
    tracemalloc.start()
    hasher = BodyHasher()
    hasher.update(body)
    hasher.update(b"end")
    digests = hasher.digests()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(body), "it depends on a piece, not on the body"
    assert digests == by_pieces.digests()


def test_blank_lines_come_out_in_pieces_of_bounded_size() -> None:
    pieces: list[int] = []
    body = RelaxedBody(lambda piece: pieces.append(len(piece)))
    for _ in range(1000):
        body.update(b"\r\n" * 1000)
    assert pieces == []
    body.update(b"a")
    body.finish()
    assert sum(pieces) == 2_000_003
    assert max(pieces) <= 8192


VALUES = st.lists(st.sampled_from([b" ", b"\t", b"a", b":", b"b c", b"\r\n ", b"\r\n\t", b"\xe9"]), max_size=20).map(
    b"".join
)


@given(st.sampled_from([b"Subject", b"FROM", b"x-y"]), st.sampled_from([b"", b" ", b" \t"]), VALUES)
def test_a_plain_field_is_the_relaxed_one_of_dkimpy(name: bytes, gap: bytes, value: bytes) -> None:
    field = Field(name + gap + b":" + value + b"\r\n", name.lower())
    ((key, relaxed),) = Relaxed.canonicalize_headers([(name + gap, value + b"\r\n")])
    assert plain_field(*field) == key + b":" + relaxed


def test_all_white_space_is_one_space_in_a_plain_field() -> None:
    assert plain_field(b"X: a\x0b\x0cb \r c\r\n d\x85\r\n", b"x") == b"x:a b c d\x85\r\n"


def test_real_fields_are_plain_as_dkimpy_relaxes_them() -> None:
    for name, letter in corpus_letters():
        for field in parse_header(split_letter(letter)[0]).fields:
            if field.key:
                key, _, value = field.raw.partition(b":")
                ((key, relaxed),) = Relaxed.canonicalize_headers([(key, value)])
                assert plain_field(*field) == key + b":" + relaxed, name

"""A letter that is parsed once is at every step what its bytes are."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.stationery import NOW, Stationery

from pennyred.postage.canonical import body_hash
from pennyred.postage.letter import HEADER_FIELDS_MAX, split_letter
from pennyred.sender.franking import completed, make_copies, stamp_letter, without_blind
from pennyred.sender.parsedletter import parse_letter
from pennyred.sender.travel.serverlimits import told_limits

DESK = Stationery()
BOB, CAROL = "bob@example.net", "carol@example.org"
PIECES = st.sampled_from(
    (
        b"Bcc: eve@x.example",
        b"To: bob@example.net",
        b"From: ann@a.example",
        b"X",
        b" folded",
        b"\r\n",
        b"\r",
        b"\n",
        b"",
    )
)
LETTERS = st.lists(PIECES, max_size=12).map(b"".join) | st.lists(PIECES, max_size=12).map(b"\r\n".join)


def stamped(letter, price=1):
    numbers = itertools.count(1)
    return stamp_letter(
        letter,
        [BOB, CAROL],
        DESK.sender_key,
        DESK.licence(),
        now=NOW,
        random_bytes=lambda count: next(numbers).to_bytes(count, "big"),
        price=price,
    )


@given(LETTERS)
def test_a_parsed_letter_is_the_letter(letter):
    section, body = split_letter(letter)
    parsed = parse_letter(letter)
    assert (parsed.raw, parsed.header.raw, parsed.below.body_hash) == (letter, section, body_hash(body))


@example(b"X: y\r\nBcc: z\n\r\n\r\nHello\r\n")
@example(b"X: y\nBcc: z\r\n\r\nHello\r\n")
@example(b"Bcc: z\r\n\r\nHello\r\n")
@given(LETTERS)
def test_each_step_gives_the_same_from_bytes_and_from_a_parsed_letter_and_leaves_it_as_its_bytes_are_read(letter):
    for step in (without_blind, lambda one: completed(one, now=NOW, message_id="<1@x>")):
        done = step(parse_letter(letter))
        assert done.raw == step(letter)
        again = parse_letter(done.raw)
        assert (done.header.fields, done.below.body_hash) == (again.header.fields, again.below.body_hash)


@example(b"X: y\r\nBcc: z\n\r\n\r\nHello\r\n")
@given(LETTERS)
def test_so_does_each_copy(letter):
    copies = make_copies(parse_letter(letter), [BOB, CAROL])
    assert [copy.letter for copy in copies] == [copy.letter for copy in make_copies(letter, [BOB, CAROL])]
    for copy in copies:
        again = parse_letter(copy.letter)
        assert (copy.parsed.header.fields, copy.parsed.below.body_hash) == (again.header.fields, again.below.body_hash)


def test_stamps_are_the_same_and_so_are_those_put_above_them_for_another_price():
    letter = b"From: ann@a.example\r\nTo: bob@example.net\r\n\r\nHello\r\n"
    once = stamped(parse_letter(letter))
    assert once.raw == stamped(letter)
    assert stamped(once, price=2).raw == stamped(once.raw, price=2)
    assert stamped(once) is once


def test_all_copies_share_one_body():
    copies = make_copies(b"From: ann@a.example\r\nBcc: eve@x.example\r\n\r\nHello\r\n", [BOB, CAROL])
    assert copies[0].parsed.below is copies[1].parsed.below


def test_a_limit_holds_for_the_fields_that_a_step_adds():
    full = parse_letter(b"X: y\r\n" * HEADER_FIELDS_MAX + b"\r\n")
    with pytest.raises(ValueError, match="header fields"):
        completed(full, now=NOW, message_id="<1@x>")


def test_limits_are_told_of_a_parsed_letter_as_of_its_bytes():
    letter = b"X: " + b"y" * 40_000 + b"\r\n\r\nHello\r\n"
    assert list(told_limits(parse_letter(letter))) == list(told_limits(letter)) != []

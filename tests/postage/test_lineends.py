"""One form of line end of whatever a letter has, as Postfix reads it; in linear time."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.letter_ends import by_postfix

from pennyred.postage.lineends import CR_RUN_MAX, file_with_crlf, with_crlf

text = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\r\n", b"a", b" ", b"\r" * 37]), max_size=30).map(b"".join)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", b""),
        (b"a\r\nb", b"a\r\nb"),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\r\r\nb\r\r\r\n", b"a\r\nb\r\n"),
        (b"a\rb\r\rc", b"a b  c"),
        (b"\r\n\r\r\n\rx", b"\r\n\r\n x"),
        (b"\n\r\n\r", b"\r\n\r\n "),
        (b"\r" * CR_RUN_MAX + b"\n", b"\r\n"),
        (b"\r" * (CR_RUN_MAX + 2) + b"\n", b"  \r\n"),
        (b"\r" * 2000, b" " * 2000),
    ],
)
def test_each_has_its_form(octets, expected):
    assert with_crlf(octets) == expected


@given(text)
@example(b"\r" * CR_RUN_MAX + b"\nx\r\r\n")
def test_it_is_what_postfix_reads(octets):
    assert with_crlf(octets) == by_postfix(octets)


@given(text)
def test_what_has_the_form_stays_as_it_is(octets):
    once = with_crlf(octets)
    assert with_crlf(once) == once
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", once)


@given(text, st.data())
def test_cut_where_no_cr_is_last_the_pieces_are_the_whole(octets, data):
    places = [at for at in range(len(octets) + 1) if octets[at - 1 : at] != b"\r"]
    cut = data.draw(st.sampled_from(places))
    assert with_crlf(octets[:cut]) + with_crlf(octets[cut:]) == with_crlf(octets)


@pytest.mark.parametrize(
    "unit", [b"\r", b"\r\r\n", b"\n", b"\r" * 511 + b"\n", b"\r" * 512 + b"\n", b"\r" * 1024 + b"a\n"]
)
def test_a_great_deal_of_it_is_no_more_than_that(unit):
    """Ten megabytes: a way of quadratic time would not end."""
    octets = unit * (10_000_000 // len(unit))
    assert with_crlf(octets).count(b"\n") == octets.count(b"\n")


def test_a_file_of_an_old_macintosh_has_line_ends_all_the_same():
    assert file_with_crlf(b"Subject: x\r\rhello\r") == b"Subject: x\r\n\r\nhello\r\n"
    assert file_with_crlf(b"Subject: x\n\nhel\rlo\n") == b"Subject: x\r\n\r\nhel lo\r\n"

"""What is encoded says what it said; what was encoded already is left as every reader reads it."""

import base64
import quopri
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.sender.travel.transfer import (
    LINE_OCTETS_MAX,
    encode_base64_lines,
    encode_quoted_printable,
    is_shorter_quoted,
    requote,
    rewrap_base64,
)

lines = st.lists(
    st.one_of(
        st.binary(max_size=120).map(lambda line: re.sub(rb"[\r\n]", b"", line)),
        st.sampled_from(
            [b"From me", b"--b", b"--", b".", b"=", b" ", b"\t", b"x" * 200, b"y" * 73 + b"--b ", b"z" * 74 + b"From "]
        ),
    ),
    max_size=6,
)
texts = lines.map(b"\r\n".join)


def strict(encoded: bytes) -> bytes:
    """Quoted-printable as RFC 2045 section 6.7 reads it: white space at the end of a line is none of the text."""
    return quopri.decodestring(re.sub(rb"[ \t]+(?=\r\n|\Z)", b"", encoded))


@given(texts)
def test_every_octet_comes_back_from_quoted_printable(text):
    encoded = encode_quoted_printable(text)

    assert quopri.decodestring(encoded) == strict(encoded) == text
    assert all(len(line) <= 76 for line in encoded.split(b"\r\n"))


@given(texts)
def test_no_line_of_it_looks_like_a_boundary_or_like_a_mailboxs(text):
    """Text that is cut in lines must not be cut at such a place."""
    assert not re.search(rb"(?:\A|\r\n)(?:--|From )", encode_quoted_printable(text))


@given(texts)
def test_every_octet_comes_back_from_base64(text):
    assert base64.b64decode(encode_base64_lines(text)) == text


escapes = st.sampled_from(
    [b"=", b"==", b"=C3=BC", b"=c3", b"=zz", b"=2D-b", b"\xfc", b"x" * 300, b"--b", b"From ", b" ", b"a", b"\0"]
)
quoted = (
    st.lists(st.lists(escapes, max_size=12).map(b"".join), max_size=5)
    .map(b"\r\n".join)
    .filter(lambda encoded: not re.search(rb"==+[\x80-\xff\0]", encoded))
)
"""Readers differ in what "==" is."""


@given(quoted)
def test_what_is_quoted_already_is_read_as_before(encoded):
    """By a reader that goes by the RFC. Nothing is decoded, so nothing that looks like an escape becomes one."""
    again = requote(encoded)

    assert strict(again) == strict(encoded)
    assert again.isascii()
    assert b"\0" not in again
    assert all(len(line) <= LINE_OCTETS_MAX for line in again.split(b"\r\n"))


@given(quoted)
def test_lines_that_can_stay_stay(encoded):
    """But for white space behind a soft break, which is none of the text."""
    if (
        encoded.isascii()
        and b"\0" not in encoded
        and all(len(line) <= LINE_OCTETS_MAX for line in encoded.split(b"\r\n"))
    ):
        assert requote(encoded) == re.sub(rb"=[ \t]+(?=\r\n|\Z)", b"=", encoded)


def test_white_space_behind_a_soft_break_is_not_gained():
    assert quopri.decodestring(requote(b"soft= \t\r\nbreak \xfc")) == b"softbreak \xfc"


def test_an_escaped_hyphen_does_not_become_a_boundary():
    assert b"\r\n--b" not in requote(b"\xfc\r\n=2D-b\r\n=2D=2Db")


@pytest.mark.parametrize(
    "encoded", [b"QUJD" * 500, b"QUJD " * 300 + b"\r\nQUJD", b"QUJD\r\nfooter, as it came\r\n" + b"QUJD" * 400]
)
def test_a_long_line_of_base64_is_cut_and_nothing_is_left_out(encoded):
    again = rewrap_base64(encoded)

    assert all(len(line) <= LINE_OCTETS_MAX for line in again.split(b"\r\n"))
    assert again.replace(b"\r\n", b"") == encoded.replace(b"\r\n", b"")


@pytest.mark.parametrize("encoded", [b"QUJD\r\nF\xfc\xdfe\r\n", b"QUJD\0", b"a footer, " * 200])
def test_what_is_no_base64_is_not_taken_for_some(encoded):
    """Readers stop there, or skip it, or show it."""
    assert rewrap_base64(encoded) is None


def test_which_encoding_is_shorter_is_found_without_a_copy_for_each_octet():
    """Of an attachment of 50 MB that would be gigabytes."""
    content = b"\xff" * 1_000_000
    tracemalloc.start()
    try:
        assert not is_shorter_quoted(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * len(content)


def test_line_ends_are_no_escapes():
    """A poem of short lines stays legible."""
    assert is_shorter_quoted(b"M\xfche\r\n" + b"a\r\n" * 100)

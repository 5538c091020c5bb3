"""Whatever reader a recipient has, it shows no other author or subject than the one that a stamp has signed.

A thief writes the fields anew, so that their texts are the signed ones; then programs that read laxly see nothing else.
"""

import email.header
import email.utils
import re
import unicodedata
import warnings
from email.headerregistry import HeaderRegistry

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.at_once import texts_of

from pennyred.postage.letter import parse_header

ANN = b"ann@sender.example"
_LOOKS_LIKE_ONE = re.compile(rb"[^\s<>()\[\]\",:;\\]+@[^\s<>()\[\]\",:;\\]+")


def pieces(*some: bytes) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(some), max_size=8).map(b"".join)


AUTHORS = pieces(
    ANN, b"<ann@sender.example>", b"eve@evil.example", b"<eve@evil.example>", b'"', b"\\", b"(", b")", b",", b";", b":",
    b" ", b"<", b">", b"[", b"]", b'"Ann"', b"=?utf-8?q?Ann?=", b"\r\n ", b"\x00", b"@", b"'", b'\\"',
)  # fmt: skip


def as_authors(value: bytes) -> set[bytes]:
    """Every address that any reader could find: whatever looks like one, and what the library says."""
    flat = value.replace(b"\r\n", b"")
    text = flat.decode("latin-1")
    found = {one.encode() for _, one in email.utils.getaddresses([text]) if "@" in one}
    try:
        found |= {one.addr_spec.encode() for one in HeaderRegistry()("From", text).addresses if "@" in one.addr_spec}
    except Exception:
        found |= set()  # the library's parser raises many kinds of exceptions
    return {one.strip(b"'\x00 ").lower() for one in {*found, *_LOOKS_LIKE_ONE.findall(flat)}}


@given(AUTHORS)
@example(b'"eve@evil.example" <ann@sender.example>')
@example(b'"a\\", eve@evil.example, \\"b" <ann@sender.example>')
@example(b"(a (b), eve@evil.example, c) ann@sender.example")
@example(b"ann@sender.example (eve@evil.example)")
@example(b'"<eve@evil.example>": ann@sender.example;')
@example(b'"(" (x) "eve@evil.example" <ann@sender.example>')
def test_no_reader_finds_another_author(value: bytes) -> None:
    author, *_ = texts_of(parse_header(b"From: " + value + b"\r\n"))
    if author == ANN:
        assert as_authors(value) <= {ANN}


@pytest.mark.parametrize(
    "name",
    [b"", b"Ann ", b'"Ann (Sales), Dr." ', b"ann@sender.example ", b"\"'Ann@Sender.example'\" ", b"=?utf-8?q?Ann?= "],
)
def test_an_honest_name_leaves_the_author_who_she_is(name: bytes) -> None:
    author, *_ = texts_of(parse_header(b"From: " + name + b"<ann@sender.example>\r\n"))
    assert author == ANN


SUBJECTS = pieces(
    b"Tea", b"T", b"ea", b" ", b"\r\n ", b"=?utf-8?q?Tea?=", b"=?utf-8?b?VGVh?=", b"=?us-ascii?q?T?=", b"=?utf-8?q?ea?=",
    b"=?utf-8?q?Pills?=", b"=?utf-8?q??=", b"=?x-no?q?Pills?=", b"=?utf-8?q?Pills", b"?=", b"=?utf-8?q?=20?=", b"\xff",
)  # fmt: skip


@given(SUBJECTS)
def test_no_reader_shows_another_subject(value: bytes) -> None:
    """A strict one may show a word as it is spelled, which the thief gains nothing by."""
    texts = texts_of(parse_header(b"Subject: " + value + b"\r\n"))
    if texts[3] != b"Tea":
        return
    text = value.replace(b"\r\n", b"").decode("latin-1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        readings = [
            str(email.header.make_header(email.header.decode_header(text))),
            str(HeaderRegistry()("Subject", text)),
        ]
    for read in readings:
        shown = unicodedata.normalize("NFC", "".join(read.split()))
        assert shown == "Tea" or "=?" in shown
        assert "Pills" not in shown

"""Tag lists are read as RFC 6376 section 3.2 has them, within limits, and folded for the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.postage.errors import Malformed
from pennyred.postage.taglist import TAGS_MAX, Tag, fold_field, format_tag_list, parse_tag_list

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,10}", fullmatch=True)
VALUES = st.text([chr(octet) for octet in range(0x21, 0x7F) if octet != 0x3B], max_size=200).map(str.encode)
LISTS = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=12, unique_by=lambda tag: tag[0])


@given(LISTS)
def test_the_canonical_text_reads_back(tags: list[Tag]) -> None:
    assert parse_tag_list(format_tag_list(tags)) == tags


@given(LISTS)
def test_folding_is_taken_out_again(tags: list[Tag]) -> None:
    field = fold_field(b"X-Postage-Stamp", tags)
    assert parse_tag_list(field.partition(b":")[2].removesuffix(b"\r\n")) == tags


@given(LISTS)
def test_no_folded_line_is_longer_than_78_octets_or_blank(tags: list[Tag]) -> None:
    lines = fold_field(b"X-Postage-Stamp", tags).removesuffix(b"\r\n").split(b"\r\n")
    assert all(len(line) <= 78 and line.strip() for line in lines)
    assert all(line.startswith(b" ") for line in lines[1:])


def test_white_space_and_a_last_semicolon_make_no_difference() -> None:
    assert parse_tag_list(b" a = b c ;\r\n\td=\r\n e\r\n f ; ") == [("a", b"bc"), ("d", b"ef")]


@pytest.mark.parametrize(
    "text",
    [
        b"a",
        b"=b",
        b";",
        b"a=1;;b=2",
        b"1a=1",
        b"a-b=1",
        b"a=1; a=2",
        b"a=\x80",
        b"a=\x00",
        b"a=\r\n",
        b"a=\n b",
        b"a=\rb",
    ],
)
def test_what_is_no_tag_list_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_tag_list(text)


def test_names_differ_by_case() -> None:
    assert parse_tag_list(b"a=1;A=2") == [("a", b"1"), ("A", b"2")]


def test_limits_hold() -> None:
    most = b"".join(b"n%d=;" % number for number in range(TAGS_MAX))
    assert len(parse_tag_list(most)) == TAGS_MAX
    for text in (most + b"more=;", b"a=" + b" " * 4095, b";" * 4096, b"a" * 33 + b"="):
        with pytest.raises(Malformed):
            parse_tag_list(text)

"""A letter is taken apart without losing or refusing anything."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.corpus import corpus_letters

from pennyred.postage.errors import MalformedLetter
from pennyred.postage.letter import HEADER_BYTES_MAX, HEADER_FIELDS_MAX, Field, parse_header, split_letter

LINES = st.sampled_from(
    [b"From: a", b" folded", b"\t", b"no field", b"To:", b"subject :x", b": y", b"\xff: z", b"a\rb: c", b"From x"]
)
SECTIONS = st.lists(LINES).map(lambda lines: b"".join(line + b"\r\n" for line in lines))


def test_fields_are_named_in_lower_case_and_keep_their_octets() -> None:
    header = parse_header(b"From: Ann\r\nSUBJECT :  a\r\n\tb\r\nfrom:c\r\n")
    assert [field.key for field in header.fields] == [b"from", b"subject", b"from"]
    assert header.fields[1].raw == b"SUBJECT :  a\r\n\tb\r\n"
    assert header.fields[1].value == b"  a\r\n\tb"
    assert header.named(b"from") == (header.fields[0], header.fields[2])


@pytest.mark.parametrize("line", [b"no field", b": x", b"From ann Wed", b"a b: c", b"\xffrom: x", b" folded first"])
def test_a_line_that_is_no_field_is_kept_without_a_name(line: bytes) -> None:
    header = parse_header(line + b"\r\nTo: x\r\n")
    assert [field.key for field in header.fields] == [b"", b"to"]
    assert header.raw == line + b"\r\nTo: x\r\n"


@given(st.one_of(SECTIONS, st.binary(max_size=200)))
def test_the_fields_joined_are_the_section(section: bytes) -> None:
    assert parse_header(section).raw == section


def by_lines(section: bytes) -> list[Field]:
    """The fields of a section, read line by line."""
    fields: list[Field] = []
    for line in re.findall(rb"[^\n]*\n|[^\n]+", section):
        if fields and line[:1] in (b" ", b"\t"):
            fields[-1] = Field(fields[-1].raw + line, fields[-1].key)
        else:
            name = re.match(rb"([!-9;-~]+)[ \t]*:", line)
            fields.append(Field(line, name[1].lower() if name else b""))
    return fields


@given(st.one_of(SECTIONS, st.lists(st.sampled_from([b"a", b":", b" ", b"\t", b"\r", b"\n", b"\xff"])).map(b"".join)))
def test_a_section_is_cut_as_line_by_line(section: bytes) -> None:
    header, fields = parse_header(section), by_lines(section)
    assert list(header.fields) == fields
    assert header.strays == b"".join(one.raw for one in fields if not one.key or one.raw[len(one.key) :][:1] != b":")
    for key in {one.key for one in fields}:
        assert list(header.named(key)) == [one for one in fields if one.key == key]
        assert list(header.raws(key)) == [one.raw for one in fields if one.key == key]


@given(SECTIONS)
def test_a_field_added_hides_no_other(section: bytes) -> None:
    """Whatever stands above or below: a second From cannot be smuggled in unseen."""
    before = len(parse_header(section).named(b"from"))
    assert len(parse_header(section + b"From: eve\r\n").named(b"from")) == before + 1


@given(st.binary(max_size=60))
def test_a_letter_is_split_at_its_first_empty_line(letter: bytes) -> None:
    section, body = split_letter(letter)
    assert letter in (section + b"\r\n" + body, section)
    assert b"\r\n\r\n" not in section
    assert not section.startswith(b"\r\n")


def test_letters_without_header_body_or_both() -> None:
    assert split_letter(b"\r\nbody") == (b"", b"body")
    assert split_letter(b"A: b\r\n") == (b"A: b\r\n", b"")
    assert split_letter(b"A: b\r\n\r\n") == (b"A: b\r\n", b"")
    assert split_letter(b"") == (b"", b"")


def test_real_letters_are_read_whole() -> None:
    for name, letter in corpus_letters():
        section, body = split_letter(letter)
        header = parse_header(section)
        assert header.raw + b"\r\n" + body == letter, name
        assert header.named(b"from"), name


def test_beyond_the_limits_a_header_is_malformed() -> None:
    assert len(parse_header(b"a:\r\n" * HEADER_FIELDS_MAX).fields) == HEADER_FIELDS_MAX
    assert len(parse_header(b"a:" + b"\r\n b" * 500_000).fields) == 1
    for section in (b"a:\r\n" * (HEADER_FIELDS_MAX + 1), b"a" * (HEADER_BYTES_MAX + 1)):
        with pytest.raises(MalformedLetter):
            parse_header(section)

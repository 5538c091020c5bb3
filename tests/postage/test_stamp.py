"""A stamp is read in every spelling of the wire and written in one; the wrong ones are in tests/vectors/stamps.json."""

import re
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.corpus import corpus_letters
from tests.support.stationery import DAY, LETTER, NOW, Stationery

from pennyred.postage import stamp as stamp_module
from pennyred.postage.errors import MalformedStamp
from pennyred.postage.letter import STAMP_FIELD, split_letter
from pennyred.postage.reasons import Reason
from pennyred.postage.signing import CONTEXT_STAMP, verify
from pennyred.postage.stamp import Stamp, parse_bare, parse_stamp

STATIONERY = Stationery()
STAMP = STATIONERY.stamp(LETTER, "bob@example.org")


TAGS = STAMP.text.split(b";")
VALUES = st.sampled_from(
    [
        b"",
        b"0",
        b"1",
        b"01",
        b"9" * 15,
        b"9007199254740991",
        b"9007199254740992",
        b"AA==",
        b"B" * 22 + b"==",
        b"a.example",
    ]
)


def holds(stamp: Stamp) -> bool:
    return verify(stamp.licence.public_key, CONTEXT_STAMP, stamp.signed_bytes, stamp.signature)


def test_a_stamp_reads_back_from_each_of_its_forms() -> None:
    name, _, folded = STAMP.field().removesuffix(b"\r\n").partition(b":")
    assert name == STAMP_FIELD
    assert parse_stamp(folded) == STAMP
    assert parse_stamp(STAMP.text) == STAMP


def test_the_form_for_an_office_lacks_the_salt_and_nothing_else() -> None:
    for_office = STAMP.for_office()
    assert STAMP.text.startswith(for_office)
    assert b"z=" not in for_office.rsplit(b";b=")[1]
    stamp = parse_stamp(for_office)
    assert stamp.salt is None
    assert stamp.for_office() == for_office
    assert holds(stamp)


def test_the_field_is_small_and_its_lines_are_short() -> None:
    field = STAMP.field()
    assert len(field) < 1000
    assert all(len(line) <= 78 for line in field.split(b"\r\n"))


def test_the_expiry_day_is_the_utc_day() -> None:
    assert STAMP.expires_at == NOW + 10 * DAY
    assert STAMP.expiry_day == STAMP.expires_at // DAY


@pytest.mark.parametrize("version", [b"0", b"1", b"10"])
def test_another_version_is_told_apart_from_rubbish(version: bytes) -> None:
    with pytest.raises(MalformedStamp) as caught:
        parse_stamp(STAMP.text.replace(b"v=2", b"v=" + version, 1))
    assert caught.value.reason is Reason.UNKNOWN_VERSION
    with pytest.raises(MalformedStamp) as caught:
        parse_stamp(STAMP.text.replace(b"v=2", b"v=x", 1))
    assert caught.value.reason is Reason.MALFORMED


@given(st.data())
def test_no_octet_of_a_stamp_can_be_changed_unnoticed(data: st.DataObject) -> None:
    """But in the salt, where the recipient no longer matches: then what was signed is as it was."""
    value = bytearray(STAMP.text)
    place = data.draw(st.integers(0, len(value) - 1))
    value[place] ^= data.draw(st.integers(1, 255))
    try:
        stamp = parse_stamp(bytes(value))
    except MalformedStamp:
        return
    salt_only = stamp.for_office() == STAMP.for_office() and stamp.salt != STAMP.salt
    only_white_space = stamp == STAMP
    assert salt_only or only_white_space or not holds(stamp)


@st.composite
def altered_texts(draw: st.DrawFn) -> bytes:
    """A stamp's text with a few tags written otherwise, left out or added, and a few octets changed."""
    tags = list(TAGS)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(tags) - 1))
        name = tags[at].partition(b"=")[0]
        tags[at : at + 1] = draw(
            st.sampled_from([[], [tags[at], b"q=1"], [tags[at], tags[at]]])
            | VALUES.map(lambda value, name=name: [name + b"=" + value])
        )
        if not tags:
            return b""
    text = bytearray(b";".join(tags))
    for _ in range(draw(st.integers(0, 2))):
        if text:
            text[draw(st.integers(0, len(text) - 1))] = draw(st.sampled_from(b"0129AQgwEB+/=;: x\x80"))
    return bytes(text)


@given(altered_texts())
def test_a_stamp_read_at_one_glance_is_read_as_tag_by_tag(text: bytes) -> None:
    def told() -> Stamp | tuple[str, Reason]:
        try:
            return parse_bare(text)
        except MalformedStamp as error:
            return str(error), error.reason

    at_a_glance = told()
    with patch.object(stamp_module, "_USUAL", re.compile(rb"(?!)")):
        assert told() == at_a_glance


@given(st.sets(st.integers(0, len(STAMP.text)), max_size=30), st.sampled_from([b" ", b"\t", b"\r\n ", b" \r\n\t "]))
def test_white_space_anywhere_makes_no_difference(places: set[int], white: bytes) -> None:
    value = STAMP.text
    for place in sorted(places, reverse=True):
        value = value[:place] + white + value[place:]
    assert parse_stamp(value) == STAMP


def test_a_real_letter_with_a_stamp_is_the_letter_below_it() -> None:
    for name, letter in corpus_letters()[:50]:
        stamped = STAMP.field() + letter
        section, body = split_letter(stamped)
        assert section.startswith(STAMP.field()), name
        assert (section.removeprefix(STAMP.field()), body) == split_letter(letter), name

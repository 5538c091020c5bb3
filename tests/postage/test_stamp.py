"""A stamp is read in every spelling of the wire and written in one; the wrong ones are in tests/vectors/stamps.json."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.corpus import corpus_letters
from tests.support.stationery import DAY, LETTER, NOW, Stationery

from pennyred.postage.errors import MalformedStamp
from pennyred.postage.letter import STAMP_FIELD, split_letter
from pennyred.postage.reasons import Reason
from pennyred.postage.signing import CONTEXT_STAMP, verify
from pennyred.postage.stamp import Stamp, parse_stamp

STATIONERY = Stationery()
STAMP = STATIONERY.stamp(LETTER, "bob@example.org")


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

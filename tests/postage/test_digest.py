"""What binds a stamp to a letter changes when the letter does, and not when it is only passed on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.stationery import LETTER

from pennyred.postage.address import canonical_recipient
from pennyred.postage.digest import (
    SIGNED_NAMES,
    SIGNED_NAMES_MAX,
    domain_hash,
    header_hash,
    letter_hash,
    qualifies,
    recipient_hash,
    signed_names,
)
from pennyred.postage.letter import HeaderSection, parse_header, split_letter

HEADER = parse_header(split_letter(LETTER)[0])


def test_every_name_is_listed_once_more_than_it_occurs() -> None:
    header = parse_header(b"To: a\r\nX: y\r\nto: b\r\nFrom: c\r\n")
    listed = signed_names(header)
    assert listed == (b"from", b"from", b"to", b"to", b"to", b"cc", b"subject", b"date", b"message-id")


@pytest.mark.parametrize("name", SIGNED_NAMES)
def test_another_field_of_a_signed_name_changes_list_and_hash(name: bytes) -> None:
    more = parse_header(name.title() + b": x\r\n" + HEADER.raw)
    assert signed_names(more) != signed_names(HEADER)
    assert header_hash(more) != header_hash(HEADER)


@given(
    st.integers(0, 5),
    st.sampled_from([b"Received", b"Reply-To", b"X-Postage-Stamp", b"DKIM-Signature", b"Content-Type"]),
)
def test_other_fields_change_nothing_wherever_they_stand(place: int, name: bytes) -> None:
    (extra,) = parse_header(name + b": x\r\n").fields
    fields = [*HEADER.fields[:place], extra, *HEADER.fields[place:]]
    assert header_hash(HeaderSection(tuple(fields))) == header_hash(HEADER)


@given(st.permutations(HEADER.fields))
def test_the_order_of_different_names_changes_nothing(fields: list) -> None:
    assert header_hash(HeaderSection(tuple(fields))) == header_hash(HEADER)


def test_the_order_of_fields_of_one_name_matters() -> None:
    one, other = parse_header(b"To: a\r\nTo: b\r\n"), parse_header(b"To: b\r\nTo: a\r\n")
    assert header_hash(one) != header_hash(other)


def test_a_header_with_dozens_of_signed_fields_does_not_qualify() -> None:
    most = b"From: a\r\n" + b"To: b\r\n" * (SIGNED_NAMES_MAX - 7)
    assert qualifies(parse_header(most))
    assert not qualifies(parse_header(most + b"Cc: c\r\n"))


def test_exactly_one_from_qualifies() -> None:
    assert qualifies(HEADER)
    assert not qualifies(parse_header(b"To: a\r\n"))
    assert not qualifies(parse_header(b"From: a\r\nFROM : b\r\n"))


def test_the_letter_hash_names_header_body_and_recipient() -> None:
    bob, eve = canonical_recipient("bob@example.org"), canonical_recipient("eve@example.org")
    one, other = bytes(32), b"\x01" * 32
    hashes = {
        letter_hash(one, one, bob), letter_hash(other, one, bob), letter_hash(one, other, bob), letter_hash(one, one, eve),
    }  # fmt: skip
    assert len(hashes) == 4


def test_hashes_of_the_same_octets_differ_by_context() -> None:
    postmaster = canonical_recipient("postmaster@postmaster")
    assert recipient_hash(bytes(16), postmaster) != domain_hash(bytes(16), postmaster.canonical)

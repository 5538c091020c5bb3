"""What is minted holds, and what cannot hold is not minted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.at_once import judge_stamp
from tests.support.corpus import corpus_letters
from tests.support.stationery import DAY, LETTER, NOW, Stationery

from pennyred.postage.address import canonical_recipient
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import SIGNED_NAMES_MAX, domain_hash, header_hash, recipient_hash
from pennyred.postage.errors import MalformedLetter, MalformedStamp
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.reasons import Reason
from pennyred.postage.verification import LicenceCache

STATIONERY = Stationery()


def test_a_stamp_says_what_it_was_minted_for() -> None:
    stamp = STATIONERY.stamp(LETTER, "Bob@Example.org", price=3)
    section, body = split_letter(LETTER)
    bob = canonical_recipient("bob@example.org")
    assert (stamp.issued_at, stamp.expires_at, stamp.price) == (NOW, NOW + 10 * DAY, 3)
    assert stamp.salt is not None
    assert stamp.recipient_hash == recipient_hash(stamp.salt, bob)
    assert stamp.domain_hash == domain_hash(stamp.serial, "example.org")
    assert stamp.header_hash == header_hash(parse_header(section))
    assert stamp.body_hash == body_hash(body)
    assert stamp.licence == STATIONERY.licence()


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"\\'), min_size=1, max_size=30),
    st.binary(max_size=100),
)
def test_every_letter_to_every_recipient_can_be_stamped(local: str, body: bytes) -> None:
    letter = split_letter(LETTER)[0] + b"\r\n" + body
    mailbox = f'"{local}"@example.org'
    stamp = STATIONERY.stamp(letter, mailbox)
    assert _verdict(letter, stamp.value(), mailbox) is Reason.STAMPED


def test_real_letters_can_be_stamped_if_they_have_one_from() -> None:
    for name, letter in corpus_letters():
        if len(parse_header(split_letter(letter)[0]).named(b"from")) == 1:
            stamped = STATIONERY.stamped(letter, "bob@example.org")
            value = parse_header(split_letter(stamped)[0]).fields[0].value
            assert _verdict(stamped, value, "bob@example.org", strict=True) is Reason.STAMPED, name


@pytest.mark.parametrize("head", [b"", b"From: a\r\nFrom: b\r\n"])
def test_without_exactly_one_from_no_stamp_is_minted(head: bytes) -> None:
    with pytest.raises(MalformedLetter):
        STATIONERY.stamp(head + b"To: c\r\n\r\n", "bob@example.org")


def test_beyond_the_number_of_signed_fields_no_stamp_is_minted() -> None:
    most = b"From: a\r\n" + b"To: b\r\n" * (SIGNED_NAMES_MAX - 7) + b"\r\n"
    stamp = STATIONERY.stamp(most, "bob@example.org")
    assert _verdict(most, stamp.value(), "bob@example.org") is Reason.STAMPED
    with pytest.raises(MalformedLetter):
        STATIONERY.stamp(b"To: one more\r\n" + most, "bob@example.org")


@pytest.mark.parametrize("change", [{"lifetime_seconds": 0}, {"lifetime_seconds": 14 * DAY + 1}, {"price": 0}], ids=str)
def test_values_no_stamp_can_have_are_malformed(change: dict) -> None:
    with pytest.raises(MalformedStamp):
        STATIONERY.stamp(LETTER, "bob@example.org", **change)


def _verdict(letter: bytes, value: bytes, mailbox: str, *, strict: bool = False) -> Reason:
    section, body = split_letter(letter)
    header = parse_header(section)
    return judge_stamp(
        value,
        header=header,
        header_hash=header_hash(header),
        body_hash=body_hash(body),
        recipients=[canonical_recipient(mailbox)],
        issuers=STATIONERY.issuers,
        now=NOW,
        price=1,
        licences=LicenceCache(),
        strict_body=strict,
    ).reason

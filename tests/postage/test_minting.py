"""What is minted holds, and what cannot hold is not minted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.at_once import reason_of
from tests.support.corpus import corpus_letters
from tests.support.stationery import DAY, LETTER, NOW, Stationery

from pennyred.postage.address import canonical_recipient
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import body_digest, domain_hash, field_digests, recipient_hash, signed_parts
from pennyred.postage.errors import MalformedLetter, MalformedStamp
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.reasons import Reason

STATIONERY = Stationery()


def test_a_stamp_says_what_it_was_minted_for() -> None:
    stamp = STATIONERY.stamp(LETTER, "Bob@Example.org", price=3)
    section, body = split_letter(LETTER)
    bob = canonical_recipient("bob@example.org")
    assert (stamp.issued_at, stamp.expires_at, stamp.price) == (NOW, NOW + 10 * DAY, 3)
    assert stamp.salt is not None
    assert stamp.recipient_hash == recipient_hash(stamp.salt, bob)
    assert stamp.domain_hash == domain_hash(stamp.serial, "example.org")
    parts = signed_parts(parse_header(section), body_hash(body))
    assert stamp.field_digests == field_digests(stamp.salt, parts)
    assert stamp.body_digest == body_digest(stamp.salt, parts)
    assert stamp.licence == STATIONERY.licence()


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"\\'), min_size=1, max_size=30),
    st.binary(max_size=100),
)
def test_every_letter_to_every_recipient_can_be_stamped(local: str, body: bytes) -> None:
    letter = split_letter(LETTER)[0] + b"\r\n" + body
    mailbox = f'"{local}"@example.org'
    stamp = STATIONERY.stamp(letter, mailbox)
    assert _verdict(letter, stamp.text, mailbox) is Reason.STAMPED


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


@pytest.mark.parametrize(("characters", "octets_max"), [(16, 855), (32, 870), (50, 890), (200, 980)])
def test_a_stamp_in_one_line_is_short_enough_for_providers(characters: int, octets_max: int) -> None:
    """Amazon's API takes 870 octets, and Exchange damages lines of about 1,000: also of the longest numbers."""
    issuer = ("a" * 40 + ".") * 4 + "x" * 36 if characters == 200 else "p" * (characters - 8) + ".example"
    paper = Stationery(issuer=issuer, selector="s2026-12", daily_cap=10**9)
    value = paper.stamp(LETTER, "bob@example.org", price=1_000_000).text
    assert len(issuer) == characters
    assert len(value.rstrip(b";").replace(b";", b"; ")) <= octets_max


def test_an_office_of_so_long_a_name_that_its_stamps_are_too_long_for_a_line_makes_none() -> None:
    with pytest.raises(MalformedStamp, match="too long"):
        Stationery(issuer=".".join(["a" * 62] * 4)).stamp(LETTER, "bob@example.org")


@pytest.mark.parametrize("change", [{"lifetime_seconds": 0}, {"lifetime_seconds": 14 * DAY + 1}, {"price": 0}], ids=str)
def test_values_no_stamp_can_have_are_malformed(change: dict) -> None:
    with pytest.raises(MalformedStamp):
        STATIONERY.stamp(LETTER, "bob@example.org", **change)


def _verdict(letter: bytes, value: bytes, mailbox: str, *, strict: bool = False) -> Reason:
    return reason_of(value, letter, [mailbox], issuers=STATIONERY.issuers, now=NOW, is_strict=strict)

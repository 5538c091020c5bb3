"""A stamp or a letter altered in one way or another: what is said of it, and that nothing altered counts for more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.at_once import parts_of, reason_of
from tests.support.stationery import DAY, ISSUER, LETTER, NOW, Stationery

from pennyred.postage.address import canonical_recipient
from pennyred.postage.alteration import Proof
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import body_digest, field_digests, recipient_hash, signed_parts
from pennyred.postage.encoding import decode_base64, encode_base64
from pennyred.postage.errors import MalformedStamp
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.minting import mint_licence, mint_stamp
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.signing import CONTEXT_STAMP, SigningKey
from pennyred.postage.stamp import Stamp, parse_stamp
from pennyred.postage.taglist import format_tag_list
from pennyred.postage.verification import CLOCK_SKEW_SECONDS

BOB, EVE = "bob@example.org", "eve@example.org"
LIFETIME = 10 * DAY
FORGER = SigningKey.from_seed(b"\x66" * 32)


@dataclass
class Counter:
    """Where a letter is judged; every part may be replaced to see what becomes of the verdict."""

    stamp: Stamp | bytes = field(default_factory=lambda: Stationery().stamp(LETTER, BOB))
    letter: bytes = LETTER
    recipients: tuple[str, ...] = (BOB,)
    issuers: Mapping[str, Mapping[str, bytes]] = field(default_factory=lambda: Stationery().issuers)
    now: int = NOW
    price: int = 1
    is_strict: bool = False
    proof: Proof = Proof.NO

    def reason(self) -> Reason:
        return reason_of(
            self.stamp if isinstance(self.stamp, bytes) else self.stamp.text,
            self.letter,
            self.recipients,
            issuers=self.issuers,
            now=self.now,
            price=self.price,
            is_strict=self.is_strict,
            proof=self.proof,
        )


def judged(**parts: Any) -> Reason:
    return Counter(**parts).reason()


def with_tag(stamp: Stamp, name: str, value: bytes) -> bytes:
    """The stamp's text with another value in one tag, signatures as they were."""
    return b"".join(b"%s=%s;" % (tag.encode(), value if tag == name else old) for tag, old in stamp.tags)


def spoiled(octets: bytes) -> bytes:
    """The same with its first octet altered."""
    return bytes([octets[0] ^ 1]) + octets[1:]


STAMP = Stationery().stamp(LETTER, BOB)
ALTERED_BODY = LETTER + b"Cheap watches!\r\n"
ALTERED_HEADER = LETTER.replace(b"Subject: Tea", b"Subject: Coffee")
FORGED_LICENCE = Stationery(office_key=FORGER).stamp(LETTER, BOB)
FORGED_STAMP = with_tag(STAMP, "b", encode_base64(spoiled(STAMP.signature)))


def test_a_stamp_that_is_right_in_every_way_counts() -> None:
    assert judged(stamp=STAMP) is Reason.STAMPED


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize("proof", Proof)
def test_neither_strictness_nor_proof_matters_for_an_unaltered_letter(is_strict: bool, proof: Proof) -> None:
    assert judged(is_strict=is_strict, proof=proof) is Reason.STAMPED


WRONG: dict[Reason, dict[str, Any]] = {
    Reason.MALFORMED: {"stamp": b"v=2; a stamp"},
    Reason.UNKNOWN_VERSION: {"stamp": b"v=1;" + STAMP.text[4:]},
    Reason.ISSUER_NOT_ACCEPTED: {"issuers": {"other.example": {"s1": Stationery().office_key.public}}},
    Reason.UNDERPAID: {"price": 2},
    Reason.NOT_YET_VALID: {"now": NOW - CLOCK_SKEW_SECONDS - 1},
    Reason.WRONG_RECIPIENT: {"recipients": (EVE,)},
    Reason.BAD_LICENCE: {"stamp": FORGED_LICENCE},
    Reason.ALTERED_HEADERS: {"letter": ALTERED_HEADER},
    Reason.BAD_SIGNATURE: {"stamp": FORGED_STAMP},
    Reason.STAMPED_MODIFIED: {"letter": ALTERED_BODY, "proof": Proof.YES},
    Reason.ALTERED_BODY: {"letter": ALTERED_BODY},
    Reason.DNS_UNAVAILABLE: {"letter": ALTERED_BODY, "proof": Proof.SILENT},
    Reason.EXPIRED: {"now": NOW + LIFETIME},
}


@pytest.mark.parametrize("reason", WRONG)
def test_each_wrong_gives_exactly_its_own_reason(reason: Reason) -> None:
    assert judged(**WRONG[reason]) is reason


def test_expiry_is_the_first_second_at_which_it_counts_no_more() -> None:
    assert judged(now=NOW + LIFETIME - 1) is Reason.STAMPED
    assert judged(now=NOW + LIFETIME) is Reason.EXPIRED


def test_a_senders_clock_may_be_ahead_by_the_skew() -> None:
    assert judged(now=NOW - CLOCK_SKEW_SECONDS) is Reason.STAMPED


def added(line: bytes) -> bytes:
    """The letter with one more field on top."""
    return line + b"\r\n" + LETTER


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"From: eve@example.net", Reason.ALTERED_HEADERS),
        (b"from : x", Reason.ALTERED_HEADERS),
        (b"Subject: Win", Reason.ALTERED_HEADERS),
        (b"SUBJECT:", Reason.ALTERED_HEADERS),
        (b"Reply-To: eve@example.net", Reason.ALTERED_HEADERS),
        (b"Mail-Reply-To: eve@example.net", Reason.ALTERED_HEADERS),
        (b"Mail-Followup-To: eve@example.net", Reason.ALTERED_HEADERS),
        (b"To: x", Reason.STAMPED_MODIFIED),
        (b"Cc: x@example.net", Reason.STAMPED_MODIFIED),
        (b"Date: now", Reason.STAMPED_MODIFIED),
        (b"Message-ID: <2@x>", Reason.STAMPED_MODIFIED),
        (b"no field, but some readers show it as text", Reason.ALTERED_BODY),
        (b"Content-Type: text/html", Reason.ALTERED_BODY),
        (b"Content-Transfer-Encoding: base64", Reason.ALTERED_BODY),
    ],
)
def test_a_field_added_on_top_or_below_is_judged_by_what_it_does(line: bytes, reason: Reason) -> None:
    assert judged(letter=added(line)) is reason
    section, body = split_letter(LETTER)
    assert judged(letter=section + line + b"\r\n\r\n" + body) is reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"From", Reason.ALTERED_HEADERS), (b"Subject", Reason.ALTERED_HEADERS), (b"To", Reason.STAMPED_MODIFIED),
        (b"Date", Reason.STAMPED_MODIFIED), (b"Message-ID", Reason.STAMPED_MODIFIED),
    ],
)  # fmt: skip
def test_a_field_taken_out_or_renamed_is_judged_alike(name: bytes, reason: Reason) -> None:
    assert judged(letter=LETTER.replace(name + b":", b"X-" + name + b":")) is reason


@pytest.mark.parametrize(
    "line",
    [b"Received: from x by y", b"X-Spam: no", b"Sender: eve@example.net", b"Content-Type: text/plain; charset=x"],
)
def test_fields_of_other_names_may_come_and_go(line: bytes) -> None:
    assert judged(letter=added(line)) is Reason.STAMPED


def test_the_order_of_fields_of_different_names_makes_no_difference() -> None:
    lines = LETTER.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert judged(letter=b"\r\n".join(reversed(lines)) + b"\r\n\r\n" + split_letter(LETTER)[1]) is Reason.STAMPED


def test_white_space_that_relaxed_canonicalisation_forgives_makes_no_difference() -> None:
    refolded = LETTER.replace(b"Subject: Tea", b"SUBJECT:\r\n\tTea ").replace(b"have tea?", b"have \t tea? ")
    assert judged(letter=refolded + b"\r\n\r\n", is_strict=True) is Reason.STAMPED


def test_a_letter_with_two_from_fields_is_altered_even_if_its_sender_signed_both() -> None:
    letter = added(b"From: eve@example.net")
    section, body = split_letter(letter)
    assert STAMP.salt is not None
    digests = field_digests(STAMP.salt, signed_parts(parse_header(section), body_hash(body)))
    tags = [(tag, encode_base64(digests) if tag == "d" else value) for tag, value in STAMP.tags[:-2]]
    signature = Stationery().sender_key.sign(CONTEXT_STAMP, format_tag_list(tags))
    stamp = format_tag_list([*tags, ("b", encode_base64(signature)), STAMP.tags[-1]])
    assert judged(letter=letter, stamp=stamp) is Reason.ALTERED_HEADERS


SIGNED_TAGS = [name for name, _ in STAMP.tags if name not in ("b", "z")]


@pytest.mark.parametrize("name", SIGNED_TAGS)
def test_no_signed_tag_can_be_altered(name: str) -> None:
    values = dict(STAMP.tags) | {"extra": b"1"}
    other = {
        "v": b"1", "a": b"rsa-sha256", "i": b"other.example", "c": b"b" * 16, "t": b"%d" % (NOW - 1), "x": b"%d" % (NOW + LIFETIME + 1),
        "p": b"2", "l": encode_base64(FORGED_LICENCE.licence.short_form),
    }  # fmt: skip
    value = other.get(name) or encode_base64(spoiled(decode_base64(values[name])))
    assert judged(stamp=with_tag(STAMP, name, value)).kind is Kind.DUE


@pytest.mark.parametrize(
    ("name", "value"), [("t", b"%d" % (NOW - 1)), ("x", b"%d" % (NOW + LIFETIME + 1)), ("p", b"2")]
)
def test_a_tag_altered_without_the_key_breaks_the_signature(name: str, value: bytes) -> None:
    assert judged(stamp=with_tag(STAMP, name, value)) is Reason.BAD_SIGNATURE


def test_a_tag_added_without_the_key_breaks_the_signature() -> None:
    assert judged(stamp=STAMP.text.replace(b";b=", b";new=1;b=")) is Reason.BAD_SIGNATURE


def test_another_salt_is_for_a_wrong_recipient_and_so_is_none() -> None:
    assert judged(stamp=with_tag(STAMP, "z", encode_base64(bytes(16)))) is Reason.WRONG_RECIPIENT
    assert judged(stamp=STAMP.for_office()) is Reason.WRONG_RECIPIENT


def test_a_domain_hash_that_does_not_match_is_for_a_wrong_recipient() -> None:
    assert judged(stamp=with_tag(STAMP, "dh", encode_base64(bytes(32)))) is Reason.WRONG_RECIPIENT


def test_unknown_tags_that_are_signed_are_ignored() -> None:
    tags = [*STAMP.tags[:-2], ("new", b"1")]
    signature = encode_base64(Stationery().sender_key.sign(CONTEXT_STAMP, format_tag_list(tags)))
    stamp = format_tag_list([*tags, ("b", signature), STAMP.tags[-1]])
    assert judged(stamp=stamp) is Reason.STAMPED


def with_licence(**parts: Any) -> Stamp:
    """A stamp under a licence that is right but for these parts."""
    paper = Stationery()
    usual = {
        "issuer": ISSUER, "selector": "s1", "account": paper.account, "public_key": paper.sender_key.public,
        "daily_cap": 1000, "valid_from": NOW, "valid_until": NOW + 1,
    }  # fmt: skip
    licence = mint_licence(parts.pop("key", paper.office_key), **(usual | parts))
    arguments = {"serial": bytes(16), "salt": bytes(16), "now": NOW, "lifetime_seconds": LIFETIME}
    bob = canonical_recipient(BOB)
    return mint_stamp(paper.sender_key, licence, parts_of(LETTER), bob, **arguments)


def test_a_licence_holds_from_its_first_second_to_the_one_before_its_last() -> None:
    assert judged(stamp=with_licence()) is Reason.STAMPED
    assert judged(stamp=with_licence(valid_from=NOW + 1, valid_until=NOW + 9)) is Reason.BAD_LICENCE
    assert judged(stamp=with_licence(valid_from=NOW - 1, valid_until=NOW)) is Reason.BAD_LICENCE


def test_a_stamp_outlives_its_licence() -> None:
    assert judged(stamp=with_licence(), now=NOW + LIFETIME - 1) is Reason.STAMPED


@pytest.mark.parametrize("parts", [{"selector": "s2"}, {"key": FORGER}])
def test_a_licence_by_no_key_of_the_issuer_does_not_hold(parts: dict[str, Any]) -> None:
    assert judged(stamp=with_licence(**parts)) is Reason.BAD_LICENCE


@pytest.mark.parametrize(("tag", "value"), [("i", b"other.example"), ("c", b"b" * 16)])
def test_another_senders_licence_does_not_hold(tag: str, value: bytes) -> None:
    issuers = {**Stationery().issuers, "other.example": {"s1": Stationery().office_key.public}}
    assert judged(stamp=with_tag(STAMP, tag, value), issuers=issuers) is Reason.BAD_LICENCE


def test_another_public_key_in_the_licence_breaks_the_stamps_signature() -> None:
    assert judged(stamp=with_licence(public_key=FORGER.public)) is Reason.BAD_SIGNATURE


LAST = len(STAMP.text) - 1


@given(st.integers(0, LAST), st.integers(0, 255))
@example(LAST, ord(" "))
@example(LAST, ord("\t"))
@example(LAST, ord("\n"))
def test_whatever_octet_of_a_stamp_is_altered_it_counts_no_more(place: int, octet: int) -> None:
    """Except where the stamp reads as it did: white space in place of its last `;`, which may be left out."""
    altered = STAMP.text[:place] + bytes([octet]) + STAMP.text[place + 1 :]
    is_the_same = altered in (STAMP.text, STAMP.text[:-1] + b" ", STAMP.text[:-1] + b"\t")
    assert (_read(altered) == STAMP.text) == is_the_same
    reason = judged(stamp=altered, proof=Proof.YES)
    assert reason is Reason.STAMPED if is_the_same else reason.kind is Kind.DUE


def _read(stamp: bytes) -> bytes:
    """The stamp as it was understood; empty if it was not."""
    try:
        return parse_stamp(stamp).text
    except MalformedStamp:
        return b""


ALTERED: dict[str, bytes] = {
    "from": LETTER.replace(b"ann@sender", b"eve@evil"),
    "reply-to": added(b"Reply-To: eve@evil.example"),
    "to": added(b"Cc: eve@evil.example"),
    "subject": LETTER.replace(b"Tea", b"Pills"),
    "date": LETTER.replace(b"18 Nov", b"19 Nov"),
    "message-id": LETTER.replace(b"<1@", b"<2@"),
    "body": LETTER + b"Pills!\r\n",
}


@pytest.mark.parametrize("name", ALTERED)
def test_a_thief_who_fits_the_digests_to_his_letter_breaks_the_signature(name: str) -> None:
    """He has the salt: digests he can make, but not sign."""
    assert STAMP.salt is not None
    parts = parts_of(ALTERED[name])
    fitted = with_tag(STAMP, "d", encode_base64(field_digests(STAMP.salt, parts)))
    fitted = with_tag(parse_stamp(fitted), "bh", encode_base64(body_digest(STAMP.salt, parts)))
    assert judged(stamp=fitted, letter=ALTERED[name], proof=Proof.YES) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("salt", [STAMP.salt, bytes(16)])
def test_a_thief_who_fits_the_hashes_to_another_recipient_breaks_the_signature(salt: bytes) -> None:
    eve = canonical_recipient(EVE)
    fitted = parse_stamp(with_tag(STAMP, "rh", encode_base64(recipient_hash(salt, eve))))
    fitted = parse_stamp(with_tag(fitted, "z", encode_base64(salt)))
    fitted = parse_stamp(with_tag(fitted, "d", encode_base64(field_digests(salt, parts_of(LETTER)))))
    fitted = parse_stamp(with_tag(fitted, "bh", encode_base64(body_digest(salt, parts_of(LETTER)))))
    assert judged(stamp=fitted, recipients=(EVE,)) is Reason.BAD_SIGNATURE

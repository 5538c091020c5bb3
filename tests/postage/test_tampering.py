"""A stamp or a letter altered in one way or another: what is said of it, and that nothing altered counts for more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.at_once import judge_stamp
from tests.support.stationery import DAY, ISSUER, LETTER, NOW, Stationery

from pennyred.postage.address import canonical_recipient
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import header_hash, signed_names
from pennyred.postage.encoding import decode_base64, encode_base64
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.minting import mint_licence, mint_stamp
from pennyred.postage.reasons import Reason
from pennyred.postage.signing import CONTEXT_STAMP, SigningKey
from pennyred.postage.stamp import Stamp
from pennyred.postage.taglist import format_tag_list
from pennyred.postage.verification import CLOCK_SKEW_SECONDS, LicenceCache, Verdict

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
    strict_body: bool = False
    licences: LicenceCache = field(default_factory=LicenceCache)

    def verdict(self) -> Verdict:
        section, body = split_letter(self.letter)
        header = parse_header(section)
        return judge_stamp(
            self.stamp if isinstance(self.stamp, bytes) else self.stamp.value(),
            header=header,
            header_hash=header_hash(header),
            body_hash=body_hash(body),
            recipients=[canonical_recipient(one) for one in self.recipients],
            issuers=self.issuers,
            now=self.now,
            price=self.price,
            licences=self.licences,
            strict_body=self.strict_body,
        )


def judged(**parts: Any) -> Reason:
    return Counter(**parts).verdict().reason


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
    verdict = Counter(stamp=STAMP).verdict()
    assert verdict.reason is Reason.STAMPED
    assert verdict.stamp == STAMP


@pytest.mark.parametrize("strict_body", [False, True])
def test_strictness_changes_nothing_for_an_unaltered_letter(strict_body: bool) -> None:
    assert judged(strict_body=strict_body) is Reason.STAMPED


WRONG: dict[Reason, dict[str, Any]] = {
    Reason.MALFORMED: {"stamp": b"v=1; a stamp"},
    Reason.UNKNOWN_VERSION: {"stamp": b"v=2;" + STAMP.value()[4:]},
    Reason.ISSUER_NOT_ACCEPTED: {"issuers": {"other.example": {"s1": Stationery().office_key.public}}},
    Reason.UNDERPAID: {"price": 2},
    Reason.NOT_YET_VALID: {"now": NOW - CLOCK_SKEW_SECONDS - 1},
    Reason.WRONG_RECIPIENT: {"recipients": (EVE,)},
    Reason.BAD_LICENCE: {"stamp": FORGED_LICENCE},
    Reason.ALTERED_HEADERS: {"letter": ALTERED_HEADER},
    Reason.BAD_SIGNATURE: {"stamp": FORGED_STAMP},
    Reason.STAMPED_MODIFIED: {"letter": ALTERED_BODY},
    Reason.ALTERED_BODY: {"letter": ALTERED_BODY, "strict_body": True},
    Reason.EXPIRED: {"now": NOW + LIFETIME},
}


@pytest.mark.parametrize("reason", WRONG)
def test_each_wrong_gives_exactly_its_own_reason(reason: Reason) -> None:
    assert judged(**WRONG[reason]) is reason


def test_what_parses_carries_its_stamp_and_what_does_not_carries_none() -> None:
    for reason, parts in WRONG.items():
        verdict = Counter(**parts).verdict()
        is_unreadable = reason in (Reason.MALFORMED, Reason.UNKNOWN_VERSION)
        assert (verdict.stamp is None) == is_unreadable
        assert bool(verdict.detail) == is_unreadable


def test_expiry_is_the_first_second_at_which_it_counts_no_more() -> None:
    assert judged(now=NOW + LIFETIME - 1) is Reason.STAMPED
    assert judged(now=NOW + LIFETIME) is Reason.EXPIRED


def test_a_senders_clock_may_be_ahead_by_the_skew() -> None:
    assert judged(now=NOW - CLOCK_SKEW_SECONDS) is Reason.STAMPED


def added(line: bytes) -> bytes:
    """The letter with one more field on top."""
    return line + b"\r\n" + LETTER


@pytest.mark.parametrize(
    "line",
    [
        b"From: eve@example.net",
        b"To: x",
        b"Cc: x",
        b"Subject: Win",
        b"Date: now",
        b"Message-ID: <2@x>",
        b"from : x",
        b"SUBJECT:",
        b"Cc:",
    ],
)
def test_a_signed_name_added_on_top_or_below_alters_the_header(line: bytes) -> None:
    assert judged(letter=added(line)) is Reason.ALTERED_HEADERS
    section, body = split_letter(LETTER)
    assert judged(letter=section + line + b"\r\n\r\n" + body) is Reason.ALTERED_HEADERS


@pytest.mark.parametrize("name", [b"From", b"To", b"Subject", b"Date", b"Message-ID"])
def test_a_signed_field_taken_out_or_renamed_alters_the_header(name: bytes) -> None:
    assert judged(letter=LETTER.replace(name + b":", b"X-" + name + b":")) is Reason.ALTERED_HEADERS


@pytest.mark.parametrize(
    "line", [b"Received: from x by y", b"X-Spam: no", b"Sender: eve@example.net", b"no field at all"]
)
def test_fields_of_other_names_may_come_and_go(line: bytes) -> None:
    assert judged(letter=added(line)) is Reason.STAMPED


def test_the_order_of_fields_of_different_names_makes_no_difference() -> None:
    lines = LETTER.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert judged(letter=b"\r\n".join(reversed(lines)) + b"\r\n\r\n" + split_letter(LETTER)[1]) is Reason.STAMPED


def test_white_space_that_relaxed_canonicalisation_forgives_makes_no_difference() -> None:
    refolded = LETTER.replace(b"Subject: Tea", b"SUBJECT :\r\n\tTea ").replace(b"have tea?", b"have \t tea? ")
    assert judged(letter=refolded + b"\r\n\r\n", strict_body=True) is Reason.STAMPED


def test_a_letter_with_two_from_fields_is_altered_even_if_its_sender_signed_both() -> None:
    letter = added(b"From: eve@example.net")
    header = parse_header(split_letter(letter)[0])
    paper = Stationery()
    names = b":".join(signed_names(header))
    unsigned = {"h": names, "hh": encode_base64(header_hash(header))}
    tags = [(tag, unsigned.get(tag, value)) for tag, value in STAMP.tags[:-2]]
    signature = paper.sender_key.sign(CONTEXT_STAMP, format_tag_list(tags))
    stamp = format_tag_list([*tags, ("b", encode_base64(signature)), STAMP.tags[-1]])
    assert judged(letter=letter, stamp=stamp) is Reason.ALTERED_HEADERS


def test_names_that_are_not_those_of_the_letter_alter_the_header() -> None:
    assert judged(stamp=with_tag(STAMP, "h", b"from:from:to:to:subject:subject")) is Reason.ALTERED_HEADERS


SIGNED_TAGS = [name for name, _ in STAMP.tags if name not in ("b", "z")]


@pytest.mark.parametrize("name", SIGNED_TAGS)
def test_no_signed_tag_can_be_altered(name: str) -> None:
    values = dict(STAMP.tags) | {"extra": b"1"}
    other = {
        "v": b"2", "a": b"rsa-sha256", "i": b"other.example", "c": b"b" * 16, "t": b"%d" % (NOW - 1), "x": b"%d" % (NOW + LIFETIME + 1),
        "p": b"2", "h": b"from:from", "l": encode_base64(FORGED_LICENCE.licence.encoded),
    }  # fmt: skip
    value = other.get(name) or encode_base64(spoiled(decode_base64(values[name])))
    verdict = Counter(stamp=with_tag(STAMP, name, value)).verdict()
    assert verdict.reason not in (Reason.STAMPED, Reason.STAMPED_MODIFIED)


@pytest.mark.parametrize(
    ("name", "value"), [("t", b"%d" % (NOW - 1)), ("x", b"%d" % (NOW + LIFETIME + 1)), ("p", b"2")]
)
def test_a_tag_altered_without_the_key_breaks_the_signature(name: str, value: bytes) -> None:
    assert judged(stamp=with_tag(STAMP, name, value)) is Reason.BAD_SIGNATURE


def test_a_tag_added_without_the_key_breaks_the_signature() -> None:
    assert judged(stamp=STAMP.value().replace(b";b=", b";new=1;b=")) is Reason.BAD_SIGNATURE


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
    section, body = split_letter(LETTER)
    arguments = {"serial": bytes(16), "salt": bytes(16), "now": NOW, "lifetime_seconds": LIFETIME}
    bob = canonical_recipient(BOB)
    return mint_stamp(paper.sender_key, licence, parse_header(section), body_hash(body), bob, **arguments)


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

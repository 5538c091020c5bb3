"""A stamp wrong in every way it can be wrong offline, and which of several wrongs is named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from stationery import DAY, ISSUER, LETTER, NOW, Stationery

from pennyred.postage.address import canonical_recipient
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import header_hash
from pennyred.postage.encoding import encode_base64
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.reasons import Reason
from pennyred.postage.signing import SigningKey
from pennyred.postage.stamp import Stamp
from pennyred.postage.verdict import CLOCK_SKEW_SECONDS, LicenceCache, Verdict, judge_stamp

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


STEPS: list[tuple[Reason, dict[str, Any]]] = [
    (Reason.ISSUER_NOT_ACCEPTED, {"issuers": {}}),
    (Reason.UNDERPAID, {"price": 2}),
    (Reason.NOT_YET_VALID, {"now": NOW - CLOCK_SKEW_SECONDS - 1}),
    (Reason.WRONG_RECIPIENT, {"recipients": (EVE,)}),
    (Reason.BAD_LICENCE, {"issuers": {ISSUER: {"s1": FORGER.public}}}),
    (Reason.ALTERED_HEADERS, {"letter": ALTERED_HEADER + b"More\r\n"}),
    (Reason.BAD_SIGNATURE, {"stamp": FORGED_STAMP}),
    (Reason.ALTERED_BODY, {"letter": ALTERED_BODY, "strict_body": True}),
]
"""Wrongs in their precedence; each may be joined with all that follow it."""


@pytest.mark.parametrize("first", range(len(STEPS)), ids=lambda first: STEPS[first][0])
def test_of_several_wrongs_the_first_in_the_order_of_the_checks_is_named(first: int) -> None:
    parts: dict[str, Any] = {}
    for _, wrong in reversed(STEPS[first:]):
        parts |= wrong
    assert judged(**parts) is STEPS[first][0]


@pytest.mark.parametrize("reason", [reason for reason, _ in STEPS if reason is not Reason.NOT_YET_VALID])
def test_expired_is_said_only_where_all_else_holds(reason: Reason) -> None:
    assert judged(**{**dict(STEPS)[reason], "now": NOW + LIFETIME}) is reason


def test_an_expired_stamp_on_an_altered_body_has_expired() -> None:
    assert judged(letter=ALTERED_BODY, now=NOW + LIFETIME) is Reason.EXPIRED


def test_expiry_is_the_first_second_at_which_it_counts_no_more() -> None:
    assert judged(now=NOW + LIFETIME - 1) is Reason.STAMPED
    assert judged(now=NOW + LIFETIME) is Reason.EXPIRED


def test_a_senders_clock_may_be_ahead_by_the_skew() -> None:
    assert judged(now=NOW - CLOCK_SKEW_SECONDS) is Reason.STAMPED


def test_any_alias_of_the_recipient_will_do() -> None:
    assert judged(recipients=(EVE, "BOB@Example.ORG")) is Reason.STAMPED
    assert judged(recipients=()) is Reason.WRONG_RECIPIENT

"""The order of the checks is the precedence of the reasons; each reason by itself is in tests/vectors/stamps.json."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.at_once import judge_stamp
from tests.support.replacing import replace
from tests.support.stationery import DAY, ISSUER, LETTER, NOW, Stationery

from pennyred.postage import verification as verdict_module
from pennyred.postage.address import canonical_recipient
from pennyred.postage.alteration import Proof, Row, alteration
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import signed_parts
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.signing import SigningKey
from pennyred.postage.stamp import Stamp, parse_stamp
from pennyred.postage.verification import LicenceCache, Verdict, check_for_office

STATIONERY = Stationery()
STAMP = STATIONERY.stamp(LETTER, "bob@example.org")


@dataclass(frozen=True)
class Gate:
    """What a stamp meets."""

    letter: bytes = LETTER
    recipients: tuple[str, ...] = ("bob@example.org",)
    issuers: dict[str, dict[str, bytes]] = field(default_factory=lambda: STATIONERY.issuers)
    now: int = NOW
    price: int = 1
    strict: bool = False
    proof: Proof = Proof.NO
    licences: LicenceCache = field(default_factory=LicenceCache)

    def judge(self, stamp: Stamp) -> Verdict:
        return judge_stamp(
            stamp,
            self.letter,
            self.recipients,
            issuers=self.issuers,
            now=self.now,
            price=self.price,
            licences=self.licences,
            is_strict=self.strict,
            proof=self.proof,
        )


def _forged(stamp: Stamp) -> Stamp:
    return replace(stamp, signature=bytes(64))


def _unlicensed(stamp: Stamp) -> Stamp:
    return replace(stamp, licence=replace(stamp.licence, selector="s9"))


FLAWS: list[tuple[Reason, Callable[[Gate], Gate], Callable[[Stamp], Stamp]]] = [
    (Reason.ISSUER_NOT_ACCEPTED, lambda gate: replace(gate, issuers={}), lambda stamp: stamp),
    (Reason.UNDERPAID, lambda gate: replace(gate, price=2), lambda stamp: stamp),
    (Reason.WRONG_RECIPIENT, lambda gate: replace(gate, recipients=("eve@example.org",)), lambda stamp: stamp),
    (Reason.BAD_LICENCE, lambda gate: gate, _unlicensed),
    (
        Reason.ALTERED_HEADERS,
        lambda gate: replace(gate, letter=gate.letter.replace(b"Tea", b"Pills").replace(b"<1@", b"<2@")),
        lambda stamp: stamp,
    ),
    (Reason.BAD_SIGNATURE, lambda gate: gate, _forged),
    (
        Reason.ALTERED_BODY,
        lambda gate: replace(gate, letter=gate.letter + b"more\r\n", strict=True),
        lambda stamp: stamp,
    ),
    (Reason.EXPIRED, lambda gate: replace(gate, now=NOW + 10 * DAY), lambda stamp: stamp),
]
"""In the order of STAMP.md 8.1; "not-yet-valid" and "expired" cannot both be."""


@given(st.sets(st.integers(0, len(FLAWS) - 1)))
def test_of_several_flaws_the_first_in_order_is_said(flaws: set[int]) -> None:
    gate, stamp = Gate(), STAMP
    for flaw in flaws:
        _, change_gate, change_stamp = FLAWS[flaw]
        gate, stamp = change_gate(gate), change_stamp(stamp)
    verdict = gate.judge(stamp)
    assert verdict.reason is (FLAWS[min(flaws)][0] if flaws else Reason.STAMPED)
    assert verdict.stamp is stamp


def test_a_stamp_of_the_future_is_not_yet_valid_though_its_recipient_is_another() -> None:
    gate = Gate(now=NOW - 601, recipients=("eve@example.org",))
    assert gate.judge(STAMP).reason is Reason.NOT_YET_VALID
    assert gate.judge(STAMP).reason.is_cured_by_time


def test_a_body_that_its_author_altered_counts_unless_the_gate_is_strict() -> None:
    proven = Gate(letter=LETTER + b"-- \r\nfooter\r\n", proof=Proof.YES)
    assert proven.judge(STAMP).reason is Reason.STAMPED_MODIFIED
    assert replace(proven, strict=True).judge(STAMP).reason is Reason.ALTERED_BODY
    assert replace(proven, now=NOW + 10 * DAY).judge(STAMP).reason is Reason.EXPIRED
    assert replace(proven, proof=Proof.NO, now=NOW + 10 * DAY).judge(STAMP).reason is Reason.ALTERED_BODY


def test_any_alias_will_do() -> None:
    assert Gate(recipients=("eve@example.org", "b@x.example", "Bob@example.org")).judge(STAMP).reason is Reason.STAMPED
    assert Gate(recipients=()).judge(STAMP).reason is Reason.WRONG_RECIPIENT


@given(st.sampled_from(["x@example.org", "bob@example.net", "bob@sub.example.org", "bobb@example.org", "postmaster"]))
def test_a_stamp_pays_its_own_recipient_only(mailbox: str) -> None:
    assert Gate(recipients=(mailbox,)).judge(STAMP).reason is Reason.WRONG_RECIPIENT


@given(st.data())
def test_no_letter_but_the_one_stamped_is_paid(data: st.DataObject) -> None:
    """Whatever octet of its header is altered: a thief has the very text, or nothing."""
    section, body = split_letter(LETTER)
    place = data.draw(st.integers(0, len(section) - 1))
    octet = data.draw(st.integers(0x21, 0xFF))
    altered = section[:place] + bytes([octet]) + section[place + 1 :]
    verdict = Gate(letter=altered + b"\r\n" + body).judge(STAMP)
    if verdict.row is Row.UNALTERED:  # display names are not signed, nor the spelling of field names
        assert altered.lower().split(b"\r\n")[2:] == section.lower().split(b"\r\n")[2:]
        assert b"ann@sender.example" in altered.lower()
    elif verdict.row is Row.SAME_TEXT:
        assert set(verdict.altered) <= {"to", "date", "message-id"}
    else:
        assert verdict.reason in (Reason.ALTERED_HEADERS, Reason.ALTERED_BODY)


def test_without_its_salt_a_stamp_is_of_no_letter() -> None:
    section, body = split_letter(LETTER)
    found = alteration(parse_stamp(STAMP.for_office()), signed_parts(parse_header(section), body_hash(body)))
    assert found.row(Proof.YES) is Row.OTHER_AUTHOR
    assert not found.hangs_on_proof


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("proof", Proof)
def test_another_author_is_altered_headers_at_every_gate(strict: bool, proof: Proof) -> None:
    gate = Gate(letter=LETTER.replace(b"ann@", b"eve@"), strict=strict, proof=proof)
    assert gate.judge(STAMP).reason is Reason.ALTERED_HEADERS


@pytest.mark.parametrize("proof", Proof)
def test_a_strict_gate_says_the_same_whether_the_author_is_proven_or_the_dns_is_silent(proof: Proof) -> None:
    subject, body, both = (
        LETTER.replace(b"Tea", b"Pills"),
        LETTER + b"Pills\r\n",
        LETTER.replace(b"Tea", b"Pills") + b"x",
    )
    said = [Gate(letter=one, strict=True, proof=proof).judge(STAMP).reason for one in (subject, body, both)]
    assert said == [Reason.ALTERED_HEADERS, Reason.ALTERED_BODY, Reason.ALTERED_BODY]


def count_checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    checked: list[bytes] = []
    verify = verdict_module.verify

    def counting(public: bytes, context: bytes, message: bytes, signature: bytes) -> bool:
        checked.append(context)
        return verify(public, context, message, signature)

    monkeypatch.setattr(verdict_module, "verify", counting)
    return checked


def test_a_licence_is_verified_once_and_a_stamp_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = count_checks(monkeypatch)
    gate = Gate()
    for _ in range(3):
        assert gate.judge(STATIONERY.stamp(LETTER, "bob@example.org")).reason is Reason.STAMPED
    assert checked == [b"pennyred/1 licence\0"] + [b"pennyred/2 stamp\0"] * 3


def test_what_can_be_seen_without_a_signature_costs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = count_checks(monkeypatch)
    for reason, change_gate, _ in FLAWS[:3]:
        assert change_gate(Gate()).judge(STAMP).reason is reason
    assert checked == []


def test_a_licence_that_does_not_hold_is_never_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = SigningKey.from_seed(b"\x09" * 32)
    gate = Gate(issuers={ISSUER: {"s1": stranger.public}})
    checked = count_checks(monkeypatch)
    assert gate.judge(STAMP).reason is gate.judge(STAMP).reason is Reason.BAD_LICENCE
    assert len(checked) == 2
    assert replace(gate, issuers=STATIONERY.issuers).judge(STAMP).reason is Reason.STAMPED
    assert gate.judge(STAMP).reason is Reason.BAD_LICENCE, "remembered under the key it was verified with"


def test_the_cache_forgets_the_one_used_longest_ago() -> None:
    cache = LicenceCache(size_max=2)
    licences = [STATIONERY.licence(now=NOW + second) for second in range(3)]
    for licence in (licences[0], licences[1], licences[0], licences[2]):
        assert cache.holds(licence, STATIONERY.office_key.public)
    remembered = [encoded for encoded, _ in cache._verified]
    assert remembered == [licences[0].encoded, licences[2].encoded]


OFFICE = {"issuer": ISSUER, "keys": STATIONERY.issuers[ISSUER], "now": NOW, "domain": "example.org"}


def test_the_office_needs_neither_salt_nor_letter() -> None:
    assert check_for_office(parse_stamp(STAMP.for_office()), **OFFICE) is None


OFFICE_FLAWS: list[tuple[Reason, dict[str, Any], Callable[[Stamp], Stamp]]] = [
    (Reason.ISSUER_NOT_ACCEPTED, {"issuer": "other.example"}, lambda stamp: stamp),
    (Reason.WRONG_RECEIVER, {"domain": "example.net"}, lambda stamp: stamp),
    (Reason.BAD_LICENCE, {"keys": {}}, lambda stamp: stamp),
    (Reason.BAD_SIGNATURE, {}, _forged),
    (Reason.EXPIRED, {"now": NOW + 10 * DAY}, lambda stamp: stamp),
]


@given(st.sets(st.integers(0, len(OFFICE_FLAWS) - 1), min_size=1))
def test_of_several_flaws_the_office_finds_the_first_in_order(flaws: set[int]) -> None:
    meets, stamp = dict(OFFICE), STAMP
    for flaw in flaws:
        _, change, change_stamp = OFFICE_FLAWS[flaw]
        meets, stamp = meets | change, change_stamp(stamp)
    assert check_for_office(stamp, **meets) is OFFICE_FLAWS[min(flaws)][0]


def test_the_office_goes_by_its_own_clock() -> None:
    assert check_for_office(STAMP, **OFFICE | {"now": NOW - 601}) is Reason.NOT_YET_VALID
    assert check_for_office(STAMP, **OFFICE | {"now": NOW - 600}) is None
    assert check_for_office(STAMP, **OFFICE | {"now": STAMP.expires_at - 1}) is None


def test_the_office_may_remember_licences_too(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = count_checks(monkeypatch)
    licences = LicenceCache()
    for _ in range(3):
        assert check_for_office(STAMP, **OFFICE, licences=licences) is None
    assert len(checked) == 4


def may_have_paid(gate: Gate, stamp: Stamp, **how: Any) -> bool:
    section, body = split_letter(gate.letter)
    found = alteration(stamp, signed_parts(parse_header(section), body_hash(body)))
    verdict = gate.judge(stamp)
    return verdict_module.is_bound(
        verdict,
        found=found,
        proof=gate.proof,
        recipients=[canonical_recipient(one) for one in gate.recipients],
        issuers=gate.issuers,
        **how,
    ) and verdict_module.is_signed(stamp, issuers=gate.issuers, licences=LicenceCache())


BY_SETTINGS = {Reason.ISSUER_NOT_ACCEPTED, Reason.UNDERPAID, Reason.BAD_LICENCE, Reason.ALTERED_BODY}


@given(st.sets(st.integers(0, len(FLAWS) - 1)), st.booleans())
def test_what_only_settings_and_keys_speak_against_may_have_paid(flaws: set[int], can_be_asked: bool) -> None:
    """The price, the offices, their keys, altered bodies; not another recipient, another header, another signer."""
    gate, stamp = Gate(), STAMP
    for flaw in flaws:
        _, change_gate, change_stamp = FLAWS[flaw]
        gate, stamp = change_gate(gate), change_stamp(stamp)
    reasons = {FLAWS[flaw][0] for flaw in flaws}
    first = FLAWS[min(flaws)][0] if flaws else Reason.STAMPED
    is_bound = reasons <= BY_SETTINGS | {Reason.EXPIRED} and first in BY_SETTINGS
    is_known = can_be_asked or Reason.ISSUER_NOT_ACCEPTED not in reasons
    # A licence under a selector that is not known is signed with the stamp: the stamp's own signature holds.
    assert may_have_paid(gate, stamp, retired={ISSUER} if can_be_asked else ()) is (
        is_bound and is_known and stamp.signature == STAMP.signature
    )


@pytest.mark.parametrize(("proof", "may"), [(Proof.YES, True), (Proof.SILENT, False), (Proof.NO, False)])
def test_a_subject_that_only_strictness_speaks_against_may_have_paid(proof: Proof, may: bool) -> None:
    """When the gate was less strict; never one that its author is not proven to have altered."""
    gate = Gate(letter=LETTER.replace(b"Tea", b"Pills"), strict=True, proof=proof)
    assert gate.judge(STAMP).reason is Reason.ALTERED_HEADERS
    assert may_have_paid(gate, STAMP) is may


def test_whether_it_is_for_this_letter_costs_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(price=2)
    checked = count_checks(monkeypatch)
    assert may_have_paid(gate, STAMP)
    assert len(checked) == 2
    assert not may_have_paid(replace(gate, letter=gate.letter.replace(b"Tea", b"Pills")), STAMP)
    assert not may_have_paid(replace(gate, recipients=("eve@example.org",)), STAMP)
    assert len(checked) == 2


def test_a_licence_that_a_known_key_did_not_sign_has_paid_for_nothing() -> None:
    stranger = SigningKey.from_seed(b"\x09" * 32)
    assert not may_have_paid(Gate(issuers={ISSUER: {"s1": stranger.public}}), STAMP)
    assert not may_have_paid(Gate(issuers={ISSUER: {"s1": stranger.public}}, price=2), STAMP)
    assert may_have_paid(Gate(issuers={ISSUER: {"s2": stranger.public}}), STAMP)


def test_every_verdict_is_paid_or_due() -> None:
    assert {Gate().judge(STAMP).reason.kind, *(flaw[0].kind for flaw in FLAWS)} == {Kind.PAID, Kind.DUE}


def test_a_message_id_that_neither_has_binds_no_other_letter_to_the_stamp() -> None:
    bare = LETTER.replace(b"Message-ID: <1@sender.example>\r\n", b"")
    stamp = STATIONERY.stamp(bare, "bob@example.org")
    for letter, reason in ((bare, Reason.ALTERED_HEADERS), (LETTER, Reason.STAMPED_MODIFIED)):
        other = letter.replace(b"Tea", b"Pills").replace(b"Shall", b"Buy")
        own = stamp if letter is bare else STAMP
        assert Gate(letter=other, proof=Proof.YES).judge(own).reason is reason

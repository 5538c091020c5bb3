"""Decide whether a stamp counts for a letter, as far as possible without a ledger (STAMP.md 8), cheap checks first."""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from pennyred.postage.address import Recipient
from pennyred.postage.alteration import Alteration, Proof, Row
from pennyred.postage.digest import domain_hash, recipient_hash
from pennyred.postage.licence import Licence
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.signing import CONTEXT_LICENCE, CONTEXT_STAMP, verify
from pennyred.postage.stamp import Stamp

CLOCK_SKEW_SECONDS = 600
"""How far a sender's clock may be ahead of ours."""

_BY_SETTINGS = (Reason.UNDERPAID, Reason.ISSUER_NOT_ACCEPTED, Reason.BAD_LICENCE)

Keys = Mapping[str, bytes]
"""An office's public keys by selector."""


class Verdict(Struct, frozen=True, gc=False):
    """Whether a stamp counts for a recipient: STAMPED, STAMPED_MODIFIED, or the first reason why it does not."""

    reason: Reason
    """Of the kind LATER where that hangs on a proof that cannot be had now."""
    stamp: Stamp
    row: Row | None = None
    """Which row of the table of alterations has decided, where one was come to."""
    altered: tuple[str, ...] = ()
    """What was altered on the way, by the names of `alteration`."""


class LicenceCache:
    """Remembers the licences that were verified lately, so that a stamp costs one signature check and not two.

    Only licences that hold are remembered, so forgeries cannot push them out. For use by one thread.
    """

    def __init__(self, size_max: int = 10_000) -> None:
        self._size_max = size_max
        self._verified: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()

    def knows(self, licence: Licence, office_key: bytes) -> bool:
        """Whether the licence is remembered as one that holds under this key; verifies nothing."""
        return (licence.encoded, office_key) in self._verified

    def holds(self, licence: Licence, office_key: bytes) -> bool:
        """Whether the office's signature on the licence holds under this key; the answer yes is remembered."""
        known = (licence.encoded, office_key)
        if known in self._verified:
            self._verified.move_to_end(known)
            return True
        if not verify(office_key, CONTEXT_LICENCE, licence.signed_bytes, licence.signature):
            return False
        self._verified[known] = None
        if len(self._verified) > self._size_max:
            self._verified.popitem(last=False)
        return True


def judge_parsed(
    stamp: Stamp,
    *,
    found: Alteration,
    recipients: Sequence[Recipient],
    issuers: Mapping[str, Keys],
    now: int,
    price: int,
    licences: LicenceCache,
    proof: Proof = Proof.NO,
    is_strict: bool = False,
) -> Verdict:
    """Judge one stamp; the order of the checks is the precedence of the reasons.

    `recipients` are the envelope recipient and its aliases; `found` says how the letter was altered, and `proof`
    whether its author is proven, which matters only if it was (`Alteration.hangs_on_proof`). `is_strict`: no altered
    text counts.
    EXPIRED comes last of all: everything else holds then, and the office may know that the stamp paid for this letter.
    """
    reason = (
        _acceptance(stamp, issuers, price, now)
        or _address(stamp, recipients)
        or _licence(stamp, issuers[stamp.issuer], licences)
    )
    if reason is not None:
        return Verdict(reason, stamp)
    row = found.row(proof)
    reason = row.strict_reason if is_strict else row.reason
    if reason is not Reason.ALTERED_HEADERS:  # which is cheaper to find than that a signature does not hold
        reason = _signature(stamp) or reason
    if reason.kind is Kind.PAID and stamp.expires_at <= now:
        reason = Reason.EXPIRED
    return Verdict(reason, stamp, row, found.altered)


def is_bound(
    verdict: Verdict,
    *,
    found: Alteration,
    proof: Proof,
    recipients: Sequence[Recipient],
    issuers: Mapping[str, Keys],
    retired: Collection[str] = (),
) -> bool:
    """Whether a stamp that was judged due was nevertheless made for this letter and recipient.

    Then only the gate's present settings and keys speak against it: the price, the accepted offices, their keys, the
    rule for altered letters. These may have been different when the letter first came. So if the stamp is also signed
    (`is_signed`), its office is asked whether the letter was paid then (`Hold.flaw`). `retired` are offices that are no
    longer accepted but can still be asked. No signature is checked here.
    """
    stamp = verdict.stamp
    if verdict.reason is Reason.ALTERED_BODY:  # all other checks come before this one
        return True
    if verdict.reason is Reason.ALTERED_HEADERS:  # by a strict gate, which may have been less strict before
        return verdict.row is not None and verdict.row.reason.kind is Kind.PAID
    if verdict.reason not in _BY_SETTINGS or not _is_in_force(stamp) or _address(stamp, recipients) is not None:
        return False
    keys = issuers.get(stamp.issuer)
    if keys is None and stamp.issuer not in retired:
        return False
    if verdict.reason is Reason.BAD_LICENCE and stamp.licence.selector in (keys or {}):  # the key did not sign
        return False
    return found.row(proof).reason is not Reason.ALTERED_HEADERS


def is_signed(stamp: Stamp, *, issuers: Mapping[str, Keys], licences: LicenceCache) -> bool:
    """Whether the licence's key signed the stamp, and the office's key, if it is known, signed the licence."""
    keys = issuers.get(stamp.issuer, {})
    is_licensed = stamp.licence.selector not in keys or _licence(stamp, keys, licences) is None
    return is_licensed and _signature(stamp) is None


def check_for_office(
    stamp: Stamp, *, issuer: str, keys: Keys, now: int, domain: str, licences: LicenceCache | None = None
) -> Reason | None:
    """An office's own check of a stamp that a gate presents for a domain; None if it holds (STAMP.md 8.5).

    It does not rely on the gate: issuer, domain hash, times, licence and signature are all checked again. EXPIRED comes
    last: everything else holds then, and the ledger may know that the stamp was settled for this letter before.
    """
    if stamp.issuer != issuer:
        return Reason.ISSUER_NOT_ACCEPTED
    if stamp.domain_hash != domain_hash(stamp.serial, domain):
        return Reason.WRONG_RECEIVER
    if stamp.issued_at > now + CLOCK_SKEW_SECONDS:
        return Reason.NOT_YET_VALID
    reason = _licence(stamp, keys, licences or LicenceCache(size_max=1)) or _signature(stamp)
    if reason is None and stamp.expires_at <= now:
        return Reason.EXPIRED
    return reason


def check_flawed(stamp: Stamp, flaw: Reason, *, issuer: str, domain: str) -> Reason:
    """Takes the place of `check_for_office` where the gate itself says what is wrong (`flaw`).

    No signature is verified: such a stamp is never held, and only the ledger knows whether it has paid this letter.
    """
    is_ours = stamp.issuer == issuer and stamp.domain_hash == domain_hash(stamp.serial, domain)
    return flaw if is_ours else Reason.WRONG_RECEIVER


def _acceptance(stamp: Stamp, issuers: Mapping[str, Keys], price: int, now: int) -> Reason | None:
    if stamp.issuer not in issuers:
        return Reason.ISSUER_NOT_ACCEPTED
    if stamp.price < price:
        return Reason.UNDERPAID
    return Reason.NOT_YET_VALID if stamp.issued_at > now + CLOCK_SKEW_SECONDS else None


def _address(stamp: Stamp, recipients: Sequence[Recipient]) -> Reason | None:
    salt = stamp.salt
    for recipient in recipients:
        if (
            salt is not None
            and recipient_hash(salt, recipient) == stamp.recipient_hash
            and domain_hash(stamp.serial, recipient.domain) == stamp.domain_hash
        ):
            return None
    return Reason.WRONG_RECIPIENT


def _licence(stamp: Stamp, keys: Keys, licences: LicenceCache) -> Reason | None:
    key = keys.get(stamp.licence.selector)
    holds = _is_in_force(stamp) and key is not None and licences.holds(stamp.licence, key)
    return None if holds else Reason.BAD_LICENCE


def _is_in_force(stamp: Stamp) -> bool:
    """Whether the stamp was issued within its licence's time; the licence's signature is not checked."""
    return stamp.licence.valid_from <= stamp.issued_at < stamp.licence.valid_until


def _signature(stamp: Stamp) -> Reason | None:
    holds = verify(stamp.licence.public_key, CONTEXT_STAMP, stamp.signed_bytes, stamp.signature)
    return None if holds else Reason.BAD_SIGNATURE

"""The mirror: a mailbox that takes stamped letters only to say what their way has done to them.

A sender opens a probe at the office, and sends a letter to the address that it is given. The letter is judged as any
gate would judge its stamp, but offline: nothing is held, counted or handed on, so nothing is spent. What was found is
kept for the sender to read, and the reply is the one that a gate would give. Nobody writes to the mirror whose probe is
not open, and it answers no letter by mail. So it is no free mailbox, relays nothing, and tells strangers nothing.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from pennyred.gate.judging.proving import proof_by
from pennyred.gate.judging.standing import ABOUT_ALTERATION
from pennyred.gate.letterbox import Due, Envelope, Later, Letter, MirrorAnswer, Mirrored, NoProbe
from pennyred.gate.ports import Authenticator
from pennyred.gate.rules.exemptions import canonical_or_none
from pennyred.gate.rules.origin import Finding
from pennyred.gate.rules.pathadvice import path_advice
from pennyred.http.probes import TOKEN, Advice, Arrival, StampsSeen, token_of
from pennyred.postage.address import Recipient
from pennyred.postage.alteration import Alteration, Proof, alteration
from pennyred.postage.candidates import find_candidates
from pennyred.postage.digest import signed_parts
from pennyred.postage.encoding import encode_base64
from pennyred.postage.errors import MalformedStamp
from pennyred.postage.letter import STAMP_FIELD, HeaderSection
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.stamp import Stamp, split_field
from pennyred.postage.verification import LicenceCache, Verdict, judge_parsed

HEADER_OCTETS_KEPT = 32 * 1024
"""How much of a header section is kept; the rest is cut off, and that is said."""
_TEXT_CHARACTERS_MAX = 200
_PROOFS_MAX = 20
_STAMPS_COUNTED_MAX = 100


class ProbeNotes(Protocol):
    """What the gate writes down of probes. Every method raises `Unavailable` if there is no answer."""

    async def is_open(self, token: str, *, now: int) -> bool:
        """Whether there is such a probe, and it may have one more letter."""
        ...

    async def add(self, token: str, found: bytes, *, now: int) -> bool:
        """Keep what was found of a letter; False if it is not open, or has as many as are kept."""
        ...


class Mirror:
    """The mirror of one office, for one worker (implements `letterbox.MirrorDesk`)."""

    def __init__(
        self,
        mailbox: str,
        issuer: str,
        notes: ProbeNotes,
        authenticator: Authenticator,
        *,
        keys: Callable[[str], Mapping[str, bytes]],
        clock: Callable[[], int],
        log: Any,
    ) -> None:
        """`mailbox` is canonical; `keys` finds the office's public keys, and is told the selector that is needed."""
        self.authenticator = authenticator
        """May be replaced while letters are under way."""
        self._mailbox = mailbox
        self._beginning = mailbox.partition("@")[0].encode()
        self._issuer = issuer
        self._notes = notes
        self._keys = keys
        self._clock = clock
        self._log = log
        self._licences = LicenceCache(size_max=100)

    def is_for(self, mailbox: bytes) -> bool:
        """Whether a mailbox, as received, is the mirror's, with whatever tag."""
        if mailbox[: len(self._beginning)].lower() != self._beginning and mailbox[:1] != b'"':
            return False  # nearly all mail, which should not wait for more
        recipient = canonical_or_none(mailbox)
        return recipient is not None and token_of(recipient, self._mailbox) is not None

    async def take(self, letter: Letter, envelope: Envelope) -> MirrorAnswer:
        """Judge a letter to the mirror alone, keep what was found, and answer as a gate would. Raises `Unavailable`."""
        recipient, now = canonical_or_none(envelope.recipients[0]), self._clock()
        token = token_of(recipient, self._mailbox) if recipient is not None else None
        if recipient is None or not token or not TOKEN.fullmatch(token):
            return NoProbe()
        if not await self._notes.is_open(token, now=now):
            return NoProbe()
        reason, arrival = await self._look(letter, envelope, recipient, now)
        if not await self._notes.add(token, msgspec.json.encode(arrival), now=now):
            return NoProbe()
        self._log.info(
            "mirror.arrived", source=envelope.source_ip, reason=reason.value, altered=arrival.altered, bytes=letter.size
        )
        if reason.kind is Kind.PAID:
            return Mirrored()
        if reason.kind is Kind.DUE:
            return Due(0, reason, altered=tuple(arrival.altered) if reason in ABOUT_ALTERATION else ())
        return Later(reason)

    async def _look(self, letter: Letter, envelope: Envelope, recipient: Recipient, now: int) -> tuple[Reason, Arrival]:
        found = await self.authenticator.authenticate(letter, envelope)
        proof = proof_by(found, letter.header)
        parts = signed_parts(letter.header, letter.body_hash)
        [candidates] = find_candidates(letter.header, [recipient])
        judged = [self._judged(stamp, alteration(stamp, parts), recipient, now, proof) for stamp in candidates.stamps]
        first = judged[0] if judged else None
        best = next((one for one in judged if one.verdict.reason.kind is Kind.PAID), first)
        reason = best.verdict.reason if best is not None else candidates.otherwise
        row = best.verdict.row if best is not None else None
        altered = best.found.altered if best is not None else ()
        has_same_core = best is None or best.found.has_same_core
        advice = path_advice(reason, altered, row, has_same_core=has_same_core)
        raw = letter.header.raw
        return reason, Arrival(
            at=datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z"),
            source=envelope.source_ip,
            helo=envelope.helo[:_TEXT_CHARACTERS_MAX],
            host=envelope.client_name[:_TEXT_CHARACTERS_MAX],
            size=letter.size,
            verdict=reason.kind.value,
            reason=reason.value,
            sentence=reason.sentence,
            row=row.value if row is not None else "",
            strict=(best.strict if best is not None else reason).value,
            altered=list(altered),
            stamp=_stamps_seen(letter.header),
            proven=proof.value,
            proofs=[_told(one) for one in found.findings[:_PROOFS_MAX]],
            advice=[Advice(about, text) for about, text in advice],
            header=raw[:HEADER_OCTETS_KEPT].decode("latin-1"),
            is_header_cut=len(raw) > HEADER_OCTETS_KEPT,
            body_hash=encode_base64(letter.body_hash).decode(),
        )

    def _judged(self, stamp: Stamp, found: Alteration, recipient: Recipient, now: int, proof: Proof) -> "_Judged":
        usual, strict = (
            judge_parsed(
                stamp,
                found=found,
                recipients=[recipient],
                issuers={self._issuer: self._keys(stamp.licence.selector)},
                now=now,
                price=1,
                licences=self._licences,
                proof=proof,
                is_strict=is_strict,
            )
            for is_strict in (False, True)
        )
        return _Judged(found, usual, strict.reason)


class _Judged(NamedTuple):
    """One stamp, and what a gate says of it; also a strict one."""

    found: Alteration
    verdict: Verdict
    strict: Reason


def _told(finding: Finding) -> str:
    properties = " ".join(f"{name}={value[:_TEXT_CHARACTERS_MAX]}" for name, value in finding.properties)
    return f"{finding.method}={finding.result} {properties}".rstrip()


def _stamps_seen(header: HeaderSection) -> StampsSeen:
    fields = header.named(STAMP_FIELD.lower())
    stamps = 0
    for field in fields[:_STAMPS_COUNTED_MAX]:
        try:
            stamps += len(list(split_field(field.value)))
        except MalformedStamp:
            stamps += 1
    form = "" if not fields else "folded" if b"\n" in fields[0].value else "one-line"
    return StampsSeen(len(fields), stamps, form)

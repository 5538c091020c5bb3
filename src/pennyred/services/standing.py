"""Where each recipient of a letter stands: exempt by a rule, payable by stamps that hold offline, or due.

All that can be said without asking an office, a ledger or the allowances. Cheapest question first: a recipient with an
exempt rule never costs a signature check.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pennyred.postage.address import Recipient
from pennyred.postage.candidates import find_candidates
from pennyred.postage.digest import header_hash, letter_hash
from pennyred.postage.letter import PASS_FIELD, Field
from pennyred.postage.passes import Passes
from pennyred.postage.policy import (
    Allowances,
    Exemptions,
    Mode,
    canonical_or_none,
    exempt_rule,
    is_surely_due,
    parse_source,
    source_networks,
    source_rule,
)
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.stamp import Stamp
from pennyred.postage.verdict import LicenceCache, judge_parsed
from pennyred.services.letterbox import Envelope, Letter

SECONDS_PER_DAY = 86_400

BAD = frozenset((Reason.BAD_SIGNATURE, Reason.BAD_LICENCE, Reason.MALFORMED))
"""What counts as a bad stamp: what costs a check of a signature for nothing, and what is no stamp at all.

Not what happens to honest letters: those too late or too early, paid too little, made out to somebody else, altered
on the way (mailing lists do that), or of a version, or an office, that only others know.
"""


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What a gate asks of a letter: the administrator's settings in the core's own types."""

    hostname: str
    issuers: Mapping[str, Mapping[str, bytes]]
    """The post offices whose stamps count, each with its public keys by selector."""
    mode: Mode = Mode.REQUIRE
    price: int = 1
    """Stamps a recipient."""
    exemptions: Exemptions = field(default_factory=Exemptions)
    allowances: Allowances = field(default_factory=Allowances)
    strict_body: bool = False
    """Whether a stamp counts for nothing once the body was altered; else it counts and is marked."""
    pass_key: bytes | None = None
    """The key all gates of one receiver share; None: this gate has no sisters."""
    lease_seconds: int = 1320
    upstream_timeout_seconds: int = 600


@dataclass(slots=True)
class Standing:
    """One envelope recipient while its letter is judged. `reason` is the answer so far."""

    index: int
    recipient: Recipient | None
    letter_hash: bytes
    """Names this recipient: what a hold, a settlement and a pass are bound to."""
    reason: Reason
    stamps: list[tuple[Stamp, Reason]] = field(default_factory=list)
    """Those that hold offline, with what to call the recipient once it is paid by one."""
    paid_by: Stamp | None = None

    @property
    def is_due(self) -> bool:
        """Whether this recipient, as it stands, refuses the letter."""
        return self.reason.kind is Kind.DUE and not self.stamps


@dataclass(frozen=True, slots=True)
class Judgement:
    """A letter as judged offline."""

    standings: tuple[Standing, ...]
    networks: tuple[str, ...]
    """The names its source is counted under; none where the source is not known."""
    passes: frozenset[Field]
    """Pass fields of the letter that verify; all others are stripped."""
    bad_stamps: int = 0
    """How many stamps were judged that nobody makes by mistake."""


def judge(letter: Letter, envelope: Envelope, policy: GatePolicy, licences: LicenceCache, *, now: int) -> Judgement:
    """Judge every recipient offline: by rule, by pass, by the stamps made out to it."""
    source = parse_source(envelope.source_ip)
    sender = canonical_or_none(envelope.sender) if envelope.sender else None
    recipients = [canonical_or_none(mailbox) for mailbox in envelope.recipients]
    candidates = find_candidates(letter.header, recipients)
    hashed = header_hash(letter.header)
    passes = _passes(letter, policy, now)
    valid_passes: set[Field] = set()
    standings = []
    bad = 0
    for index, (recipient, offered) in enumerate(zip(recipients, candidates, strict=True)):
        bound = letter_hash(hashed, letter.body_hash, recipient) if recipient else b""
        standing = Standing(index, recipient, bound, offered.otherwise)
        standings.append(standing)
        if recipient is None:
            continue
        rule = exempt_rule(policy.exemptions, recipient, sender, source)
        own_passes = passes.holding(bound) if passes else []
        valid_passes.update(own_passes)
        if rule or own_passes:
            standing.reason = rule or Reason.PASS
            continue
        for stamp in offered.stamps:
            verdict = judge_parsed(
                stamp,
                header=letter.header,
                header_hash=hashed,
                body_hash=letter.body_hash,
                recipients=(recipient,),
                issuers=policy.issuers,
                now=now,
                price=policy.price,
                licences=licences,
                strict_body=policy.strict_body,
            )
            standing.reason = verdict.reason
            bad += verdict.reason in BAD
            # An expired stamp that holds otherwise may have paid this very letter before: the office knows.
            if verdict.reason.kind is Kind.PAID or verdict.reason is Reason.EXPIRED:
                standing.stamps.append((stamp, verdict.reason))
        if standing.stamps:
            standing.reason = standing.stamps[0][1]
    networks = source_networks(source) if envelope.source_known else ()
    # Fields that are no stamps were read once for all recipients, and none at all for those who are free.
    bad += any(one.reason is Reason.MALFORMED for one in standings)
    return Judgement(tuple(standings), networks, frozenset(valid_passes), bad)


def free_recipients(policy: GatePolicy, sender: bytes, source_ip: str) -> Callable[[bytes], bool] | None:
    """See `letterbox.GateDesk.free_recipients`."""
    if policy.mode is Mode.MONITOR:
        return None
    source, claimed = parse_source(source_ip), canonical_or_none(sender) if sender else None
    rules = policy.exemptions
    if source_rule(rules, claimed, source) is not None:
        return None

    def is_free(mailbox: bytes) -> bool:
        if is_surely_due(rules, mailbox):
            return False
        recipient = canonical_or_none(mailbox)
        return recipient is not None and exempt_rule(rules, recipient, claimed, source) is not None

    return is_free


def _passes(letter: Letter, policy: GatePolicy, now: int) -> Passes | None:
    fields = letter.header.named(PASS_FIELD.lower())
    if policy.pass_key is None or not fields:
        return None
    return Passes(policy.pass_key, fields, now // SECONDS_PER_DAY)

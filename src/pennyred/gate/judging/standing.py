"""Where each recipient of a letter stands: exempt by a rule, payable by stamps that hold offline, or due.

All that can be said without asking an office, a ledger, the state or the DNS. Cheapest question first: a recipient with
an exempt rule never costs a signature check.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pennyred.gate.issuers.keyring import ALL_DECIDED, Prepared, Selector
from pennyred.gate.judging.bad_stamps import NOBODY_KNOWN, Barring
from pennyred.gate.judging.stamps import Examiner, Found, Offer, flaw_of, selector_of
from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.policy import GatePolicy
from pennyred.gate.rules.exemptions import (
    Mode,
    canonical_or_none,
    counted_sources,
    exempt_rule,
    is_surely_due,
    source_rule,
)
from pennyred.gate.rules.origin import UNPROVEN, Authentication
from pennyred.gate.rules.passes import Passes
from pennyred.gate.rules.permitaddress import PREFIX, is_tag_for
from pennyred.gate.rules.reports import looks_automatic
from pennyred.postage.address import Recipient
from pennyred.postage.candidates import Candidates, find_candidates
from pennyred.postage.digest import header_hash, letter_hash
from pennyred.postage.letter import PASS_FIELD, Field
from pennyred.postage.networks import parse_source, source_networks
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.stamp import Stamp
from pennyred.postage.verification import LicenceCache

SECONDS_PER_DAY = 86_400
_TAG = PREFIX.encode()


@dataclass(slots=True)
class Standing:
    """One envelope recipient while its letter is judged. `reason` is the answer so far."""

    index: int
    recipient: Recipient | None
    letter_hash: bytes
    """Names this recipient: what a hold, a settlement and a pass are bound to."""
    reason: Reason
    mode: Mode = Mode.REQUIRE
    price: int = 1
    names: tuple[Recipient, ...] = ()
    """The recipient and its aliases: whom a stamp may be made out to."""
    offered: tuple[Stamp, ...] = ()
    """Stamps made out to one of them, not yet judged."""
    otherwise: Reason = Reason.NO_STAMP
    """What it is told where there are none."""
    stamps: list[Offer] = field(default_factory=list)
    """Those to ask an office about: that hold offline, with what to call the recipient once it is paid by one; and
    behind them those that can only have paid this very letter before (`offered.flaw_of`)."""
    paid_by: Stamp | None = None
    seen: Reason | None = None
    """What its stamp is, where that is only written down: of a forwarded letter."""
    doubt: Reason | None = None
    """Why it is not known whether a rule makes it free: the DNS, or the state, does not answer."""
    is_over_allowance: bool | None = None
    """Whether mode "bulk" would refuse it; None where that was not counted."""
    is_counted: bool = False
    """Whether a place in an allowance was taken for it: it came free, but not for nothing."""
    went_through: bool = False
    """Whether it bears a pass of the kind that has ended: a gate of ours has had it, whatever it was worth there."""

    @property
    def has_good_stamp(self) -> bool:
        """Whether there is a stamp to pay with."""
        return any(flaw_of(reason) is None for _, reason in self.stamps)

    @property
    def has_flawed_stamp(self) -> bool:
        """Whether there is one that may have paid this very letter before, and can do nothing else."""
        return bool(self.stamps) and flaw_of(self.stamps[-1][1]) is not None

    @property
    def is_watched(self) -> bool:
        """Whether it is only written down what would become of it."""
        return self.mode is Mode.MONITOR

    @property
    def deserves_pass(self) -> bool:
        """Whether a sister gate is to let it through by our word: a stamp is held for it, or it was counted.

        One that is let through by a pass keeps that.
        """
        return bool(self.letter_hash) and not self.is_watched and (self.paid_by is not None or self.is_counted)

    @property
    def is_open(self) -> bool:
        """Whether no rule lets the letter in free for it, so far."""
        return self.reason.kind is not Kind.EXEMPT

    @property
    def is_due(self) -> bool:
        """Whether this recipient, as it stands, refuses the letter."""
        return self.reason.kind is Kind.DUE and not self.stamps and not self.is_watched


@dataclass(slots=True)
class Judgement:
    """A letter as judged so far."""

    standings: tuple[Standing, ...]
    networks: tuple[str, ...]
    """The names its source is counted under; none where the source is not known."""
    passes: frozenset[Field]
    """Pass fields of the letter that verify; all others are stripped."""
    header_hash: bytes
    is_answer: bool = False
    """Whether it comes from `<>` and looks like what should: a report, an automatic answer."""
    bad_stamps: int = 0
    """How many stamps were judged that nobody makes by mistake."""
    authentication: Authentication = UNPROVEN

    @property
    def doubt_of_origin(self) -> Reason | None:
        """Why more may be proven of its origin another time, if that is so: the DNS does not answer."""
        proven = self.authentication
        return Reason.DNS_UNAVAILABLE if proven.is_unsure and not proven.is_final else None

    @property
    def sources(self) -> tuple[str, ...]:
        """Under which names a sender's own allowance is counted."""
        proven = self.authentication
        return counted_sources(proven.organisation, proven.sending_organisation, self.networks)


def begin(letter: Letter, envelope: Envelope, policy: GatePolicy, *, now: int) -> Judgement:
    """Judge by rules that ask nobody, and by passes; find the stamps that may pay for the others."""
    source = parse_source(envelope.source_ip)
    sender = canonical_or_none(envelope.sender) if envelope.sender else None
    recipients = [canonical_or_none(mailbox) for mailbox in envelope.recipients]
    hashed = header_hash(letter.header)
    passes = _passes(letter, policy, now)
    valid_passes: set[Field] = set()
    names = [policy.aliases.names_of(recipient) if recipient else () for recipient in recipients]
    standings = []
    for index, (recipient, offered) in enumerate(
        zip(recipients, find_candidates(letter.header, recipients, names), strict=True)
    ):
        standing = _standing(index, recipient, offered, policy)
        standings.append(standing)
        if recipient is None:
            continue
        standing.names = names[index]
        standing.letter_hash = letter_hash(hashed, letter.body_hash, recipient)
        own_passes = passes.holding(standing.letter_hash) if passes else []
        valid_passes.update(own_passes)
        standing.went_through = passes is not None and not own_passes and passes.has_ended_one(standing.letter_hash)
        rules = policy.recipients.of(recipient).exemptions
        rule = (
            exempt_rule(policy.exemptions, recipient, sender, source)
            or (exempt_rule(rules, recipient, sender, source) if rules else None)
            or _tag_rule(policy, recipient, now)
        )
        if rule or own_passes:
            standing.reason = rule or Reason.PASS
    networks = source_networks(source) if envelope.source_known else ()
    is_answer = not envelope.sender and looks_automatic(letter.header)
    return Judgement(tuple(standings), networks, frozenset(valid_passes), hashed, is_answer)


def stamps_to_judge(judgement: Judgement) -> list[Stamp]:
    """Those that `judge_stamps` will look at."""
    return [stamp for standing in judgement.standings if _has_to_pay(standing) for stamp in standing.offered]


def judge_stamps(
    judgement: Judgement,
    letter: Letter,
    policy: GatePolicy,
    licences: LicenceCache,
    *,
    now: int,
    keys: Prepared = ALL_DECIDED,
    barring: Barring | None = None,
) -> None:
    """Judge the stamps of those who are not free; of forwarded letters only to write down what they are.

    What depends on keys of which nobody can say just now whether they count is "later". Whoever has DNS asked for one
    that is not there has brought a bad stamp all the same, once: such names cost nothing to invent. `barring` says what
    is looked at of a source that has brought bad ones, and is told of those of this letter.
    """
    barring = barring or Barring(policy, licences)
    is_garbled = False
    unpublished: frozenset[Selector] = frozenset()
    examiner = Examiner(letter, judgement.header_hash, policy, licences, now, barring, keys.undecided)
    forgiving: Examiner | None = None
    for standing in judgement.standings:
        if not _has_to_pay(standing):
            continue
        if standing.reason is Reason.FORWARDER:  # who is not held to account for what others have put into its letters
            forgiving = forgiving or replace(examiner, barring=Barring(policy, licences))
            standing.seen = _examined(standing, forgiving).reason
            continue
        found = _examined(standing, examiner)
        if found.is_undecided and not found.good:
            standing.doubt = Reason.OFFICE_UNREACHABLE
        if found.is_barred and not found.good:
            standing.doubt = Reason.TOO_MANY_BAD_STAMPS
        if keys.unpublished:
            unpublished |= keys.unpublished & {selector_of(stamp) for stamp in standing.offered}
        standing.stamps = found.good + found.flawed
        standing.reason = found.reason
        is_garbled |= standing.reason is Reason.MALFORMED
    if is_garbled and barring.is_barred(NOBODY_KNOWN):
        for standing in judgement.standings:
            if standing.reason is Reason.MALFORMED:
                standing.doubt = Reason.TOO_MANY_BAD_STAMPS
    # Fields that are no stamps were read once for all recipients, and none at all for those who are free.
    barring.note(NOBODY_KNOWN, is_garbled + len(unpublished))
    judgement.bad_stamps = sum(barring.own.values())


def _examined(standing: Standing, examiner: Examiner) -> Found:
    return examiner.examine(standing.offered, standing.names, standing.price, standing.otherwise)


def judge(letter: Letter, envelope: Envelope, policy: GatePolicy, licences: LicenceCache, *, now: int) -> Judgement:
    """All that can be judged without asking anybody."""
    judgement = begin(letter, envelope, policy, now=now)
    judge_stamps(judgement, letter, policy, licences, now=now)
    return judgement


def free_recipients(policy: GatePolicy, sender: bytes, source_ip: str, now: int) -> Callable[[bytes], bool] | None:
    """What tells mailboxes that are free by a rule that asks nobody; None where there is no such difference."""
    rules = policy.recipients
    if policy.mode is Mode.MONITOR and not rules.rules:
        return None
    source, claimed = parse_source(source_ip), canonical_or_none(sender) if sender else None
    if source_rule(policy.exemptions, claimed, source) is not None:
        return None

    def is_free(mailbox: bytes) -> bool:
        if not rules.rules and _TAG not in mailbox.lower() and is_surely_due(policy.exemptions, mailbox):
            return False
        recipient = canonical_or_none(mailbox)
        if recipient is None:
            return policy.mode is Mode.MONITOR
        own = rules.of(recipient)
        return (
            (own.mode or policy.mode) is Mode.MONITOR
            or exempt_rule(policy.exemptions, recipient, claimed, source) is not None
            or (own.exemptions is not None and exempt_rule(own.exemptions, recipient, claimed, source) is not None)
            or _tag_rule(policy, recipient, now) is not None
        )

    return is_free


def _has_to_pay(standing: Standing) -> bool:
    is_forwarded = standing.reason is Reason.FORWARDER
    return standing.recipient is not None and (standing.is_open or is_forwarded)


def _standing(index: int, recipient: Recipient | None, offered: Candidates, policy: GatePolicy) -> Standing:
    standing = Standing(index, recipient, b"", offered.otherwise, policy.mode, policy.price)
    standing.offered, standing.otherwise = offered.stamps, offered.otherwise
    if recipient is not None and policy.recipients.rules:
        rule = policy.recipients.of(recipient)
        standing.mode = rule.mode or policy.mode
        standing.price = policy.price if rule.price is None else rule.price
    return standing


def _tag_rule(policy: GatePolicy, recipient: Recipient, now: int) -> Reason | None:
    """A mailbox that carries its own permission, made for whoever writes."""
    if policy.pass_key is None:
        return None
    is_permitted = is_tag_for(policy.pass_key, recipient, policy.recipients.delimiter, now // SECONDS_PER_DAY)
    return Reason.LIST if is_permitted else None


def _passes(letter: Letter, policy: GatePolicy, now: int) -> Passes | None:
    fields = letter.header.named(PASS_FIELD.lower())
    if policy.pass_key is None or not fields:
        return None
    return Passes(policy.pass_key, fields, now // SECONDS_PER_DAY)

"""Where each recipient of a letter stands: exempt by a rule, payable by stamps that hold offline, or due.

This is all that can be said without asking an office, a ledger, the state or the DNS. The cheapest question comes
first: a recipient with an exempt rule never costs a signature check.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from pennyred.days import utc_day
from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.policy import GatePolicy
from pennyred.gate.rules.exemptions import (
    Mode,
    canonical_or_none,
    exempt_rule,
    is_surely_due,
    source_rule,
)
from pennyred.gate.rules.origin import UNPROVEN, Authentication
from pennyred.gate.rules.passes import Passes
from pennyred.gate.rules.permitaddress import PREFIX, is_tag_for
from pennyred.gate.rules.reports import looks_automatic
from pennyred.postage.address import Recipient
from pennyred.postage.candidates import find_candidates
from pennyred.postage.digest import SignedParts, letter_hash, signed_parts
from pennyred.postage.letter import PASS_FIELD, Field
from pennyred.postage.networks import Address, parse_source, source_networks
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.stamp import Stamp
from pennyred.postage.verification import Verdict

_TAG = PREFIX.encode()
ABOUT_ALTERATION = frozenset((Reason.STAMPED_MODIFIED, Reason.ALTERED_HEADERS, Reason.ALTERED_BODY))
"""The reasons with which it is told what was altered on the letter's way."""


def flaw_of(reason: Reason) -> Reason | None:
    """What is wrong with a stamp that may only be asked about, as it may have paid this very letter before.

    None for a stamp that may be held anew. One that has expired by this gate's clock may be: the office goes by its own
    clock.
    """
    return reason if reason.kind is Kind.DUE and reason is not Reason.EXPIRED else None


class Ruling(Struct):
    """What one phase of judging has found out about one recipient. None means that it says nothing. See `Standing`."""

    index: int
    reason: Reason | None = None
    doubt: Reason | None = None
    stamps: tuple[Verdict, ...] | None = None
    verdict: Verdict | None = None
    paid_by: Stamp | None = None
    names: tuple[Recipient, ...] | None = None
    seen: Reason | None = None
    is_counted: bool = False
    is_over_allowance: bool | None = None
    delivered_at: int | None = None


class Standing(Struct):
    """One envelope recipient while its letter is judged. `reason` is the answer so far. See `Judgement.rule`."""

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
    """The reason where there are none."""
    stamps: tuple[Verdict, ...] = ()
    """The stamps to ask an office about. First those that hold offline, each with the recipient's reason once it has
    paid. Then those that can only have paid this very letter before, each with its flaw (`flaw_of`)."""
    verdict: Verdict | None = None
    """What was found out about the stamp that the reason is about: what was altered on its letter's way."""
    paid_by: Stamp | None = None
    seen: Reason | None = None
    """What was found out about its stamp, where that is only written down: for a forwarded letter."""
    doubt: Reason | None = None
    """Why it is not known whether a rule makes it free: the DNS, or the state, does not answer."""
    is_over_allowance: bool | None = None
    """Whether mode "bulk" would refuse it; None where that was not counted."""
    is_counted: bool = False
    """Whether a place in an allowance was taken for it."""
    delivered_at: int | None = None
    """When it has had this text before, by a stamp that this letter bears; seconds since 1970-01-01 UTC."""
    went_through: bool = False
    """Whether it bears a pass of the former kind: a gate of ours has had it, whether it was paid for there or not."""

    @property
    def has_good_stamp(self) -> bool:
        """Whether there is a stamp to pay with."""
        return any(flaw_of(one.reason) is None for one in self.stamps)

    @property
    def has_flawed_stamp(self) -> bool:
        """Whether there is a stamp that cannot pay, but may have paid this very letter before."""
        return bool(self.stamps) and flaw_of(self.stamps[-1].reason) is not None

    @property
    def altered(self) -> tuple[str, ...]:
        """What was altered on the letter's way, where the reason is about that."""
        return self.verdict.altered if self.verdict is not None and self.reason in ABOUT_ALTERATION else ()

    @property
    def is_watched(self) -> bool:
        """Whether nothing is refused to it, and it is only written down what would have been (mode "monitor")."""
        return self.mode is Mode.MONITOR

    @property
    def deserves_pass(self) -> bool:
        """Whether the letter gets a pass, by which a sister gate lets it through: a stamp is held for it, or it was
        counted.

        A recipient that was let through by a pass keeps that pass.
        """
        return bool(self.letter_hash) and not self.is_watched and (self.paid_by is not None or self.is_counted)

    @property
    def is_open(self) -> bool:
        """Whether no rule lets the letter in free for it, so far."""
        return self.reason.kind is not Kind.EXEMPT

    @property
    def is_due(self) -> bool:
        """Whether this recipient, as it stands, refuses the letter."""
        return self.reason.kind in (Kind.DUE, Kind.LATER) and not self.stamps and not self.is_watched


class Judgement(Struct):
    """A letter as judged so far."""

    standings: tuple[Standing, ...]
    networks: tuple[str, ...]
    """The names its source is counted under; none where the source is not known."""
    passes: frozenset[Field]
    """Pass fields of the letter that verify; all others are stripped."""
    parts: SignedParts
    """What stamps sign of the letter, as it was received."""
    is_answer: bool
    """Whether it comes from `<>` and looks like what should: a report, an automatic answer."""
    source: Address
    """Where it comes from."""
    sender: Recipient | None
    """Its MAIL FROM; None for `<>`, and where it has no canonical form."""
    authentication: Authentication = UNPROVEN

    def rule(self, rulings: Sequence[Ruling]) -> None:
        """Write down what a phase has found out: nothing else changes a standing.

        The later word counts, so the order in which the phases are asked is the precedence of what they say.
        """
        for one in rulings:
            standing = self.standings[one.index]
            standing.reason = one.reason or standing.reason
            standing.doubt = one.doubt or standing.doubt
            standing.stamps = standing.stamps if one.stamps is None else one.stamps
            standing.verdict = one.verdict or standing.verdict
            standing.paid_by = one.paid_by or standing.paid_by
            standing.names = one.names or standing.names
            standing.seen = one.seen or standing.seen
            standing.delivered_at = one.delivered_at or standing.delivered_at
            standing.is_counted |= one.is_counted
            if one.is_over_allowance is not None:
                standing.is_over_allowance = one.is_over_allowance


def begin(letter: Letter, envelope: Envelope, policy: GatePolicy, *, now: int) -> Judgement:
    """Judge by rules that ask nobody, and by passes; find the stamps that may pay for the others."""
    source = parse_source(envelope.source_ip)
    sender = canonical_or_none(envelope.sender) if envelope.sender else None
    recipients = [canonical_or_none(mailbox) for mailbox in envelope.recipients]
    parts = signed_parts(letter.header, letter.body_hash, policy.subject_tags)
    passes = _passes(letter, policy, now)
    valid_passes: set[Field] = set()
    names = [policy.aliases.names_of(recipient) if recipient else () for recipient in recipients]
    standings = []
    offers = find_candidates(letter.header, recipients, names)
    for index, (recipient, offered) in enumerate(zip(recipients, offers, strict=True)):
        reason = offered.otherwise
        if recipient is None:
            standings.append(Standing(index, None, b"", reason, policy.mode, policy.price, otherwise=reason))
            continue
        own = policy.recipients.of(recipient)
        rule = (
            exempt_rule(policy.exemptions, recipient, sender, source)
            or (exempt_rule(own.exemptions, recipient, sender, source) if own.exemptions else None)
            or (_tag_rule(policy, recipient, now) if policy.pass_key is not None else None)
        )
        named = letter_hash(parts, recipient)
        own_passes = passes.holding(named) if passes else []
        valid_passes.update(own_passes)
        standings.append(
            Standing(
                index,
                recipient,
                named,
                rule or (Reason.PASS if own_passes else reason),
                own.mode or policy.mode,
                policy.price if own.price is None else own.price,
                names[index],
                offered.stamps,
                reason,
                went_through=passes is not None and not own_passes and passes.has_ended_one(named),
            )
        )
    networks = source_networks(source) if envelope.source_known else ()
    is_answer = not envelope.sender and looks_automatic(letter.header)
    return Judgement(tuple(standings), networks, frozenset(valid_passes), parts, is_answer, source, sender)


def is_watching_all(policy: GatePolicy, envelope: Envelope) -> bool:
    """Whether nobody among the recipients is in a mode that may refuse."""
    if not policy.recipients.rules:
        return policy.mode is Mode.MONITOR
    recipients = [canonical_or_none(mailbox) for mailbox in envelope.recipients]
    own = [policy.recipients.of(recipient).mode if recipient else None for recipient in recipients]
    return all((mode or policy.mode) is Mode.MONITOR for mode in own)


def free_recipients(policy: GatePolicy, sender: bytes, source_ip: str, now: int) -> Callable[[bytes], bool] | None:
    """A function that tells whether a mailbox is free by a rule that asks nobody.

    None where it would say the same of every mailbox.
    """
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


def _tag_rule(policy: GatePolicy, recipient: Recipient, now: int) -> Reason | None:
    """The rule for a mailbox whose own address carries a permission for anybody who writes to it."""
    if policy.pass_key is None:
        return None
    is_permitted = is_tag_for(policy.pass_key, recipient, policy.recipients.delimiter, utc_day(now))
    return Reason.LIST if is_permitted else None


def _passes(letter: Letter, policy: GatePolicy, now: int) -> Passes | None:
    if policy.pass_key is None:
        return None
    fields = letter.header.named(PASS_FIELD.lower())
    return Passes(policy.pass_key, fields, utc_day(now)) if fields else None

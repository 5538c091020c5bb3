"""Who wants a letter: correspondents, replies, permits, expected mail, exempt senders and forwarders.

What our users have written down is nobody else's business. So neither the answer, nor its time, nor what is asked on
the way may depend on it, unless the sender is who the rule is about:

- The state is asked once, whatever it knows of the letter; or by no letter, while it knows nobody and nothing was
  written since. A stamped letter whose every claim is proven is asked about only where perhaps something stands there:
  its sender is who that would be about.
- The DNS is asked for every letter that no rule lets in by its network, or for none: where any rule may depend on who
  the sender is, and not where one does.
- Where the DNS does not answer, the letter is for later if that could have proven anything a rule may ask for, be there
  such a rule or not.

Nothing here refuses a letter or keeps one from being paid for by a stamp: where state or DNS does not answer,
recipients are in doubt.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from pennyred.days import utc_day
from pennyred.gate.judging.allowances import TakenAllowances
from pennyred.gate.judging.standing import Judgement, Ruling, Standing
from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.policy import Check, GatePolicy
from pennyred.gate.ports import Authenticator, GrantBook
from pennyred.gate.rules.claims import Claims, read_claims
from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.grants import (
    ANYBODY,
    Grant,
    holds,
    holds_by_network,
    is_proven_throughout,
    parents,
    sender_grants,
    users_of,
)
from pennyred.gate.rules.origin import UNPROVEN, Authentication
from pennyred.gate.rules.permitaddress import has_tag, is_tag_for
from pennyred.gate.rules.reports import BEGINNING_BYTES, read_report
from pennyred.postage.address import Recipient
from pennyred.postage.errors import Unavailable
from pennyred.postage.networks import Address, Network
from pennyred.postage.reasons import Reason


class GrantSearch(Struct):
    """One letter's search for a reason to let it in free. `used` names the counted uses that it has taken."""

    book: GrantBook
    authenticator: Authenticator
    policy: GatePolicy
    letter: Letter
    envelope: Envelope
    taken: TakenAllowances
    now: int
    used: list[bytes] = field(default_factory=list)

    async def look(self, judgement: Judgement) -> tuple[Authentication, list[Ruling]]:
        """What is proven of the sender, as far as that matters, and which recipients a rule makes or may make free."""
        unsettled = [one for one in judgement.standings if one.is_open and one.recipient is not None]
        if not unsettled and self.policy.check is not Check.ALWAYS:
            return UNPROVEN, []
        if self.book.is_empty and not self._has_settings():
            # Alike for every letter, so it tells nothing about one.
            return await self._origin_to_count(unsettled, judgement), []
        claims, source = self._claims(judgement.sender), judgement.source
        is_patient = self._may_be_spared(unsettled, claims, source)
        offers, silent = ([], None) if is_patient or not unsettled else await self._offers(unsettled, claims)
        rulings, left = _by_network(offers, source, silent)
        is_vital = is_patient or self._may_hang_on_origin(left)
        if is_vital:
            proven = await self.authenticator.authenticate(self.letter, self.envelope, is_vital=True)
        else:
            proven = await self._origin_to_count([standing for standing, _ in left], judgement)
        if is_patient:
            offers, silent = await self._offers(unsettled, claims, proven)
            rulings, left = _by_network(offers, source, silent)
        for standing, grants in left:
            held = [grant for grant in grants if holds(grant, claims, proven, source)]
            grant, doubt = await self._take(held, proven) if held else (None, None)
            doubt = doubt or silent
            if grant is not None:
                rulings.append(Ruling(standing.index, grant.reason, doubt, is_counted=grant.is_counted))
            elif doubt := (proven.doubt if is_vital else None) or doubt:
                rulings.append(Ruling(standing.index, doubt=doubt))
        return proven, rulings

    async def give_back(self) -> None:
        """Uncount what was taken. Where the state does not answer, it stays counted: one free reply fewer at worst."""
        used, self.used = self.used, []
        if used:
            try:
                await self.book.give_back(used)
            except Unavailable:
                return

    def _claims(self, sender: Recipient | None) -> Claims:
        """What the letter says of itself; of one from `<>` also what it is about."""
        header = self.letter.header
        if self.envelope.sender:
            return read_claims(header, sender)
        named = read_report(_beginning(self.letter))
        claims = read_claims(header, None)
        return claims._replace(is_null=True, returned=named.letters, reported=named.recipients)

    def _may_be_spared(self, standings: Sequence[Standing], claims: Claims, source: Address) -> bool:
        """Whether the state may be spared the question once it is known who the sender is; no row of it decides this.

        Only where every recipient has a stamp: before a letter is refused or counted, the state itself is asked.
        """
        is_possible = self.book.can_spare and self.policy.check is not Check.NEVER and not claims.is_null
        if not is_possible or not standings or not all(one.offered for one in standings):
            return False
        everybodys = self._everybodys_grants(claims)
        return not any(
            holds_by_network(grant, source)
            for standing in standings
            for grant in (*everybodys, *(self._own_grants(standing, claims) if self._has_own_rules else ()))
        )

    def _is_spared(self, users: Sequence[Sequence[str]], claims: Claims, proven: Authentication | None) -> bool:
        if proven is None or not is_proven_throughout(claims, proven):
            return False
        return self.book.knows_nothing(users, claims, proven.domains)

    async def _offers(
        self, standings: Sequence[Standing], claims: Claims, proven: Authentication | None = None
    ) -> tuple[list[tuple[Standing, list[Grant]]], Reason | None]:
        """The grants for each recipient, in the order of their reasons; and why some may be missing.

        Some may be missing where the state does not answer. It is not asked where all that the letter claims is
        `proven`, and surely nothing stands there of that. Else who can forge a name would measure who knows it.
        """
        silent: Reason | None = None
        noted: Sequence[Sequence[Grant]] = [()] * len(standings)
        users = [self._users(one) for one in standings]
        try:
            if not self._is_spared(users, claims, proven):
                noted = await self.book.grants(users, claims, now=self.now)
        except Unavailable:
            silent = Reason.STATE_UNAVAILABLE
        everybodys = self._everybodys_grants(claims)
        offers = []
        for standing, own in zip(standings, noted, strict=True):
            grants = [*everybodys, *own]
            if self._has_own_rules:
                grants += self._own_grants(standing, claims)
            grants.sort(key=_place)
            offers.append((standing, grants))
        return offers, silent

    def _everybodys_grants(self, claims: Claims) -> list[Grant]:
        """The grants that the settings have for every recipient."""
        policy = self.policy
        if not policy.exemptions.senders and not policy.forwarders:
            return []
        return [
            *sender_grants(Reason.SENDER, policy.exemptions.senders, claims),
            *sender_grants(Reason.FORWARDER, policy.forwarders, claims),
            *self._forwarding_networks(),
        ]

    @property
    def _has_own_rules(self) -> bool:
        """Whether the settings may have grants for single recipients."""
        return bool(self.policy.recipients.rules) or self.policy.pass_key is not None

    def _has_settings(self) -> bool:
        """Whether the settings may have grants for anybody."""
        return bool(self.policy.exemptions.senders or self.policy.forwarders) or self._has_own_rules

    def _users(self, standing: Standing) -> list[str]:
        """The names that rules of a recipient may stand under: its own, its aliases', its domain, and everybody's."""
        assert standing.recipient is not None
        delimiter = self.policy.recipients.delimiter
        own = [user for name in standing.names for user in users_of(name, delimiter)]
        return list(dict.fromkeys([*own, standing.recipient.domain, ANYBODY]))

    def _forwarding_networks(self) -> list[Grant]:
        """Grants for forwarders that do not rewrite MAIL FROM: their network is all that tells them."""
        networks: list[Network] = [one for networks in self.policy.forwarders.values() for one in networks]
        return [Grant(Reason.FORWARDER, networks=tuple(networks))] if networks else []

    def _own_grants(self, standing: Standing, claims: Claims) -> Iterable[Grant]:
        recipient = standing.recipient
        assert recipient is not None
        rules = self.policy.recipients.of(recipient).exemptions
        if rules is not None:
            yield from sender_grants(Reason.SENDER, rules.senders, claims)
        key, delimiter = self.policy.pass_key, self.policy.recipients.delimiter
        if key is not None and has_tag(recipient, delimiter):
            day = utc_day(self.now)
            claimed = [one.domain for one in claims.mailboxes] + list(claims.signers)
            for domain in dict.fromkeys(one for name in claimed for one in parents(name)):
                if is_tag_for(key, recipient, delimiter, day, domain):
                    yield Grant(Reason.LIST, domains=(domain,))

    def _may_hang_on_origin(self, offers: Sequence[tuple[Standing, Sequence[Grant]]]) -> bool:
        """Whether any rule could depend on who the sender is, for letters like this one.

        It must not depend on whether there is a rule for this very letter: the time of the answer would tell.
        """
        policy = self.policy
        if policy.check is Check.NEVER or not offers:
            return False
        return (
            self.book.is_in_use
            or bool(policy.exemptions.senders or policy.forwarders)
            or (self._has_own_rules and any(self._has_own_rule(standing) for standing, _ in offers))
        )

    def _has_own_rule(self, standing: Standing) -> bool:
        assert standing.recipient is not None
        recipients = self.policy.recipients
        rules = recipients.of(standing.recipient).exemptions
        is_tagged = self.policy.pass_key is not None and has_tag(standing.recipient, recipients.delimiter)
        return is_tagged or (rules is not None and bool(rules.senders))

    async def _origin_to_count(self, standings: Sequence[Standing], judgement: Judgement) -> Authentication:
        """What is proven of the sender, where only the counts need it."""
        if not self._is_origin_counted(standings, judgement):
            return UNPROVEN
        return await self.authenticator.authenticate(self.letter, self.envelope, is_vital=False)

    def _is_origin_counted(self, standings: Sequence[Standing], judgement: Judgement) -> bool:
        """Whether the sender has to be found out for the counts, or is found out for every letter."""
        if self.policy.check is not Check.NEEDED:
            return self.policy.check is Check.ALWAYS
        return any(
            # This allowance is counted under the domain, where one is proven. Answers from `<>` have another one.
            standing.mode is not Mode.REQUIRE and not standing.offered and not judgement.is_answer
            for standing in standings
        )

    async def _take(self, grants: Sequence[Grant], proven: Authentication) -> tuple[Grant | None, Reason | None]:
        """The first of these grants that is not used up, with its use counted; and a doubt.

        The doubt says that another one might have held: the state did not answer.
        """
        doubt: Reason | None = None
        for grant in grants:
            if not grant.is_counted:
                return grant, doubt
            try:
                if await self.taken.take_counted(grant, proven) and await self._use(grant):
                    return grant, doubt
            except Unavailable:
                doubt = Reason.STATE_UNAVAILABLE
        return None, doubt

    async def _use(self, grant: Grant) -> bool:
        """Count a use of the grant itself, where it has a counter. False where it is used up."""
        if not grant.counter:
            return True
        is_left = await self.book.use([grant.counter])
        if is_left:
            self.used.append(grant.counter)
        return is_left


def _by_network(
    offers: list[tuple[Standing, list[Grant]]], source: Address, silent: Reason | None
) -> tuple[list[Ruling], list[tuple[Standing, list[Grant]]]]:
    """Which recipients a grant lets in whoever the sender is; and the others, with their grants."""
    if not any(grants for _, grants in offers):
        return [], offers
    rulings, left = [], []
    for standing, grants in offers:
        # Grants with a counter come later: one that is proven and costs no use may hold.
        free = [one for one in grants if not one.is_counted and holds_by_network(one, source)]
        if free:
            rulings.append(Ruling(standing.index, free[0].reason, silent))
        else:
            left.append((standing, grants))
    return rulings, left


def _beginning(letter: Letter) -> bytes:
    gathered = b""
    for piece in letter.body():
        gathered += piece[: BEGINNING_BYTES - len(gathered)]
        if len(gathered) == BEGINNING_BYTES:
            break
    return gathered


def _place(grant: Grant) -> int:
    return _ORDER[grant.reason]


_ORDER = {reason: place for place, reason in enumerate(Reason)}

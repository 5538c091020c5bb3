"""What a letter takes of the free allowances, and gives back when it is not delivered.

It is counted before the letter goes on, so that no two deliveries at once can go over the limit. In mode "monitor"
nothing is given back: nothing is refused there, and the counts are only looked at.
"""

from collections.abc import Sequence
from dataclasses import replace

from msgspec import Struct, field

from pennyred.gate.judging.standing import Judgement, Ruling, Standing
from pennyred.gate.letterbox import Envelope
from pennyred.gate.ports import AllowanceBook
from pennyred.gate.rules.exemptions import (
    AllowanceClaim,
    Allowances,
    address_claims,
    answer_claims,
    bounce_claims,
    bulk_claims,
    counted_sources,
    pass_claims,
    reply_claims,
    window_claims,
)
from pennyred.gate.rules.grants import EXPECTED_PER_SOURCE_MAX, Grant
from pennyred.gate.rules.origin import Authentication
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Kind, Reason


class TakenAllowances(Struct):
    """The allowances taken for one letter; every method but `give_back` may raise `Unavailable`."""

    book: AllowanceBook
    limits: Allowances
    envelope: Envelope
    judgement: Judgement
    day: int
    claims: list[AllowanceClaim] = field(default_factory=list)

    async def take_bounce(self, standings: Sequence[Standing]) -> list[Ruling]:
        """A report or an automatic answer (RFC 5321 section 4.5.5) to one recipient is free within daily allowances.

        A letter from `<>` that does not look like one of these (`Judgement.is_answer`) is not to be asked about.
        """
        if len(standings) != 1:
            return []
        (standing,) = standings
        if standing.reason.kind is Kind.EXEMPT or standing.recipient is None:
            return []
        is_free = await self._take(bounce_claims(self.limits, standing.recipient, self.judgement.networks))
        return [_free(standing, Reason.BOUNCE)] if is_free else []

    async def take_counted(self, grant: Grant, proven: Authentication) -> bool:
        """Count a letter that comes free by a rule with a counter of its own against its source as well.

        Else whoever gathers many Message-IDs of ours would have free mail without end. False where the source has used
        up its allowance.
        """
        sources = self._sources(proven)
        match grant.reason:
            case Reason.REPLY:
                claims = reply_claims(self.limits, sources)
            case Reason.EXPECTED:
                is_vouched = bool(grant.domains)
                claims = window_claims(
                    self.limits, grant.counter, EXPECTED_PER_SOURCE_MAX, sources, is_vouched=is_vouched
                )
            case Reason.BOUNCE if grant.is_easily_guessed:
                claims = address_claims(self.limits, sources)
            case Reason.BOUNCE if grant.is_limited_by_source:
                claims = answer_claims(self.limits, sources)
            case _:
                claims = []
        return not claims or await self._take(claims)

    async def take_passes(self, bearers: Sequence[Standing]) -> bool:
        """Count the passes that a letter has come with for these; False where one has been used too often today."""
        return await self._take([claim for one in bearers for claim in pass_claims(one.letter_hash)])

    async def take_bulk(self, unstamped: Sequence[Standing]) -> list[Ruling]:
        """Unstamped recipients are free within the allowances of their source and sender: all of them or none.

        `<>` is counted like any other sender, for each source by itself: a sender could choose another name anyway.
        """
        is_free = await self._take(self._bulk_claims(len(unstamped)))
        if is_free:
            return [_free(one, Reason.ALLOWANCE, is_over_allowance=False) for one in unstamped]
        return [Ruling(one.index, is_over_allowance=True) for one in unstamped]

    async def watch_bulk(self, standings: Sequence[Standing]) -> list[Ruling]:
        """In mode "monitor": count what mode "bulk" would, apart from it, and note whether it would refuse."""
        unstamped = [one for one in standings if one.reason.kind is Kind.DUE and not one.has_good_stamp]
        if not unstamped:
            return []
        claims = [replace(claim, key=f"watched {claim.key}") for claim in self._bulk_claims(len(unstamped))]
        is_free = await self._take(claims)
        return [Ruling(one.index, is_over_allowance=not is_free) for one in unstamped]

    def _bulk_claims(self, recipients: int) -> list[AllowanceClaim]:
        sender = self.envelope.sender.decode("utf-8", "backslashreplace").lower()
        return bulk_claims(self.limits, sender, self._sources(self.judgement.authentication), recipients)

    def _sources(self, proven: Authentication) -> tuple[str, ...]:
        """The names under which a sender's own allowance is counted."""
        return counted_sources(proven.organisation, proven.sending_organisation, self.judgement.networks)

    async def give_back(self) -> None:
        """Uncount all of it. Where the state does not answer, the counts stay too high until the next day."""
        claims, self.claims = self.claims, []
        if not claims:
            return
        try:
            await self.book.give_back(self.day, claims)
        except Unavailable:
            return

    async def _take(self, claims: list[AllowanceClaim]) -> bool:
        taken = await self.book.take(self.day, claims)
        if taken:
            self.claims += claims
        return taken


def _free(standing: Standing, reason: Reason, *, is_over_allowance: bool | None = None) -> Ruling:
    return Ruling(standing.index, reason, stamps=(), is_counted=True, is_over_allowance=is_over_allowance)

"""What the verbs need from outside, as shapes: who answers is decided by `programs`.

Every method may raise `Unavailable`, which always means "later", and nothing else that is expected.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.exemptions import AllowanceClaim
from pennyred.gate.rules.grants import Grant
from pennyred.gate.rules.origin import Authentication
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome


class Redeemer(Protocol):
    """An office as a gate sees it: inside the same process or over the network, on behalf of one receiver.

    Each call takes a list and answers with a list of the same length and order. Every call may be repeated.
    """

    async def hold(self, holds: Sequence[Hold], *, lease_seconds: int) -> list[HoldAnswer]:
        """Reserve each stamp's price; holds of one group are held together or not at all."""
        ...

    async def settle(self, settles: Sequence[Settle]) -> list[SettleOutcome]:
        """Take what was held, or is paid by the stamp that comes with it. When this returns, it is durable."""
        ...

    async def void(self, voids: Sequence[Void]) -> list[VoidOutcome]:
        """Give back what was held under this tx."""
        ...


class AllowanceBook(Protocol):
    """The gate's counters of what came free: by UTC day, shared by all workers, surviving a restart."""

    async def take(self, day: int, claims: Sequence[AllowanceClaim]) -> bool:
        """Count all claims if each stays within its limit, else count none and answer False."""
        ...

    async def give_back(self, day: int, claims: Sequence[AllowanceClaim]) -> None:
        """Uncount what `take` counted: the letter was not delivered."""
        ...


class SettlementOutbox(Protocol):
    """Settlements the office has not confirmed yet, kept durably until it does."""

    async def add(self, settles: Sequence[Settle], *, now: int) -> None:
        """Write them down; when this returns they survive a crash."""
        ...

    async def pending(self, limit: int, *, now: int, besides: Collection[str] = ()) -> Sequence["PendingSettlement"]:
        """Those not answered yet, oldest first, without those of the issuers named and those put off beyond `now`."""
        ...

    async def postpone(self, ids: Sequence[int], *, until: int) -> None:
        """Put these off: the office's answer was one that changes with time."""
        ...

    async def done(self, ids: Sequence[int]) -> None:
        """Forget those the office has answered."""
        ...


class PartDeliveryBook(Protocol):
    """Who has had a letter that others of its recipients must wait for; letters are named by `Standing.letter_hash`."""

    async def had(self, letters: Sequence[bytes]) -> frozenset[bytes]:
        """Those that were delivered in an earlier attempt."""
        ...

    async def add(self, day: int, letters: Sequence[bytes]) -> None:
        """Note that these were delivered; when this returns, it is durable."""
        ...


class GrantBook(Protocol):
    """Correspondents, replies, permits and expected mail: why a recipient wants a letter."""

    @property
    def is_in_use(self) -> bool:
        """Whether anything stood in it for anybody when it was last asked for grants; once so, always so."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether it is known just now that nothing stands in it for anybody; where this is not so, `grants` tells."""
        ...

    @property
    def can_spare(self) -> bool:
        """Whether `knows_nothing` may say so of some letter. It tells nothing of a single one."""
        ...

    def knows_nothing(self, recipients: Sequence[Sequence[str]], claims: Claims, domains: Iterable[str]) -> bool:
        """Whether there is surely no grant for this letter, for which these domains vouch; it asks nobody."""
        ...

    async def grants(
        self, recipients: Sequence[Sequence[str]], claims: Claims, *, now: int
    ) -> Sequence[Sequence[Grant]]:
        """For each recipient, given by the names its rules may stand under, what lets this letter in free."""
        ...

    async def use(self, counters: Sequence[bytes]) -> bool:
        """Count a use of each, if all have one left; else count none and answer False."""
        ...

    async def give_back(self, counters: Sequence[bytes]) -> None:
        """Uncount what `use` counted: the letter was not delivered."""
        ...


class Authenticator(Protocol):
    """Who finds out where a letter comes from (SPF, DKIM, DMARC, ARC)."""

    async def authenticate(self, letter: Letter, envelope: Envelope, *, is_vital: bool = True) -> Authentication:
        """All that is proven of it, within a bounded time and number of questions. Raises nothing: where the DNS does
        not answer, `is_unsure` says so. `is_vital`: whether the letter's fate may hang on it.
        """
        ...

    async def is_sender_proven(self, envelope: Envelope) -> bool | None:
        """Whether SPF proves the domain of MAIL FROM, before there is a letter; None where that is not known now."""
        ...


@dataclass(frozen=True, slots=True)
class Refused:
    """A recipient that does not get a letter."""

    index: int
    """Its place in `Envelope.recipients`."""
    reason: Reason
    """Its own; a recipient that was free has one, too, where another had the letter refused."""
    letter_hash: bytes
    """Names the letter and this recipient; empty where the mailbox has no canonical form."""


class Refusals(Protocol):
    """Copies of refused letters, for those who miss one."""

    async def keep(
        self, letter: Letter, envelope: Envelope, refused: Sequence[Refused], *, authenticated: str = ""
    ) -> int:
        """Keep a copy for each of them before the sender is told no; when this returns, they survive a crash.

        `authenticated` is what was proven of the letter, as `approval.proven` writes it. The same letter again keeps
        what is there. Answers how many were left out as there is not that much room; raises `Unavailable` where they
        could not be kept: then "later" is the answer, not no.
        """
        ...


class KeyBook(Protocol):
    """Keys of post offices that DNS has had, for a day on which it does not answer."""

    async def keep(self, issuer: str, selector: str, key: bytes, *, is_authenticated: bool, now: int) -> None:
        """Note that DNS has it now; `is_authenticated`: by DNSSEC."""
        ...

    async def kept(self, issuer: str, selector: str) -> tuple[bytes, int, bool] | None:
        """The key, when it was last confirmed (seconds since 1970-01-01), and whether by DNSSEC."""
        ...

    async def forget(self, issuer: str, selector: str) -> None:
        """It was withdrawn, or its record has gone."""
        ...


class PermitBook(Protocol):
    """From whom a recipient takes unstamped mail, because the recipient said so."""

    async def add(self, user: str, kind: str, name: str, proof: str, *, expires_day: int | None) -> None:
        """Note it, when this returns durably; the same again changes nothing.

        `user` is a canonical recipient, `kind` "address" or "list", `name` whose mail it is. `proof` is what shows that
        it is theirs: empty where the domain must vouch for the letter, else a network it must come from. `expires_day`
        counts days since 1970-01-01 UTC; None: never.
        """
        ...


class PendingSettlement(Protocol):
    """One line of the outbox."""

    @property
    def id(self) -> int: ...  # noqa: D102
    @property
    def settle(self) -> Settle: ...  # noqa: D102

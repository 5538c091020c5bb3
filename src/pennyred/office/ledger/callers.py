"""Who may ask an office, who may no more, and what they were told: receivers, ids of tokens, licences, answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pennyred.days import DAY_SECONDS
from pennyred.postage.licence import Revocations

TOKEN_LIFE_SECONDS_MAX = 3600
"""A token that claims to live longer is not remembered, so not accepted."""
ANSWER_LIFE_SECONDS = DAY_SECONDS
"""How long the same request is given the same answer."""
ANSWER_BYTES_MAX = 2 * 2**20
RECEIVER_DOMAINS_MAX = 1000


class ReceiverOutcome(StrEnum):
    """What can be answered when a receiver is added, or a domain is added to one."""

    ADDED = "added"
    NAME_TAKEN = "name-taken"
    UNKNOWN_RECEIVER = "unknown-receiver"
    TOO_MANY = "too-many"


@dataclass(frozen=True, slots=True)
class Receiver:
    """A party that runs gates for some domains. Its account is `receiver_account(name)`."""

    name: str
    domains: tuple[str, ...]
    """Canonical; `("*",)` is any domain: the office's own gate."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was answered to a request that had an idempotency key."""

    body_hash: bytes
    """The hash of the request's body. Another body under the same key is a mistake of the caller."""
    answer: bytes


class Callers(Protocol):
    """The part of a `Ledger` that knows who calls the office."""

    async def add_receiver(self, name: str, domains: Sequence[str], token_hash: bytes, *, now: int) -> ReceiverOutcome:
        """Register a receiver with its canonical domains and the SHA-256 of its token, and open its account.

        ADDED also where it is there with this very token: a caller who gets NAME_TAKEN throws the token away.
        """
        ...

    async def add_domain(self, name: str, domain: str) -> ReceiverOutcome:
        """Let a receiver redeem for one more canonical domain. ADDED also where it already may."""
        ...

    async def receiver_by_token(self, token_hash: bytes) -> Receiver | None:
        """The receiver with this token, unless its account is closed."""
        ...

    async def remember_jti(self, jti: str, expires_at: int, *, now: int) -> bool:
        """Remember a token's id until the token expires.

        False when the id was seen before, the token has expired, or it claims to be good for more than an hour.
        """
        ...

    async def revocations(self, *, after: int = 0) -> Revocations:
        """A page of the licences that count no more, in the order in which they were revoked, behind `after`."""
        ...

    async def keep_answer(self, name: bytes, kept: KeptAnswer, *, now: int) -> None:
        """Keep an answer for `ANSWER_LIFE_SECONDS` under a hash. The first answer under a hash stays.

        Raises ValueError where it is too long.
        """
        ...

    async def kept_answer(self, name: bytes, *, now: int) -> KeptAnswer | None:
        """The answer that is kept under this hash. None where there is none, or its time is over."""
        ...


def require_short(kept: KeptAnswer) -> None:
    """Raise ValueError for an answer that is too long to keep."""
    if len(kept.answer) > ANSWER_BYTES_MAX:
        raise ValueError(f"an answer of {len(kept.answer)} bytes")

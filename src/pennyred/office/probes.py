"""Probes: a sender asks what the way of its letters does to them, and reads what the mirror has found.

The mirror itself is a mailbox at a gate; what the office needs of it is a book that both write in.
"""

from base64 import b32encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from pennyred.http.probes import TOKEN, Arrival, ProbeOpened, ProbeView, probe_address

LIFETIME_SECONDS = 3600
TOKEN_BYTES = 16


class ProbeBook(Protocol):
    """Where probes are written down. Every method raises `Unavailable` if there is no answer."""

    async def open(self, token: str, account: str, *, now: int, expires_at: int) -> bool:
        """Open one; False if the account has as many as it may have."""
        ...

    async def found(self, token: str, *, now: int) -> tuple[int, list[bytes]] | None:
        """When it is over, and what was found of each letter; None if there is no such probe."""
        ...


@dataclass(frozen=True, slots=True)
class Probes:
    """The probes of one office."""

    mailbox: str
    """The mirror's address, canonical."""
    book: ProbeBook
    clock: Callable[[], int]
    random_bytes: Callable[[int], bytes]

    async def open(self, account: str) -> ProbeOpened | None:
        """Open one for an account; None if it has as many as it may have. Raises `Unavailable`."""
        now = self.clock()
        token = b32encode(self.random_bytes(TOKEN_BYTES)).decode().rstrip("=").lower()
        if not await self.book.open(token, account, now=now, expires_at=now + LIFETIME_SECONDS):
            return None
        address = probe_address(self.mailbox, token)
        return ProbeOpened(token, address, f"/probes/{token}", _written(now + LIFETIME_SECONDS))

    async def find(self, token: str) -> ProbeView | None:
        """What was found so far; None if there is no such probe, or no more. Raises `Unavailable`."""
        found = await self.book.found(token, now=self.clock()) if TOKEN.fullmatch(token) else None
        if found is None:
            return None
        expires_at, arrivals = found
        decoded = [msgspec.json.decode(one, type=Arrival) for one in arrivals]
        return ProbeView(probe_address(self.mailbox, token), _written(expires_at), decoded)


def _written(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")

"""What a wire needs of those it serves: the session, the letter coming in, and the limits on a client's time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol


class Clock(Protocol):
    """The limits on a client's time."""

    @property
    def read_timeout_seconds(self) -> float: ...  # noqa: D102
    @property
    def session_timeout_seconds(self) -> float: ...  # noqa: D102


class Sink(Protocol):
    """Takes what comes instead of the command reader: a letter."""

    def take(self, data: bytes) -> bytes | None:
        """Take a piece; the bytes after the end once there is one, None before."""
        ...


class Occupant(Protocol):
    """Whom a wire serves: the session."""

    def let_in(self, transport: asyncio.BaseTransport) -> bool:
        """Somebody has connected; False where he has been turned away."""
        ...

    def converse(self) -> Coroutine[Any, Any, None]:
        """The whole conversation."""
        ...

    def note_timeout(self, *, is_session: bool) -> None:
        """The client has been silent for too long, or here for too long: say why and hang up."""
        ...

    def note_tls_failure(self, error: OSError) -> None:
        """The handshake has come to nothing, or what came after it was no TLS."""
        ...

    def note_much_input(self, octets: int) -> None:
        """So much has come that reading pauses (a single read may bring 256 KiB); 0: it has been taken."""
        ...

"""What a `Wire` needs of others: the session it serves, the letter that comes in, the limits on a client's time."""

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
    """Takes the bytes of a letter; while it does, they are not read as commands."""

    def take(self, data: bytes) -> bytes | None:
        """Take a piece. Returns None before the letter's end; at its end, the bytes that follow it."""
        ...


class Occupant(Protocol):
    """The session, as its wire calls it."""

    def let_in(self, transport: asyncio.BaseTransport) -> bool:
        """Called when a client has connected; False if it was turned away."""
        ...

    def converse(self) -> Coroutine[Any, Any, None]:
        """The coroutine that serves the client from the greeting to the end."""
        ...

    def note_timeout(self, *, is_session: bool) -> None:
        """Called when the client was silent, or (`is_session`) stayed, for too long: say why and hang up."""
        ...

    def note_tls_failure(self, error: OSError) -> None:
        """Called when the TLS handshake has failed, or what came after it was no TLS."""
        ...

    def note_much_input(self, octets: int) -> None:
        """Called when reading pauses, as so many octets wait (one read may bring 256 KiB); with 0 once all are read."""
        ...

"""How long a mail server may take for each step, and all steps together; the timer that watches it.

Each connection has one timer, which looks at the deadline when it fires.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

CLIENTS_SECONDS = 285.0
"""A client waits five minutes for the reply to MAIL and to RCPT (RFC 5321 section 4.5.3.2). Within that time it must be
answered "later", however long the mail server's greeting, TLS, EHLO, XCLIENT and MAIL take together. The 15 s less are
for the gate's own look-ups, and for the network.
"""
HELLO_SECONDS = 60.0
"""How long EHLO may wait for what the mail server offers; after that it is answered with what is usual."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long one mail server may take for each step, in seconds; the settings say it (RFC 5321 section 4.5.3.2)."""

    greeting_seconds: float
    """For the greeting, TLS and EHLO: a busy mail server may make clients wait (section 4.5.3.2.1)."""
    command_seconds: float
    """For MAIL (section 4.5.3.2.2), XCLIENT, the EHLO after it, and RSET."""
    recipient_seconds: float
    """For RCPT (section 4.5.3.2.3)."""
    data_seconds: float
    """For the go-ahead to DATA (section 4.5.3.2.4)."""
    block_seconds: float
    """To take the next piece of a letter (section 4.5.3.2.5)."""
    answer_seconds: float
    """For the reply to the final dot (section 4.5.3.2.6)."""
    connect_seconds: float = 10
    """To connect; there is no setting for it."""

    def of(self, command: bytes) -> float:
        """How long the reply to a command line may take."""
        match command[:4].upper():
            case b"RCPT":
                return self.recipient_seconds
            case b"DATA":
                return self.data_seconds
        return self.command_seconds

    def with_patience(self, seconds: float) -> "Deadlines":
        """The same, but for somebody who waits at most so many seconds for each reply before the letter."""
        return replace(
            self, greeting_seconds=seconds, command_seconds=seconds, recipient_seconds=seconds, data_seconds=seconds
        )


class Patience:
    """Calls `give_up` when a wait has lasted too long, with the number of seconds that it was given."""

    __slots__ = ("_give_up", "_loop", "_seconds", "_timer", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop, give_up: Callable[[float], None]) -> None:
        self._loop = loop
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None
        self._until: float | None = None
        """When the wait has lasted too long (loop's clock, seconds); None: nobody waits."""
        self._seconds = 0.0

    def give(self, seconds: float) -> None:
        """Begin a wait that may last so many seconds."""
        self._seconds = seconds
        self._until = until = self._loop.time() + seconds
        if self._timer is None or until < self._timer.when():
            self._arm(until)

    def end(self) -> None:
        """End the wait; the timer stays for the next one."""
        self._until = None

    def cancel(self) -> None:
        """Stop the timer for good."""
        self._until = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._timer = None
        if self._until is None:
            return
        if self._loop.time() >= self._until:
            self._give_up(self._seconds)
        else:
            self._arm(self._until)

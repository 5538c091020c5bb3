"""How long an answer may take: one timer a connection, looked at when it fires, so that to put it off costs nothing."""

import asyncio
from collections.abc import Callable

CLIENTS_SECONDS = 285.0
"""A client waits five minutes for the answer to MAIL, and to RCPT (RFC 5321 section 4.5.3.2); within that it must have
heard "later", whatever the mail server's greeting, TLS, EHLO, XCLIENT and MAIL take one after the other. Some of it
goes to look-ups of our own, and to the way there and back.
"""
HELLO_SECONDS = 60.0
"""So long a client's EHLO may wait for what the mail server offers, before it hears what is usual."""


class Patience:
    """Calls `give_up` with the seconds that were given when they are over and nobody has ended the wait."""

    __slots__ = ("_give_up", "_loop", "_seconds", "_timer", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop, give_up: Callable[[float], None]) -> None:
        self._loop = loop
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None
        self._until: float | None = None
        """When patience ends, by the loop's clock; None: nothing is awaited."""
        self._seconds = 0.0

    def give(self, seconds: float) -> None:
        """A wait begins that may last so long."""
        self._seconds = seconds
        self._until = until = self._loop.time() + seconds
        if self._timer is None or until < self._timer.when():
            self._arm(until)

    def end(self) -> None:
        """The wait is over; the timer stays for the next one."""
        self._until = None

    def cancel(self) -> None:
        """There will be no more waits."""
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

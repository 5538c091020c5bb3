"""One caller's question to the owner of a ledger, and when it may be answered."""

import asyncio
from enum import Enum, auto
from typing import Any

from pennyred.office.ledger.owned.books import Work, writes_at_once
from pennyred.office.ledger.requests import HoldRequest, Request
from pennyred.postage.redemption import HoldOutcome

_RESTS_ON_A_PAYMENT = frozenset({HoldOutcome.ALREADY_SETTLED, HoldOutcome.SPENT})


class Kind(Enum):
    """What is asked."""

    REQUEST = auto()
    """A `Request` about stamps."""
    NOTE = auto()
    """A `Work` that touches neither stamps nor accounts; it shares the turn's transaction."""
    WORK = auto()
    """Any other `Work`: all holds are written before it, in the same transaction."""


class Ask:
    """A question, and the future for its answer."""

    __slots__ = ("answer", "asked_at", "error", "future", "kind", "needs_disk", "weight", "what")

    def __init__(self, kind: Kind, what: Request | Work, future: asyncio.Future[Any], asked_at: float) -> None:
        self.kind = kind
        self.what: Any = what
        self.future = future
        self.asked_at = asked_at
        """By the loop's clock."""
        self.weight = 1
        """Roughly how many rows it touches."""
        self.needs_disk = True
        """Whether it may write, so that its answer waits until that is on the disk."""
        self.answer: Any = None
        self.error: BaseException | None = None
        if kind is Kind.REQUEST:
            request: Any = what
            self.weight += len(request.items)
            self.needs_disk = writes_at_once(request)

    def rests_on_disk(self) -> bool:
        """Whether its answer must be on the disk before it is given: it says what has been written, or was before."""
        if self.needs_disk:
            return True
        return isinstance(self.what, HoldRequest) and any(one.outcome in _RESTS_ON_A_PAYMENT for one in self.answer)

    def fail(self, error: BaseException) -> None:
        """Give the caller this error."""
        self.error = error
        self.deliver()

    def deliver(self) -> None:
        """Give the caller the answer, unless it was cancelled or told before."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.answer)

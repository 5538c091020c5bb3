"""What is asked of the ledger about stamps, the greeting before it, and the form of every answer.

Each ask is one operation of `Ledger` and carries its arguments. `of` does it with the ledger of the process that has
read it; `answer` reads what came of it in the process that asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar

import msgspec

from pennyred.office.ledger.protocol import Ledger
from pennyred.office.ledger.requests import HoldRequest, Request, SettleRequest, StampSettleRequest, VoidRequest
from pennyred.postage.ledger_rules import HoldOrder, RefundOutcome
from pennyred.postage.redemption import HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.storage.passing import LOOKERS_MAX, Looker

VERSION = 1
"""Of these messages. A program of another version is told so, and asks nothing."""
ASK_SECONDS = 10.0
"""How long an answer may take: twice what a transaction waits for a file that others use."""


class Status(IntEnum):
    """What kind of answer it is; the numbers are part of the messages."""

    VALUE = 0
    UNAVAILABLE = 1
    OUTCOME_UNKNOWN = 2
    BAD_VALUE = 3
    """The operation has raised ValueError."""


@dataclass(slots=True)
class Books:
    """What asks are answered from."""

    ledger: Ledger
    lookers: dict[str, Looker] = field(default_factory=dict)
    """Those of other processes, by name; the one that has looked last is the last."""

    def looker(self, name: str, clock: int, monotonic: float) -> Looker:
        """The looker of a process, with what its clocks say now."""
        looker = self.lookers.pop(name, None) or Looker(lambda: clock, name=name)
        looker.clock, looker.monotonic = (lambda: clock), (lambda: monotonic)
        self.lookers[name] = looker
        while len(self.lookers) > LOOKERS_MAX:
            del self.lookers[next(iter(self.lookers))]
        return looker


class Ask(msgspec.Struct, array_like=True):
    """The base of all; `id` is the asker's number for it, which comes back with the answer."""

    answer: ClassVar[Any]
    """Reads the value of its answer."""
    seconds: ClassVar[float] = ASK_SECONDS
    is_repeatable: ClassVar[bool] = True
    """Whether it does no harm to do it once more where it may have been done already."""

    id: int

    @property
    def weight(self) -> int:
        """How much work it is, in rows: one more for each stamp where it is about stamps, its `items`."""
        return 1 + len(getattr(self, "items", ()))

    @property
    def request(self) -> Request | None:
        """The same as a value, where it is one of those that each letter needs."""
        return None

    async def of(self, books: Books) -> Any:
        """Do it. Raises what the operation raises."""
        raise NotImplementedError


class Hello(Ask, tag="hello"):
    """The first ask of every connection. `worker` is the number of a worker of the service; -1: a command."""

    answer: ClassVar[Any] = msgspec.msgpack.Decoder(int)
    version: int
    worker: int = -1


class Back(Ask, tag="back"):
    """What this worker held is held again: others may hold what is left."""

    answer: ClassVar[Any] = msgspec.msgpack.Decoder(None)

    async def of(self, books: Books) -> None:
        """Nothing: that it has come is what matters."""


class Hold(Ask, tag="hold"):
    """Asks for `Ledger.hold`. `is_again`: the asker was told before that this is held."""

    answer: ClassVar[Any] = msgspec.msgpack.Decoder(list[HoldAnswer])
    receiver: str
    items: Sequence[HoldOrder]
    now: int
    is_lasting: bool = True
    is_again: bool = False

    @property
    def request(self) -> Request:
        """The same as a value."""
        return HoldRequest(self.receiver, self.items, self.now, self.is_lasting)

    async def of(self, books: Books) -> list[HoldAnswer]:
        """Do what is asked for."""
        return await books.ledger.hold(self.receiver, self.items, now=self.now, is_lasting=self.is_lasting)


class SettleAll(Ask, tag="settle"):
    """Asks for `Ledger.settle`."""

    answer: ClassVar[Any] = msgspec.msgpack.Decoder(list[SettleOutcome])
    receiver: str
    items: Sequence[Settle]
    now: int

    @property
    def request(self) -> Request:
        """The same as a value."""
        return SettleRequest(self.receiver, self.items, self.now)

    async def of(self, books: Books) -> list[SettleOutcome]:
        """Do what is asked for."""
        return await books.ledger.settle(self.receiver, self.items, now=self.now)


class SettleStamps(Ask, tag="settle-stamps"):
    """Asks for `Ledger.settle_stamps`."""

    answer: ClassVar[Any] = msgspec.msgpack.Decoder(list[SettleOutcome])
    receiver: str
    items: Sequence[HoldOrder]
    now: int

    @property
    def request(self) -> Request:
        """The same as a value."""
        return StampSettleRequest(self.receiver, self.items, self.now)

    async def of(self, books: Books) -> list[SettleOutcome]:
        """Do what is asked for."""
        return await books.ledger.settle_stamps(self.receiver, self.items, now=self.now)


class VoidAll(Ask, tag="void"):
    """Asks for `Ledger.void`."""

    answer: ClassVar[Any] = msgspec.msgpack.Decoder(list[VoidOutcome])
    receiver: str
    items: Sequence[Void]
    now: int

    @property
    def request(self) -> Request:
        """The same as a value."""
        return VoidRequest(self.receiver, self.items, self.now)

    async def of(self, books: Books) -> list[VoidOutcome]:
        """Do what is asked for."""
        return await books.ledger.void(self.receiver, self.items, now=self.now)


class RefundAll(Ask, tag="refund"):
    """Asks for `Ledger.refund`."""

    answer: ClassVar[Any] = msgspec.msgpack.Decoder(list[RefundOutcome])
    receiver: str
    items: Sequence[Settle]
    now: int

    async def of(self, books: Books) -> list[RefundOutcome]:
        """Do what is asked for."""
        return await books.ledger.refund(self.receiver, self.items, now=self.now)

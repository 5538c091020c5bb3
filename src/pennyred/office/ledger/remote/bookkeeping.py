"""What is asked of the ledger about its callers, its chain and itself; and all asks together. See `asks`."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from pennyred.office.ledger.callers import KeptAnswer, Receiver, ReceiverOutcome
from pennyred.office.ledger.protocol import Audit, SweepReport
from pennyred.office.ledger.remote.accounting import (
    CloseAccount,
    CreateVouchers,
    Credit,
    FindAccount,
    FindAccountByKey,
    ListAccounts,
    ListEntries,
    OpenAccount,
    RedeemVoucher,
    ReplaceKey,
)
from pennyred.office.ledger.remote.asks import (
    Ask,
    Back,
    Books,
    Hello,
    Hold,
    RefundAll,
    SettleAll,
    SettleStamps,
    VoidAll,
)
from pennyred.postage.errors import Malformed
from pennyred.postage.licence import Revocations
from pennyred.postage.proofs.chain import BatchHead, Epoch
from pennyred.postage.proofs.receipt import SealedUse
from pennyred.postage.stamp import StampKey
from pennyred.storage.passing import Passed

SWEEP_SECONDS = 300.0
AUDIT_SECONDS = 24 * 3600.0
"""An audit takes time in proportion to the journal."""
_Reader = msgspec.msgpack.Decoder


class AddReceiver(Ask, tag="add_receiver"):
    """Asks for `Ledger.add_receiver`."""

    answer: ClassVar[Any] = _Reader(ReceiverOutcome)
    name: str
    domains: Sequence[str]
    token_hash: bytes
    now: int

    async def of(self, books: Books) -> ReceiverOutcome:
        """Do what is asked for."""
        return await books.ledger.add_receiver(self.name, self.domains, self.token_hash, now=self.now)


class AddDomain(Ask, tag="add_domain"):
    """Asks for `Ledger.add_domain`."""

    answer: ClassVar[Any] = _Reader(ReceiverOutcome)
    name: str
    domain: str

    async def of(self, books: Books) -> ReceiverOutcome:
        """Do what is asked for."""
        return await books.ledger.add_domain(self.name, self.domain)


class FindReceiver(Ask, tag="receiver_by_token"):
    """Asks for `Ledger.receiver_by_token`."""

    answer: ClassVar[Any] = _Reader(Receiver | None)
    token_hash: bytes

    async def of(self, books: Books) -> Receiver | None:
        """Do what is asked for."""
        return await books.ledger.receiver_by_token(self.token_hash)


class RememberToken(Ask, tag="remember_jti"):
    """Asks for `Ledger.remember_jti`."""

    answer: ClassVar[Any] = _Reader(bool)
    is_repeatable: ClassVar[bool] = False
    jti: str
    expires_at: int
    now: int

    async def of(self, books: Books) -> bool:
        """Do what is asked for."""
        return await books.ledger.remember_jti(self.jti, self.expires_at, now=self.now)


class ListRevocations(Ask, tag="revocations"):
    """Asks for `Ledger.revocations`."""

    answer: ClassVar[Any] = _Reader(Revocations)
    after: int

    async def of(self, books: Books) -> Revocations:
        """Do what is asked for."""
        return await books.ledger.revocations(after=self.after)


class KeepAnswer(Ask, tag="keep_answer"):
    """Asks for `Ledger.keep_answer`."""

    answer: ClassVar[Any] = _Reader(None)
    name: bytes
    kept: KeptAnswer
    now: int

    async def of(self, books: Books) -> None:
        """Do what is asked for."""
        await books.ledger.keep_answer(self.name, self.kept, now=self.now)


class FindAnswer(Ask, tag="kept_answer"):
    """Asks for `Ledger.kept_answer`."""

    answer: ClassVar[Any] = _Reader(KeptAnswer | None)
    name: bytes
    now: int

    async def of(self, books: Books) -> KeptAnswer | None:
        """Do what is asked for."""
        return await books.ledger.kept_answer(self.name, now=self.now)


class ProveUses(Ask, tag="uses"):
    """Asks for `Ledger.uses`."""

    answer: ClassVar[Any] = _Reader(list[SealedUse | None])
    keys: Sequence[StampKey]

    async def of(self, books: Books) -> list[SealedUse | None]:
        """Do what is asked for."""
        return await books.ledger.uses(self.keys)


class FindHead(Ask, tag="head"):
    """Asks for `Ledger.head`."""

    answer: ClassVar[Any] = _Reader(BatchHead | None)

    async def of(self, books: Books) -> BatchHead | None:
        """Do what is asked for."""
        return await books.ledger.head()


class FindHeadOf(Ask, tag="head_of"):
    """Asks for `Ledger.head_of`."""

    answer: ClassVar[Any] = _Reader(BatchHead | None)
    number: int

    async def of(self, books: Books) -> BatchHead | None:
        """Do what is asked for."""
        return await books.ledger.head_of(self.number)


class BeginEpoch(Ask, tag="begin_epoch"):
    """Asks for `Ledger.begin_epoch`."""

    answer: ClassVar[Any] = _Reader(BatchHead)
    is_repeatable: ClassVar[bool] = False
    epoch_id: bytes
    after: Sequence[Epoch] | None
    now: int

    async def of(self, books: Books) -> BatchHead:
        """Do what is asked for."""
        return await books.ledger.begin_epoch(self.epoch_id, after=self.after, now=self.now)


class TellPassed(Ask, tag="passed"):
    """Asks for `Ledger.passed`: the looker's name, and what its two clocks say."""

    answer: ClassVar[Any] = _Reader(Passed)
    looker: str
    clock: int
    monotonic: float

    async def of(self, books: Books) -> Passed:
        """Do what is asked for."""
        return await books.ledger.passed(books.looker(self.looker, self.clock, self.monotonic))


class Sweep(Ask, tag="sweep"):
    """Asks for `Ledger.sweep`."""

    answer: ClassVar[Any] = _Reader(SweepReport)
    seconds: ClassVar[float] = SWEEP_SECONDS
    now: int
    until: int

    async def of(self, books: Books) -> SweepReport:
        """Do what is asked for."""
        return await books.ledger.sweep(now=self.now, until=self.until)


class Spill(Ask, tag="spill"):
    """Asks for `Ledger.spill`."""

    answer: ClassVar[Any] = _Reader(None)

    async def of(self, books: Books) -> None:
        """Do what is asked for."""
        await books.ledger.spill()


class AuditBooks(Ask, tag="audit"):
    """Asks for `Ledger.audit`."""

    answer: ClassVar[Any] = _Reader(Audit)
    seconds: ClassVar[float] = AUDIT_SECONDS

    async def of(self, books: Books) -> Audit:
        """Do what is asked for."""
        return await books.ledger.audit()


AnyAsk = (
    Hello | Back | Hold | SettleAll | SettleStamps | VoidAll | RefundAll
    | OpenAccount | CloseAccount | ReplaceKey | FindAccount | FindAccountByKey | ListAccounts | ListEntries
    | Credit | CreateVouchers | RedeemVoucher
    | AddReceiver | AddDomain | FindReceiver | RememberToken | ListRevocations | KeepAnswer | FindAnswer
    | ProveUses | FindHead | FindHeadOf | BeginEpoch | TellPassed | Sweep | Spill | AuditBooks
)  # fmt: skip
"""Every ask there is, by its name."""

_reader = _Reader(AnyAsk)


def read_ask(body: bytes | memoryview) -> AnyAsk:
    """The ask in the body of a frame. Raises `Malformed`."""
    try:
        return _reader.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from error

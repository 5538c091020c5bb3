"""Calls of a ledger as values, so that those of many callers can be answered in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from pennyred.postage.ledger_rules import HoldOrder
from pennyred.postage.redemption import Settle, Void


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """One call of `Ledger.hold`."""

    receiver: str
    items: Sequence[HoldOrder]
    now: int


@dataclass(frozen=True, slots=True)
class SettleRequest:
    """One call of `Ledger.settle`."""

    receiver: str
    items: Sequence[Settle]
    now: int


@dataclass(frozen=True, slots=True)
class VoidRequest:
    """One call of `Ledger.void`."""

    receiver: str
    items: Sequence[Void]
    now: int


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """One call of `Ledger.refund`."""

    receiver: str
    items: Sequence[Settle]
    now: int


Request = HoldRequest | SettleRequest | VoidRequest

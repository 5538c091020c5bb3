"""Calls of a ledger as values, so that those of many callers can be answered in one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pennyred.office.ledger.batch import Batch
from pennyred.postage.ledger_rules import HoldFacts, HoldOrder
from pennyred.postage.redemption import Settle, Void


class HoldRequest(NamedTuple):
    """One call of `Ledger.hold`."""

    receiver: str
    items: Sequence[HoldOrder]
    now: int
    is_lasting: bool = True
    """False: a back end may forget these holds in a crash."""


class SettleRequest(NamedTuple):
    """One call of `Ledger.settle`."""

    receiver: str
    items: Sequence[Settle]
    now: int


class StampSettleRequest(NamedTuple):
    """One call of `Ledger.settle_stamps`."""

    receiver: str
    items: Sequence[HoldOrder]
    now: int


class VoidRequest(NamedTuple):
    """One call of `Ledger.void`."""

    receiver: str
    items: Sequence[Void]
    now: int


class RefundRequest(NamedTuple):
    """One call of `Ledger.refund`."""

    receiver: str
    items: Sequence[Settle]
    now: int


JudgedRequest = HoldRequest | StampSettleRequest
"""A request that judges stamps: to answer it, the receiver's domains, the floor and the uses of the day are needed."""
Request = JudgedRequest | SettleRequest | VoidRequest


def answer_all(
    batch: Batch, requests: Sequence[Request], domains: Mapping[str, frozenset[str]], floor_day: int
) -> list[list[Any]]:
    """Answer each by the list its kind promises, in order; `domains` are those of the receivers that may hold."""

    def facts(request: JudgedRequest) -> HoldFacts:
        return HoldFacts(request.receiver, domains.get(request.receiver, frozenset()), floor_day, request.now)

    answers: list[list[Any]] = []
    for request in requests:
        if isinstance(request, SettleRequest):
            answers.append(batch.settle(request.receiver, request.items, now=request.now))
        elif isinstance(request, HoldRequest):
            answers.append(batch.hold(request.items, facts(request)))
        elif isinstance(request, StampSettleRequest):
            answers.append(batch.settle_stamps(request.items, facts(request)))
        else:
            answers.append(batch.void(request.receiver, request.items))
    return answers

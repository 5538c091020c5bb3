"""After the delivery: take what was delivered, give back what was not, and never forget a settlement.

The mail server has the letter by now, so nothing that goes wrong here may turn the answer to the client.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from pennyred.postage.errors import Unavailable
from pennyred.postage.redemption import Settle, SettleOutcome
from pennyred.services.ports import Redeemer, SettlementOutbox

_SETTLED = (SettleOutcome.SETTLED, SettleOutcome.ALREADY_SETTLED)

BATCH_MAX = 200
"""Settlements of the outbox asked for at once."""


class SettlementLog(Protocol):
    """Where it is written down that a settlement has to wait, was made up for, or came to nothing."""

    def waiting(self, settles: Sequence[Settle], why: str) -> None:
        """They are in the outbox, as the office does not answer."""
        ...

    def remembered(self, settles: Sequence[Settle], why: str) -> None:
        """The outbox cannot be written either: they stand in memory until it can."""
        ...

    def made_up(self, stamps: int) -> None:
        """So many settlements of the outbox were answered."""
        ...

    def unsettled(self, settles: Sequence[Settle], why: str) -> None:
        """The letters were delivered and will not be paid."""
        ...


async def settle_durably(
    redeemer: Redeemer, outbox: SettlementOutbox, settles: Sequence[Settle], log: SettlementLog, *, now: int
) -> None:
    """Settle at the office or, where it does not answer, in the outbox; when this returns it is durable in one of them.

    Never raises, not even for a mistake of ours: where neither answers, the receiver loses its cent, which is written
    down. The other way round the letter would be delivered twice.
    """
    try:
        outcomes = await redeemer.settle(settles)
    except Exception as trouble:  # noqa: BLE001 - `Unavailable`, or what nobody has foreseen
        why = _words(trouble)
        try:
            await outbox.add(settles, now=now)
        except Exception as also:  # noqa: BLE001 - as above
            log.unsettled(settles, f"{why}; {_words(also)}")
        else:
            log.waiting(settles, why)
        return
    report_odd(settles, outcomes, log)


def _words(trouble: Exception) -> str:
    return str(trouble) if isinstance(trouble, Unavailable) else repr(trouble)


def report_odd(settles: Sequence[Settle], outcomes: Sequence[SettleOutcome], log: SettlementLog) -> None:
    """Write down what the office would not settle."""
    for settle, outcome in zip(settles, outcomes, strict=True):
        if outcome not in _SETTLED:
            log.unsettled([settle], outcome.value)


async def pump_outbox(
    redeemer: Redeemer, outbox: SettlementOutbox, log: SettlementLog, *, pause_seconds: float
) -> None:
    """Present what stands in the outbox until it is confirmed; runs until it is cancelled."""
    while True:
        await drain_outbox(redeemer, outbox, log)
        await asyncio.sleep(pause_seconds)


async def drain_outbox(redeemer: Redeemer, outbox: SettlementOutbox, log: SettlementLog) -> int:
    """Present what stands in the outbox now, as long as the office answers. Returns how many were confirmed."""
    confirmed = 0
    while True:
        try:
            pending = await outbox.pending(BATCH_MAX)
            if not pending:
                return confirmed
            settles = [entry.settle for entry in pending]
            outcomes = await redeemer.settle(settles)
            await outbox.done([entry.id for entry in pending])
        except Unavailable:
            return confirmed
        report_odd(settles, outcomes, log)
        log.made_up(len(pending))
        confirmed += len(pending)

"""After the delivery: take what was delivered, give back what was not, and never forget a settlement.

The mail server has the letter by now, so nothing that goes wrong here may turn the answer to the client.
"""

import asyncio
from collections.abc import Callable, Sequence

from pennyred.gate.letterlog import LetterLog
from pennyred.gate.patience import Patience
from pennyred.gate.ports import PendingSettlement, Redeemer, SettlementOutbox
from pennyred.postage.errors import Unavailable
from pennyred.postage.redemption import Settle

BATCH_MAX = 200
"""Settlements of the outbox asked for at once."""
SETTLE_SECONDS = 2.0
"""How long the client waits for the office, which may be far away; then the outbox has to do. If the gate is killed
before that, the letter is as good as delivered without a 250 (RFC 1047), so this is short."""
POSTPONE_SECONDS = 600
"""The pause before a settlement is presented again whose office says that time may cure it."""


class DurableSettling:
    """Settles what was delivered, in time and for good; for one desk."""

    def __init__(self, outbox: SettlementOutbox, log: LetterLog) -> None:
        self._outbox = outbox
        self._log = log
        self._patience = Patience(SETTLE_SECONDS)

    async def settle(self, redeemer: Redeemer, settles: Sequence[Settle], *, now: int) -> None:
        """Settle at each office or, where it does not answer in time, in the outbox; when this returns it is durable.

        Never raises, not even for a mistake of ours: where neither answers, the receiver loses its cent, which is
        written down. The other way round the letter would be delivered twice.
        """
        if len(settles) > 1 and len(by_issuer := _by_issuer(settles)) > 1:
            await asyncio.gather(*(self.settle(redeemer, some, now=now) for some in by_issuer.values()))
            return
        try:
            outcomes = await self._patience.wait(redeemer.settle(settles))
        except TimeoutError:
            await _keep(self._outbox, settles, f"no answer within {SETTLE_SECONDS:g} s", self._log, now=now)
            return
        except Exception as trouble:  # noqa: BLE001 - `Unavailable`, or what nobody has foreseen
            await _keep(self._outbox, settles, _words(trouble), self._log, now=now)
            return
        for settle, outcome in zip(settles, outcomes, strict=True):
            if outcome.may_change:
                await _keep(self._outbox, [settle], outcome.value, self._log, now=now)
            elif not outcome.is_paid:
                self._log.unsettled([settle], outcome.value)


async def _keep(outbox: SettlementOutbox, settles: Sequence[Settle], why: str, log: LetterLog, *, now: int) -> None:
    try:
        await outbox.add(settles, now=now)
    except Exception as also:  # noqa: BLE001 - `Unavailable`, or what nobody has foreseen
        log.unsettled(settles, f"{why}; {_words(also)}")
    else:
        log.waiting(settles, why)


def _by_issuer(settles: Sequence[Settle]) -> dict[str, list[Settle]]:
    found: dict[str, list[Settle]] = {}
    for settle in settles:
        found.setdefault(settle.issuer, []).append(settle)
    return found


def _words(trouble: Exception) -> str:
    return str(trouble) if isinstance(trouble, Unavailable) else repr(trouble)


async def pump_outbox(
    redeemer: Redeemer,
    outbox: SettlementOutbox,
    log: LetterLog,
    *,
    clock: Callable[[], int],
    pause_seconds: float,
) -> None:
    """Present what stands in the outbox until it is answered; runs until it is cancelled."""
    while True:
        await drain_outbox(redeemer, outbox, log, now=clock())
        await asyncio.sleep(pause_seconds)


async def drain_outbox(redeemer: Redeemer, outbox: SettlementOutbox, log: LetterLog, *, now: int) -> int:
    """Present what stands in the outbox now, to each office as long as it answers. Returns how many were answered.

    An answer ends a settlement, whatever it is, unless another time may have another answer: then it is put off.
    """
    answered = 0
    silent: set[str] = set()
    """Offices that did not answer: what waits for them does not keep others waiting."""
    while True:
        try:
            pending = await outbox.pending(BATCH_MAX, now=now, besides=silent)
        except Unavailable:
            return answered
        if not pending:
            return answered
        entries: dict[str, list[PendingSettlement]] = {}
        for entry in pending:
            entries.setdefault(entry.settle.issuer, []).append(entry)
        heard = await asyncio.gather(*(_present(redeemer, outbox, some, log, now) for some in entries.values()))
        silent |= {issuer for issuer, is_heard in zip(entries, heard, strict=True) if not is_heard}
        answered += sum(len(some) for issuer, some in entries.items() if issuer not in silent)


async def _present(
    redeemer: Redeemer, outbox: SettlementOutbox, entries: Sequence[PendingSettlement], log: LetterLog, now: int
) -> bool:
    """Present settlements of one office; False where it, or the state, does not answer."""
    try:
        outcomes = await redeemer.settle([entry.settle for entry in entries])
        answered = list(zip(entries, outcomes, strict=True))
        if later := [entry.id for entry, outcome in answered if outcome.may_change]:
            await outbox.postpone(later, until=now + POSTPONE_SECONDS)
        over = [(entry, outcome) for entry, outcome in answered if not outcome.may_change]
        await outbox.done([entry.id for entry, _ in over])
    except Unavailable:
        return False
    for entry, outcome in over:
        if not outcome.is_paid:
            log.unsettled([entry.settle], outcome.value)
    if over:
        log.made_up(len(over))
    return True

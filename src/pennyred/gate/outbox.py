"""An outbox that also holds in memory what its disk cannot take: the letters were delivered, so the debts are real.

A disk that is full is full for the ledger and for the outbox together, and mostly for minutes. What stands in memory
is written down as soon as there is room; it is lost only if the process is killed before that, and then the receiver
loses its cents (the letters have arrived).
"""

from collections.abc import Collection, Sequence

from pennyred.gate.letterlog import LetterLog
from pennyred.gate.ports import PendingSettlement, SettlementOutbox
from pennyred.postage.errors import Unavailable
from pennyred.postage.redemption import Settle

SETTLES_MAX = 10_000
"""In memory at most, with their stamps about 20 MiB; without room on the disk no new letter is held, so hardly more can
be under way."""
_AT_ONCE = 200


class BufferedOutbox:
    """See the module (implements `ports.SettlementOutbox`)."""

    def __init__(self, outbox: SettlementOutbox, log: LetterLog) -> None:
        self._outbox = outbox
        self._log = log
        self._unwritten: list[tuple[Settle, int]] = []

    async def add(self, settles: Sequence[Settle], *, now: int) -> None:
        """Write them down, or remember them until that can be done. Raises Unavailable where even that is too much."""
        try:
            await self._outbox.add(settles, now=now)
        except Unavailable as unavailable:
            if len(self._unwritten) + len(settles) > SETTLES_MAX:
                raise
            self._unwritten += [(settle, now) for settle in settles]
            self._log.remembered(settles, str(unavailable))

    async def pending(self, limit: int, *, now: int, besides: Collection[str] = ()) -> Sequence[PendingSettlement]:
        """Those not answered yet, oldest first, after what was in memory has been written down as far as can be."""
        await self._write()
        return await self._outbox.pending(limit, now=now, besides=besides)

    async def postpone(self, ids: Sequence[int], *, until: int) -> None:
        """Put these off."""
        await self._outbox.postpone(ids, until=until)

    @property
    def unwritten(self) -> int:
        """How many are in memory only."""
        return len(self._unwritten)

    async def done(self, ids: Sequence[int]) -> None:
        """Forget those the office has answered."""
        await self._outbox.done(ids)

    async def close(self) -> None:
        """The process ends: a last try, and what is lost is written into the log."""
        try:
            await self._write()
        finally:
            lost = [settle for settle, _ in self._unwritten]
            self._unwritten.clear()
            if lost:
                self._log.unsettled(lost, "the program stopped on a full disk")

    async def _write(self) -> None:
        """What is written leaves memory only then: this may be cancelled anywhere, and to write twice does no harm."""
        while self._unwritten:
            some = self._unwritten[:_AT_ONCE]
            try:
                await self._outbox.add([settle for settle, _ in some], now=some[0][1])
            except Unavailable:
                return
            del self._unwritten[: len(some)]

"""A desk that counts the letters which the real desk fails to answer. Implements `letterbox.GateDesk`."""

from collections.abc import Sequence

from pennyred.gate.letterbox import Answer, Delivery, Envelope, GateDesk, Letter
from pennyred.metrics.meter import Meter
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason


class CountedDesk:
    """Passes everything on to the desk. The desk counts its own answers; exceptions from it are counted here."""

    def __init__(self, desk: GateDesk, meter: Meter) -> None:
        self._desk = desk
        self._meter = meter

    async def take(self, letter: Letter, envelope: Envelope, delivery: Delivery) -> Answer:
        """See `letterbox.GateDesk.take`; what it raises is counted."""
        try:
            return await self._desk.take(letter, envelope, delivery)
        except Unavailable as unavailable:
            self._meter.failed(unavailable.reason, len(envelope.recipients))
            raise
        except Exception:
            self._meter.failed(Reason.INTERNAL, len(envelope.recipients))
            raise

    async def free_recipients(
        self, sender: bytes, source_ip: str, mailboxes: Sequence[bytes]
    ) -> Sequence[bool | None] | None:
        """Ask the desk which recipients are free, as `letterbox.GateDesk.free_recipients` says."""
        return await self._desk.free_recipients(sender, source_ip, mailboxes)

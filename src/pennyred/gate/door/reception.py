"""Takes a letter from the wire to the desk, and makes the desk's answer a reply."""

import secrets

from pennyred.gate.door.gatehouse import Gatehouse
from pennyred.gate.letterbox import (
    Answer,
    Due,
    Duplicate,
    Envelope,
    Later,
    MirrorAnswer,
    Mirrored,
    NoProbe,
    Relay,
)
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.letter_end import LetterStream
from pennyred.gate.smtp.sources import Source
from pennyred.gate.smtp.spool import Problem, ReceivedLetter, Spool
from pennyred.gate.upstream.delivery import LetterDelivery
from pennyred.gate.upstream.transaction import Transaction
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

_PROBLEMS = {
    Problem.TOO_BIG: replies.TOO_BIG,
    Problem.HEADER_TOO_BIG: replies.HEADER_TOO_BIG,
    Problem.NO_MEMORY: replies.NO_MEMORY,
}


class LetterSink:
    """Takes a letter off the wire into a `Spool` (implements `occupant.Sink`)."""

    __slots__ = ("_house", "_spool", "_stream", "_trouble")

    def __init__(self, house: Gatehouse, stream: LetterStream, source: Source) -> None:
        self._house = house
        self._stream = stream
        self._spool = Spool(house.options.spool, house.memory.share(), house.disk.share(source))
        self._trouble: OSError | None = None

    def take(self, data: bytes) -> bytes | None:
        """Take a piece of the letter, as `occupant.Sink.take` says."""
        piece = self._stream.feed(data)
        if self._trouble is None:
            try:
                self._spool.write(piece)
            except OSError as error:
                # The disk may be full. The letter is read to its end, so that the client is answered "later".
                self._trouble = error
                self._spool.discard()
        return self._stream.rest if self._stream.is_complete else None

    @property
    def refusal(self) -> bytes | None:
        """The reply that refuses the letter, if that is known already; else None."""
        return _PROBLEMS[self._spool.problem] if self._spool.problem is not None else None

    def finish(self, milliseconds: int) -> ReceivedLetter | bytes:
        """The whole letter, or the reply that refuses it; `milliseconds` is how long it took to come."""
        if self._trouble is None:
            try:
                letter = self._spool.finish(milliseconds)
            except OSError as error:
                self._trouble = error
        if self._trouble is not None:
            self._house.log.warning("smtp.not_kept", detail=str(self._trouble))
            return replies.NOT_KEPT
        if letter is Problem.NO_MEMORY:
            self._house.memory.note_shortage("a header section")
        if isinstance(letter, Problem):
            return _PROBLEMS[letter]
        refusal = self._refusal(letter)
        if refusal:
            letter.close()
        return refusal or letter

    def _refusal(self, letter: ReceivedLetter) -> bytes:
        stream, options = self._stream, self._house.options
        if (stream.has_bare_newline or stream.has_nul) and options.is_bare_newline_refused:
            return replies.BARE_NEWLINE if stream.has_bare_newline else replies.NUL_IN_LETTER
        if options.hops_max and len(letter.header.raws(b"received")) > options.hops_max:
            return replies.TOO_MANY_HOPS
        return b""

    def discard(self) -> None:
        """Forget what has come, unless `finish` has given it away."""
        self._spool.discard()


async def take_to_desk(
    house: Gatehouse,
    letter: ReceivedLetter,
    envelope: Envelope,
    transaction: Transaction,
    delivery: LetterDelivery,
    *,
    is_for_mirror: bool = False,
) -> bytes:
    """Have the letter judged and delivered; returns the reply for the client, ready for the wire.

    A letter for the mirror goes there instead: it is only looked at.

    Closes the letter and the transaction. Raises nothing: an unexpected error is logged and answered "later".
    """
    house.letters += 1
    try:
        if is_for_mirror and house.mirror is not None:
            return _reply_to(house, await house.mirror.take(letter, envelope), envelope)
        return _reply_to(house, await house.desk.take(letter, envelope, delivery), envelope)
    except Unavailable as trouble:
        house.log.warning("smtp.unavailable", command="DATA", detail=str(trouble))
        return replies.later(trouble.reason)
    except Exception as error:  # noqa: BLE001 - whatever explodes is "later"
        return internal(house, error, "smtp.letter_failed", source=envelope.source_ip)
    finally:
        house.letters -= 1
        letter.close()
        transaction.end()


def internal(house: Gatehouse, error: Exception, event: str, **facts: str) -> bytes:
    """Log an unexpected exception. The reply has a reference to the log line and tells nothing else."""
    reference = secrets.token_hex(4)
    house.log.error(event, ref=reference, exc_info=error, **facts)
    return replies.later(Reason.INTERNAL, reference)


def _reply_to(house: Gatehouse, answer: Answer | MirrorAnswer, envelope: Envelope) -> bytes:
    match answer:
        case Relay(delivered):
            return replies.relayed(delivered, envelope.recipients)
        case Duplicate():
            return replies.DUPLICATE
        case Due(recipient):
            options = house.options
            mailbox = envelope.recipients[recipient]
            return replies.postage_due(mailbox, answer, issuers=options.issuers, help_url=options.help_url)
        case Later(reason, reference):
            return replies.later(reason, reference)
        case Mirrored():
            return replies.MIRRORED
        case NoProbe():
            return replies.NO_PROBE

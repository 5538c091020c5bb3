"""Sends a letter to the mail server, in the transaction that it came with, and waits for the reply.

If no reply comes after the letter's end, it is in doubt whether the mail server has the letter (`sending`: its end is
the final dot, or the last chunk).
"""

import asyncio
import re
from collections.abc import Sequence
from itertools import chain

from pennyred.gate.letterbox import Delivered, Fate, Reply
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.spool import ReceivedLetter
from pennyred.gate.upstream.connection import Connection, Refused
from pennyred.gate.upstream.sending import by_data, in_chunks
from pennyred.gate.upstream.transaction import Transaction
from pennyred.postage.errors import Unavailable

_MBOX_LINES = re.compile(rb"(?:>*From (?![ \t]*:)[^\r\n]*(?:\r\n|\Z))+")
"""One or more "From " lines of an mbox file, as Postfix knows them. `From :` is none: it is the field in its obsolete
form (RFC 5322 section 4.5), and may be folded."""
_BEGINS_ODDLY = re.compile(rb"[ \t]|>*From ")
"""What goes by DATA always. By BDAT Postfix takes a "From " line on top for the end of the header, and a folded one for
the rest of its own Received field; by DATA for a line of an mbox, and for text."""


class LetterDelivery:
    """Sends one letter in the transaction that it came with (implements `letterbox.Delivery`)."""

    def __init__(
        self,
        transaction: Transaction,
        letter: ReceivedLetter,
        trace: bytes = b"",
        places: Sequence[int] | None = None,
    ) -> None:
        """`trace` is a field to put above the letter. `places` numbers the transaction's recipients that are in the
        envelope, where a mailbox named twice is once; None: all of them.
        """
        self._transaction = transaction
        self._places = places
        self._letter = letter
        self._trace = trace
        self.answers_each = transaction.is_lmtp

    async def send(self, recipients: Sequence[int], fields: bytes, header: bytes, *, dot_before: float) -> Delivered:
        """Send the letter and return the reply for each recipient; see `letterbox.Delivery`."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        count = len(recipients)
        if self._places is not None:
            recipients = [self._places[index] for index in recipients]
        mailboxes = tuple(self._transaction.mailboxes[place] for place in recipients)

        def delivered(fates: Sequence[Fate], answers: Sequence[Reply | None], detail: str = "") -> Delivered:
            return Delivered(tuple(fates), tuple(answers), mailboxes, round((loop.time() - begun) * 1000), detail)

        head = self._head(fields, header)
        may_chunk = _BEGINS_ODDLY.match(head[0] or head[1]) is None
        try:
            connection = await self._transaction.ready(recipients, in_chunks=may_chunk)
        except Refused as refused:
            self._transaction.end()
            return delivered([replies.fate_of(refused.reply)] * count, [refused.reply] * count)
        except Unavailable as error:
            return delivered([Fate.NOT_SENT] * count, [None] * count, str(error))
        is_clean, is_reset = False, True
        trouble: Unavailable | None = None
        send = in_chunks if may_chunk and connection.takes_chunks else by_data
        try:
            last = await send(connection, chain(head, self._letter.body()))
            if loop.time() >= dot_before:
                return delivered([Fate.NOT_SENT] * count, [None] * count, "no time left before the letter's end")
            futures = connection.end_letter(last, count if self.answers_each else 1)
        except Refused as refused:
            is_clean, is_reset = True, False
            return delivered([replies.fate_of(refused.reply)] * count, [refused.reply] * count)
        except Unavailable as error:
            trouble = error
            return delivered(*self._broken_off(connection, count), str(error))
        else:
            answers, trouble = await self._answers(connection, futures)
            fates = [Fate.IN_DOUBT if answer is None else replies.fate_of(answer) for answer in answers]
            is_clean = Fate.IN_DOUBT not in fates
            # What a refused chunk leaves behind is not the same everywhere (RFC 3030 section 2).
            is_reset = send is by_data or set(fates) == {Fate.ACCEPTED}
            repeated = 1 if self.answers_each else count
            return delivered(fates * repeated, answers * repeated, str(trouble or ""))
        finally:
            self._transaction.finish(connection, is_clean=is_clean, is_reset=is_reset, trouble=trouble)

    def _head(self, fields: bytes, header: bytes) -> tuple[bytes, bytes]:
        """What stands above the letter as it came, and its header section."""
        first, header = _split_off_mbox_lines(header)
        fields += self._trace
        if fields and header[:1] in (b" ", b"\t"):
            # If the letter begins with a folded line, the sender's words would continue the gate's own field.
            fields += b"\r\n"
        return first + fields, header

    def _broken_off(self, connection: Connection, count: int) -> tuple[list[Fate], list[Reply | None]]:
        said = connection.unasked
        if said is not None and replies.is_refusal(said):
            return [replies.fate_of(said)] * count, [said] * count
        return [Fate.NOT_SENT] * count, [None] * count

    async def _answers(
        self, connection: Connection, futures: Sequence[asyncio.Future[Reply]]
    ) -> tuple[list[Reply | None], Unavailable | None]:
        answers: list[Reply | None] = []
        trouble: Unavailable | None = None
        deadline = asyncio.get_running_loop().time() + connection.options.deadlines.answer_seconds
        for future in futures:
            try:
                answers.append(await connection.final_reply(future, deadline))
            except Unavailable as error:
                answers.append(None)
                trouble = error
        return answers, trouble


def _split_off_mbox_lines(header: bytes) -> tuple[bytes, bytes]:
    """Split off the "From " lines that some programs leave on top: mail servers skip them there, nowhere else."""
    found = _MBOX_LINES.match(header)
    end = found.end() if found else 0
    return header[:end], header[end:]

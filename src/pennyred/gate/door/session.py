"""A whole session: the letter comes in by DATA or BDAT, goes to the desk, and the desk's answer goes back.

::

    wire          bytes, deadlines, TLS
    conversation  greeting, commands one after another, answers counted, the end
    formalities   commands that carry no letter
    envelopes     EHLO, MAIL, RCPT
    session       DATA, BDAT, RSET
"""

# ruff: noqa: N802 - the commands are named as aiosmtpd names them

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from secrets import token_hex
from typing import Any, ClassVar

from pennyred.gate.door.chunking import OCTETS_SMALL, ChunkedLetter, parse_chunk
from pennyred.gate.door.conversation import Commands
from pennyred.gate.door.envelopes import Envelopes
from pennyred.gate.door.formalities import argument_of
from pennyred.gate.door.gatehouse import Gatehouse
from pennyred.gate.door.proxying import Peer
from pennyred.gate.door.reception import LetterSink, take_to_desk
from pennyred.gate.door.trace import protocol_name, received_field
from pennyred.gate.letterbox import Envelope
from pennyred.gate.rules.policy import canonical_or_none
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.newlines import LetterStream
from pennyred.gate.smtp.spool import ReceivedLetter
from pennyred.gate.upstream.delivery import LetterDelivery
from pennyred.gate.upstream.transaction import Transaction
from pennyred.postage.address import Recipient


class GateSession(Envelopes):
    """Speaks SMTP as a server; one instance a connection. Commands have aiosmtpd's names, but take the raw line."""

    def __init__(self, house: Gatehouse, peer: Peer | None = None) -> None:
        super().__init__(house, peer)
        self._chunked: ChunkedLetter | None = None

    @property
    def has_letter_begun(self) -> bool:
        """Whether a part of the letter has come: it is too late for recipients."""
        return self._chunked is not None

    def forget(self) -> None:
        """End the transaction, whatever its state."""
        if self._chunked is not None:
            self._chunked.discard()
            self._chunked = None
        super().forget()

    async def smtp_DATA(self, arg: Any) -> None:
        """Take a letter and have it judged and delivered."""
        transaction = self._transaction
        if argument_of(arg):
            self.answer(replies.NO_ARGUMENT_ALLOWED)
        elif transaction is None:
            self.answer(replies.MAIL_FIRST)
        elif self._chunked is not None:
            self.answer(replies.CHUNKS_BEGUN)
        elif not transaction.mailboxes:
            self.answer(replies.NO_VALID_RECIPIENTS if self._asked else replies.RCPT_FIRST)
        elif (letter := await self._receive(transaction)) is not None:
            if isinstance(letter, bytes):
                self.forget()
                self.answer(letter)
            else:
                await self._commit(letter, transaction)

    async def _receive(self, transaction: Transaction) -> ReceivedLetter | bytes | None:
        """The letter, or the reply that refuses it, or None: the client has gone."""
        self._end_class(is_letter_taken=True)
        self.say(replies.START_MAIL_INPUT)
        await self.flush()
        options = self._house.options
        sink = LetterSink(self._house, LetterStream(), self._source())
        begun = self.loop.time()
        # A slow client must not pin a process of the mail server's.
        unpin = self.loop.call_later(options.upstream_pin_seconds, transaction.let_go)
        try:
            if not await self.pour_into(sink, options.transfer_timeout_seconds):
                return None
            return sink.finish(round((self.loop.time() - begun) * 1000))
        finally:
            unpin.cancel()
            sink.discard()

    async def smtp_BDAT(self, arg: Any) -> None:
        """Take a chunk of a letter (RFC 3030); with the last one it is judged and delivered."""
        chunk = parse_chunk(argument_of(arg))
        if chunk is None:
            # Where its octets end nobody can tell: to go on would be to take somebody's letter for commands.
            self.leave_with(replies.CHUNK_SYNTAX)
            return
        letter = self._chunked or self._begin_chunked()
        letter.expect(chunk)
        if chunk.octets > len(self._input):
            await self.flush()  # who is still sending it may already be told of its recipients
        left_seconds = letter.begun + self._house.options.transfer_timeout_seconds - self.loop.time()
        if left_seconds <= 0:
            self.leave_with(replies.TOO_SLOW)
        elif not chunk.octets or await self.pour_into(letter, left_seconds):
            if chunk.is_last:
                await self._end_chunked(letter)
            elif letter.refusal is not None:
                # Counted with NOOP, not as an error: a client may have sent many chunks before it hears of the first.
                self.say(letter.refusal)
                self.count_idle()
            else:
                self.say(replies.CHUNK_TAKEN)
                if chunk.octets < OCTETS_SMALL:
                    self.count_idle()

    def _begin_chunked(self) -> ChunkedLetter:
        """A letter that is taken, or refused from its first chunk to its last; then the transaction ends too."""
        transaction = self._transaction
        letter = self._chunked = ChunkedLetter(self._house, self._source(), self.loop.time())
        if transaction is None:
            letter.refuse(replies.MAIL_FIRST)
            self._chunked = None
        elif not transaction.mailboxes:
            letter.refuse(replies.NO_VALID_RECIPIENTS if self._asked else replies.RCPT_FIRST)
        else:
            self._end_class(is_letter_taken=True)
            # As for DATA: a slow client must not pin a process of the mail server's.
            letter.unpin_later(self.loop.call_later(self._house.options.upstream_pin_seconds, transaction.let_go))
        return letter

    async def _end_chunked(self, chunked: ChunkedLetter) -> None:
        transaction, self._chunked = self._transaction, None
        try:
            letter = chunked.finish(round((self.loop.time() - chunked.begun) * 1000))
        finally:
            chunked.discard()
        if isinstance(letter, bytes) or transaction is None:
            self.forget()
            self.answer(letter if isinstance(letter, bytes) else replies.MAIL_FIRST)
        else:
            await self._commit(letter, transaction)

    async def _commit(self, letter: ReceivedLetter, transaction: Transaction) -> None:
        """The letter's life goes on to its end, whatever becomes of the client: nothing it does ends this task."""
        identity, client = self._identity, self._client
        places = self._places(transaction.mailboxes)
        recipients = tuple(transaction.mailboxes[place] for place in places)
        envelope = Envelope(
            self._sender,
            recipients,
            identity.address,
            client.is_known,
            identity.helo,
            identity.name or "",
            is_from_front=client.is_trusted,
        )
        self._transaction = None  # it is ended at the desk
        self._unpin_later(None)
        delivery = LetterDelivery(transaction, letter, self._trace(recipients), places)
        reply = await take_to_desk(self._house, letter, envelope, transaction, delivery)
        self.forget()
        if replies.is_error(reply):
            self._is_leaving |= replies.is_goodbye(reply)
            self.answer(reply)
        else:
            self._errors = self._idle_commands = 0
            self.say(reply)

    def _places(self, mailboxes: Sequence[bytes]) -> Sequence[int]:
        """Where each recipient is named for the first time: who is named twice, in whatever spelling, is one."""
        places = range(len(mailboxes))
        if len(mailboxes) < 2 or not self._house.options.is_named_once:
            return places
        once: dict[Recipient | bytes, int] = {}
        for place, mailbox in enumerate(mailboxes):
            once.setdefault(canonical_or_none(mailbox) or mailbox, place)
        return tuple(once.values()) if len(once) < len(mailboxes) else places

    def _trace(self, recipients: tuple[bytes, ...]) -> bytes:
        options = self._house.options
        if not options.is_trace_added:
            return b""
        protocol = protocol_name(self._identity, is_tls=self._is_tls, is_utf8=self._is_utf8)
        recipient = recipients[0] if len(recipients) == 1 else None
        date = format_datetime(datetime.now(UTC))
        return received_field(self._identity, options.hostname, protocol, token_hex(6), recipient, date)

    async def smtp_RSET(self, arg: Any) -> None:  # noqa: ARG002
        """Forget the transaction."""
        self.forget()
        self.answer_idle(replies.RESET)

    commands: ClassVar[Commands] = Envelopes.commands | {
        b"DATA": smtp_DATA, b"BDAT": smtp_BDAT, b"RSET": smtp_RSET,
    }  # fmt: skip

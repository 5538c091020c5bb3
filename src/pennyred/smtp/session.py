"""The commands of a session (RFC 5321 section 4.1.1): MAIL and RCPT go to the mail server, others are answered here."""

# ruff: noqa: N802 - the commands are named as aiosmtpd names them

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

from pennyred.postage.errors import MalformedAddress, Unavailable
from pennyred.services.letterbox import Envelope, Reply
from pennyred.smtp import path, replies
from pennyred.smtp.connection import Refused
from pennyred.smtp.conversation import CONTROLS, Conversation
from pennyred.smtp.delivery import Transaction
from pennyred.smtp.gatehouse import Gatehouse
from pennyred.smtp.identity import ClientIdentity, MalformedIdentity, parse_attributes
from pennyred.smtp.mixed import OneClass, Recipient
from pennyred.smtp.reception import LetterSink, take_to_desk
from pennyred.smtp.spool import ReceivedLetter
from pennyred.smtp.wire import LINE_OCTETS_MAX

_BATCH_MAX = 100
"""RCPT commands sent on together."""
_SPARED = (replies.TOO_MANY_RECIPIENTS, replies.OTHER_CLASS)
"""Refusals that do not count as errors, as many in a transaction as there may be recipients."""


class GateSession(Conversation):
    """Speaks SMTP as a server; one instance a connection. Commands have aiosmtpd's names, but take the raw line."""

    def __init__(self, house: Gatehouse) -> None:
        super().__init__(house)
        self._transaction: Transaction | None = None
        self._identity = ClientIdentity("")
        self._sender = b""
        self._is_utf8 = False
        self._asked = 0
        self._one_class: OneClass | None = None
        self._spared = 0

    def forget(self) -> None:
        """End the transaction, whatever its state."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.end()
        self._client.end_transaction()
        self._asked = 0

    # Greeting

    async def smtp_EHLO(self, arg: Any) -> None:
        """Greet, and say what is offered."""
        if self._greet(arg, is_extended=True):
            offered = self._house.pool.capabilities or await self._house.pool.learn()
            self.answer(self._house.hello(offered, is_tls=self._is_tls, is_trusted=self._client.is_trusted))

    async def smtp_HELO(self, arg: Any) -> None:
        """Greet."""
        if self._greet(arg, is_extended=False):
            self.answer(replies.hello(self._house.options.hostname))

    def _greet(self, line: bytes, *, is_extended: bool) -> bool:
        name = _argument(line)
        if not name:
            self.answer(replies.ARGUMENT_MISSING)
            return False
        self.forget()
        self._client.helo, self._client.is_extended = name.decode("ascii"), is_extended
        return True

    # The envelope

    async def smtp_MAIL(self, arg: Any) -> None:
        """Begin a transaction with the mail server; RCPTs that have come along go with it."""
        if not self._client.helo:
            self.answer(replies.HELO_FIRST)
        elif self._transaction is not None:
            self.answer(replies.NESTED_MAIL)
        else:
            try:
                parsed = path.parse_mail(_argument(arg))
            except MalformedAddress as error:
                self.answer(replies.bad_address(str(error)))
                return
            if not parsed.is_ascii and not parsed.is_utf8:
                self.answer(replies.UTF8_NOT_DECLARED)
            elif parsed.size is not None and parsed.size > self._house.options.spool.letter_bytes_max:
                self.answer(replies.TOO_BIG)
            else:
                self._asked = self._spared = 0
                self._sender, self._is_utf8 = parsed.mailbox, parsed.is_utf8
                await self._begin(arg, self._recipients_at_hand())

    async def _begin(self, mail: bytes, recipients: Sequence[Recipient]) -> None:
        self._identity = await self._client.identity(self._house.name_lookup)
        self._one_class = None
        recipients, waiting = self._of_one_class(recipients)
        transaction = Transaction(self._house.pool, self._identity)
        try:
            said = await transaction.begin(mail, _asked_for(recipients))
        except Refused as refused:
            self.relay(refused.reply)
        except Unavailable as trouble:
            self.answer(self.later(trouble, "MAIL"))
        else:
            self.relay(said[0])
            if replies.is_success(said[0]):
                self._transaction = transaction
            else:
                transaction.end()
            self._answer_recipients(recipients, said[1:])
            if self._transaction is not None:
                await self._add(transaction, waiting)
                return
            recipients = ()
        for _ in (*recipients, *waiting):
            self.answer(replies.MAIL_FIRST)

    async def smtp_RCPT(self, arg: Any) -> None:
        """Ask the mail server for one more recipient, or for as many as have come along."""
        transaction = self._transaction
        if transaction is None:
            self.answer(replies.MAIL_FIRST)
            return
        await self._add(transaction, [self._recipient(arg), *self._recipients_at_hand()])

    async def _add(self, transaction: Transaction, recipients: Sequence[Recipient]) -> None:
        while recipients:
            asking, recipients = self._of_one_class(recipients, transaction.mailboxes)
            said: list[Reply] = []
            if asked := _asked_for(asking):
                try:
                    said = await transaction.add(asked)
                except Unavailable as trouble:
                    later = self.later(trouble, "RCPT")
                    asking = [later if isinstance(item, tuple) else item for item in asking]
            self._answer_recipients(asking, said)

    def _of_one_class(
        self, recipients: Sequence[Recipient], accepted: Sequence[bytes] = ()
    ) -> tuple[Sequence[Recipient], Sequence[Recipient]]:
        """Those to ask for now and those to ask for next; see `OneClass.ready`. A single recipient costs nothing."""
        if not self._house.options.is_mixed_split or len(recipients) + len(accepted) < 2:
            return recipients, ()
        if self._one_class is None:
            self._one_class = OneClass(self._house.desk, self._sender, self._identity.address)
        return self._one_class.ready(recipients, accepted)

    def _recipients_at_hand(self) -> list[Recipient]:
        """The RCPT commands that directly follow and have come already."""
        found: list[Recipient] = []
        while len(found) < _BATCH_MAX and self._input[:5].upper() == b"RCPT ":
            if not 0 <= self.line_end() <= LINE_OCTETS_MAX or (line := self.line_at_hand()) is None:
                break
            found.append(self._recipient(line))
        return found

    def _recipient(self, line: bytes) -> Recipient:
        if CONTROLS.search(line) is not None:
            return replies.BAD_CHARACTERS
        try:
            parsed = path.parse_rcpt(_argument(line))
        except MalformedAddress as error:
            return replies.bad_address(str(error))
        if not parsed.is_ascii and not self._is_utf8:
            return replies.UTF8_NOT_DECLARED
        if self._asked >= self._house.options.recipients_max:
            return replies.TOO_MANY_RECIPIENTS
        self._asked += 1
        return line, parsed.mailbox

    def _answer_recipients(self, recipients: Sequence[Recipient], said: Sequence[Reply]) -> None:
        answers = iter(said)
        for item in recipients:
            if self._is_leaving:
                return
            if item in _SPARED and self._spared < self._house.options.recipients_max:
                # No mistake of an honest client's, which says all it has and keeps these for its next letter.
                self._spared += 1
                self.say(item)
            elif isinstance(item, bytes):
                self.answer(item)
            else:
                self.relay(next(answers))

    # The letter

    async def smtp_DATA(self, arg: Any) -> None:
        """Take a letter and have it judged and delivered."""
        transaction = self._transaction
        if _argument(arg):
            self.answer(replies.NO_ARGUMENT_ALLOWED)
        elif transaction is None:
            self.answer(replies.MAIL_FIRST)
        elif not transaction.mailboxes:
            self.answer(replies.NO_VALID_RECIPIENTS if self._asked else replies.RCPT_FIRST)
        elif (letter := await self._receive(transaction)) is not None:
            if isinstance(letter, bytes):
                self.forget()
                self.answer(letter)
            else:
                await self._commit(letter, transaction)

    async def _receive(self, transaction: Transaction) -> ReceivedLetter | bytes | None:
        """The letter, or the reply that refuses it, or None: the client has gone. Raises OSError: it cannot be kept."""
        self.say(replies.START_MAIL_INPUT)
        await self.flush()
        options = self._house.options
        sink = LetterSink(self._house)
        begun = self.loop.time()
        # A slow client must not pin a process of the mail server's.
        unpin = self.loop.call_later(options.upstream_pin_seconds, transaction.let_go)
        try:
            if not await self.pour_into(sink, options.transfer_timeout_seconds):
                return None
            return sink.finish(round((self.loop.time() - begun) * 1000))
        except OSError:
            self.forget()
            raise
        finally:
            unpin.cancel()
            sink.discard()

    async def _commit(self, letter: ReceivedLetter, transaction: Transaction) -> None:
        """The letter's life goes on to its end, whatever becomes of the client: nothing it does ends this task."""
        identity, client = self._identity, self._client
        recipients = tuple(transaction.mailboxes)
        envelope = Envelope(
            self._sender, recipients, identity.address, client.is_known, identity.helo, identity.name or ""
        )
        self._transaction = None  # it is ended at the desk
        reply = await take_to_desk(self._house, letter, envelope, transaction)
        self.forget()
        if replies.is_error(reply):
            self.answer(reply)
            self._is_leaving |= replies.is_goodbye(reply)
        else:
            self._errors = self._idle_commands = 0
            self.say(reply)

    # What brings no letter nearer

    async def smtp_RSET(self, arg: Any) -> None:  # noqa: ARG002
        """Forget the transaction."""
        self.forget()
        self.answer_idle(replies.RESET)

    async def smtp_NOOP(self, arg: Any) -> None:  # noqa: ARG002
        """Do nothing."""
        self.answer_idle(replies.OK)

    async def smtp_VRFY(self, arg: Any) -> None:
        """Neither confirm nor deny."""
        self.answer_idle(replies.CANNOT_VERIFY if _argument(arg) else replies.ARGUMENT_MISSING)

    async def smtp_HELP(self, arg: Any) -> None:  # noqa: ARG002
        """Say where to read on."""
        self.answer_idle(replies.HELP)

    async def smtp_EXPN(self, arg: Any) -> None:  # noqa: ARG002
        """Lists are nobody's business; and nobody authenticates here."""
        self.answer_idle(replies.NOT_IMPLEMENTED)

    async def smtp_QUIT(self, arg: Any) -> None:  # noqa: ARG002
        """Part."""
        self.leave_with(replies.GOODBYE)

    # Before it all

    async def smtp_STARTTLS(self, arg: Any) -> None:
        """Change to TLS; the session begins anew (RFC 3207 section 4.2)."""
        if _argument(arg):
            self.answer(replies.NO_ARGUMENT_ALLOWED)
        elif self._is_tls:
            self.answer(replies.TLS_ACTIVE)
        elif self._house.tls is None:
            self.answer(replies.TLS_UNAVAILABLE)
        else:
            self.forget()
            self._client.begin_anew()
            self._is_leaving = not await self.start_tls(self._house.tls, replies.READY_FOR_TLS)

    async def smtp_XCLIENT(self, arg: Any) -> None:
        """A trusted front says who its client is; the session begins anew (XCLIENT_README)."""
        if (attributes := self._attributes(_argument(arg))) is not None:
            self._client.tell_session(attributes)
            self.answer(replies.greeting(self._house.options.hostname))

    async def smtp_XFORWARD(self, arg: Any) -> None:
        """A trusted front says who its client is, for one transaction (XFORWARD_README)."""
        if (attributes := self._attributes(_argument(arg))) is not None:
            self._client.tell_transaction(attributes)
            self.answer(replies.OK)

    def _attributes(self, argument: bytes) -> dict[str, str | None] | None:
        if not self._client.is_trusted:
            self.answer(replies.NOT_A_FRONT)
        elif self._transaction is not None:
            self.answer(replies.IN_TRANSACTION)
        else:
            try:
                return parse_attributes(argument)
            except MalformedIdentity as error:
                self.answer(replies.bad_attributes(str(error)))
        return None

    commands: ClassVar[Mapping[bytes, Callable[[Any, bytes], Awaitable[None]]]] = {
        b"EHLO": smtp_EHLO, b"HELO": smtp_HELO, b"MAIL": smtp_MAIL, b"RCPT": smtp_RCPT, b"DATA": smtp_DATA,
        b"RSET": smtp_RSET, b"NOOP": smtp_NOOP, b"QUIT": smtp_QUIT, b"VRFY": smtp_VRFY, b"HELP": smtp_HELP,
        b"EXPN": smtp_EXPN, b"AUTH": smtp_EXPN, b"STARTTLS": smtp_STARTTLS, b"XCLIENT": smtp_XCLIENT,
        b"XFORWARD": smtp_XFORWARD,
    }  # fmt: skip


def _argument(line: bytes) -> bytes:
    return line.partition(b" ")[2].strip(b" ")


def _asked_for(recipients: Sequence[Recipient]) -> list[tuple[bytes, bytes]]:
    return [item for item in recipients if isinstance(item, tuple)]

"""The envelope (RFC 5321 section 4.1.1): greeting, MAIL and RCPT. The last two go to the mail server as they came, and
its replies come back as it gave them.
"""

# ruff: noqa: N802 - the commands are named as aiosmtpd names them

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from pennyred.gate.door.conversation import CONTROLS, Commands
from pennyred.gate.door.formalities import Formalities, argument_of
from pennyred.gate.door.gatehouse import Gatehouse
from pennyred.gate.door.one_policy import OneClass, Recipient
from pennyred.gate.door.proxying import Peer
from pennyred.gate.door.wire import LINE_OCTETS_MAX
from pennyred.gate.letterbox import Reply
from pennyred.gate.smtp import path, replies
from pennyred.gate.smtp.sources import NOBODY, Source, is_within, source_of
from pennyred.gate.upstream.connection import Refused
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.gate.upstream.transaction import TooSlow, Transaction
from pennyred.postage.errors import MalformedAddress, Unavailable

_BATCH_MAX = 100
"""RCPT commands sent on together."""
_ENVELOPE_OCTETS = 32 * 1024
"""What the recipients of a letter may take in memory by right: at least a dozen, of usual length sixty."""
_RECIPIENT_OCTETS = 400
"""What each takes beside its line and its mailbox, until its letter is answered."""
_SPARED = (replies.TOO_MANY_RECIPIENTS, replies.OTHER_CLASS)
"""Refusals that do not count as errors, as many in a transaction as there may be recipients."""


class Envelopes(Formalities):
    """A session as far as the letter itself."""

    def __init__(self, house: Gatehouse, peer: Peer | None = None) -> None:
        super().__init__(house, peer)
        self._transaction: Transaction | None = None
        self._identity = ClientIdentity("")
        self._sender = b""
        self._is_utf8 = False
        self._asked = 0
        self._one_class: OneClass | None = None
        self._spared = 0
        self._unpin: asyncio.TimerHandle | None = None
        self._asked_at = 0.0
        self._envelope_share = house.memory.share(_ENVELOPE_OCTETS)

    @property
    def is_in_transaction(self) -> bool:
        """Whether MAIL has been accepted and its letter not yet answered."""
        return self._transaction is not None

    def forget(self) -> None:
        """End the transaction, whatever its state."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.end()
        self._end_class(is_letter_taken=False)
        self._unpin_later(None)
        self._client.end_transaction()
        self._asked = 0
        self._envelope_share.release()

    def _end_class(self, *, is_letter_taken: bool) -> None:
        """There will be no more recipients; where no letter is taken either, they were given up."""
        one_class, self._one_class = self._one_class, None
        if one_class is not None and one_class.put_off and not is_letter_taken:
            one_class.give_up()
            if self._client.is_trusted:
                self._house.given_up.warn(self._client.address)

    @property
    def has_letter_begun(self) -> bool:
        """Whether a part of the letter has come: it is too late for recipients."""
        raise NotImplementedError

    # Greeting

    async def smtp_EHLO(self, arg: Any) -> None:
        """Greet, and say what is offered."""
        if name := self._name_in(arg):
            offered = self._house.upstreams.capabilities or await self._house.upstreams.learn()
            reply = self._house.hello(offered, is_tls=self._is_tls, is_trusted=self._client.is_trusted)
            self._greet(name, reply, is_extended=True)

    async def smtp_HELO(self, arg: Any) -> None:
        """Greet."""
        if name := self._name_in(arg):
            self._greet(name, replies.hello(self._house.options.hostname), is_extended=False)

    def _name_in(self, line: bytes) -> str:
        name = argument_of(line)
        if not name:
            self.answer(replies.ARGUMENT_MISSING)
        return name.decode("ascii")

    def _greet(self, name: str, reply: bytes, *, is_extended: bool) -> None:
        self.forget()
        self.answer(reply)
        if self._client.helo:
            self.count_idle()  # the first time it is how mail begins; again and again it is a way to keep us busy
        self._client.helo, self._client.is_extended = name, is_extended

    # The envelope

    async def smtp_MAIL(self, arg: Any) -> None:
        """Begin a transaction with the mail server; RCPTs that have come along go with it."""
        if not self._client.helo:
            self.answer(replies.HELO_FIRST)
        elif self._transaction is not None:
            self.answer(replies.NESTED_MAIL)
        else:
            try:
                parsed = path.parse_mail(argument_of(arg))
            except MalformedAddress as error:
                self.answer(replies.bad_address(str(error)))
                return
            if not parsed.is_ascii and not parsed.is_utf8:
                self.answer(replies.UTF8_NOT_DECLARED)
            elif parsed.is_binary:
                self.answer(replies.BINARY_NOT_OFFERED)
            elif parsed.is_tls_required and not self._is_tls:
                self.answer(replies.TLS_NEEDED)
            elif parsed.size is not None and parsed.size > self._house.options.spool.letter_bytes_max:
                self.answer(replies.TOO_BIG)
            else:
                self._asked = self._spared = 0
                self._envelope_share.release()
                self._is_utf8 = parsed.is_utf8
                self._sender = parsed.mailbox
                await self._begin(arg, self._recipients_at_hand())

    async def _begin(self, mail: bytes, recipients: Sequence[Recipient]) -> None:
        self._identity = await self._client.identity(self._house.name_lookup)
        self._one_class = None
        recipients, waiting = await self._of_one_class(recipients)
        transaction = Transaction(self._house.upstreams, self._identity, self._source())
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
                self._asked_at = self.loop.time()
                self._unpin_later(self._house.options.upstream_pin_seconds)
            else:
                transaction.end()
            self._answer_recipients(recipients, said[1:])
            if self._transaction is not None:
                await self._add(transaction, waiting)
                return
            recipients = ()
        self._answer_recipients([replies.MAIL_FIRST] * (len(recipients) + len(waiting)), ())

    def _source(self) -> Source:
        """On whose account its connections go: nobody's where a front does not say whose, or the network is exempt."""
        address = self._identity.address
        is_counted = self._client.is_known and not is_within(address, self._house.options.uncounted_networks)
        return source_of(address) if is_counted else NOBODY

    def _unpin_later(self, seconds: float | None) -> None:
        """Look in so many seconds whether the client says nothing; None: no more."""
        if self._unpin is not None:
            self._unpin.cancel()
        self._unpin = None if seconds is None else self.loop.call_later(seconds, self._unpin_if_idle)

    def _unpin_if_idle(self) -> None:
        """A client that begins a transaction and is silent must not pin a process of the mail server's: with as many
        as there are connections, nobody else's letter would get through. MAIL and RCPT are said again when it goes on.
        """
        if self._transaction is None:
            return
        pin_seconds = self._house.options.upstream_pin_seconds
        silent_seconds = self.loop.time() - self._asked_at
        if self.is_waiting and silent_seconds >= pin_seconds:
            self._transaction.let_go()
            silent_seconds = 0.0
        self._unpin_later(pin_seconds - silent_seconds if self.is_waiting else pin_seconds)

    async def smtp_RCPT(self, arg: Any) -> None:
        """Ask the mail server for one more recipient, or for as many as have come along."""
        transaction = self._transaction
        if transaction is None:
            self.answer(replies.MAIL_FIRST)
            return
        if self.has_letter_begun:
            self.answer(replies.CHUNKS_BEGUN)
            return
        await self._add(transaction, [self._recipient(arg), *self._recipients_at_hand()])

    async def _add(self, transaction: Transaction, recipients: Sequence[Recipient]) -> None:
        while recipients:
            self._asked_at = self.loop.time()
            asking, recipients = await self._of_one_class(recipients, transaction.mailboxes)
            said: list[Reply] = []
            if asked := _asked_for(asking):
                try:
                    said = await transaction.add(asked)
                except TooSlow:
                    asking = [replies.TOO_MANY_RECIPIENTS if isinstance(item, tuple) else item for item in asking]
                except Unavailable as trouble:
                    later = self.later(trouble, "RCPT")
                    asking = [later if isinstance(item, tuple) else item for item in asking]
            self._answer_recipients(asking, said)

    async def _of_one_class(
        self, recipients: Sequence[Recipient], accepted: Sequence[bytes] = ()
    ) -> tuple[Sequence[Recipient], Sequence[Recipient]]:
        """Those to ask for now and those to ask for next; see `OneClass.ready`. A single recipient costs nothing."""
        if not self._house.options.is_mixed_split or len(recipients) + len(accepted) < 2:
            return recipients, ()
        if self._one_class is None:
            source = self._identity.address
            self._one_class = OneClass(self._house.desk, self._sender, source, self._house.given_up)
        return await self._one_class.ready(recipients, accepted)

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
            parsed = path.parse_rcpt(argument_of(line))
        except MalformedAddress as error:
            return replies.bad_address(str(error))
        if not parsed.is_ascii and not self._is_utf8:
            return replies.UTF8_NOT_DECLARED
        if self._asked >= self._house.options.recipients_max:
            return replies.TOO_MANY_RECIPIENTS
        share = self._envelope_share
        if not share.hold(share.held + len(line) + len(parsed.mailbox) + _RECIPIENT_OCTETS):
            self._house.memory.note_shortage("recipients")
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

    commands: ClassVar[Commands] = Formalities.commands | {
        b"EHLO": smtp_EHLO, b"HELO": smtp_HELO, b"MAIL": smtp_MAIL, b"RCPT": smtp_RCPT,
    }  # fmt: skip


def _asked_for(recipients: Sequence[Recipient]) -> list[tuple[bytes, bytes]]:
    return [item for item in recipients if isinstance(item, tuple)]

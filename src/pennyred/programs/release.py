"""Delivers refused letters after all: to the gate's mail server, with the envelope and client that they came with.

The copy is removed only after the mail server's 2xx. After a crash between the two, a letter may be delivered twice. It
is never lost.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Self

from pennyred.config import GateSettings
from pennyred.days import utc_day
from pennyred.failures import told
from pennyred.gate.door.trace import received_field
from pennyred.gate.letterbox import Fate, Reply
from pennyred.gate.memory.permits import Kind, Permit, Permits
from pennyred.gate.memory.store import GateState
from pennyred.gate.ports import PermitBook
from pennyred.gate.quarantine.approval import approve_sender
from pennyred.gate.quarantine.folder import Quarantine
from pennyred.gate.quarantine.keptletter import KeptLetter
from pennyred.gate.rules.grants import users_of
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.path import parse_mail, parse_rcpt
from pennyred.gate.smtp.spool import ReceivedLetter, Spool, SpoolLimits
from pennyred.gate.upstream.choice import Upstreams
from pennyred.gate.upstream.connection import Refused
from pennyred.gate.upstream.delivery import LetterDelivery
from pennyred.gate.upstream.identity import ClientIdentity, plain_address
from pennyred.gate.upstream.transaction import Transaction
from pennyred.postage.address import canonical_recipient
from pennyred.postage.errors import Malformed, PennyRedError, Unavailable
from pennyred.postage.letter import HeaderSection
from pennyred.programs.clock import clock
from pennyred.programs.gate_parts import upstream_options
from pennyred.programs.policy import gate_hostname

Approve = Callable[[KeptLetter, HeaderSection], Awaitable[str]]
"""Approves a letter's sender, and returns what to tell about it. May raise `Unavailable`."""


@dataclass(frozen=True, slots=True)
class Released:
    """The result of the release of one letter."""

    letter: KeptLetter
    fate: Fate
    said: str
    """The mail server's reply, or why there is none."""
    is_kept: bool = True
    """Whether the copy is still there."""
    approved: str = ""
    """What was approved; empty if no sender was to be approved."""
    trouble: str = ""
    """What failed after the delivery; empty if nothing did."""


class StatePermits:
    """Writes approved senders into the gate's state. Implements `ports.PermitBook`."""

    def __init__(self, permits: Permits, delimiter: str) -> None:
        self._permits = permits
        self._delimiter = delimiter

    async def add(self, user: str, kind: str, name: str, proof: str, *, expires_day: int | None) -> None:
        """Add a permit for the mailbox without its tag, as `ports.PermitBook.add` says."""
        owner = users_of(canonical_recipient(user), self._delimiter)[-1]
        await self._permits.add(Permit(owner, Kind(kind), name, proof, utc_day(clock()), expires_day))


@asynccontextmanager
async def open_permits(gate: GateSettings) -> AsyncIterator[PermitBook]:
    """Open the book in which the gate finds approved senders; raises Unavailable."""
    state = GateState.open(gate.state, now=clock())
    try:
        yield StatePermits(state.permits, gate.recipient_delimiter)
    finally:
        await state.close()


def approver(book: PermitBook) -> Approve:
    """The call that writes approved senders into this book."""

    async def approve(letter: KeptLetter, header: HeaderSection) -> str:
        origin = letter.head.origin
        return await approve_sender(
            book, user=letter.recipient, header=header, source=origin.source, authenticated=origin.authenticated
        )

    return approve


class Releaser:
    """Releases letters one by one and keeps its connections; an asynchronous context manager."""

    def __init__(
        self, gate: GateSettings, quarantine: Quarantine, *, approve: Approve | None, is_keeping: bool, log: Any
    ) -> None:
        """`is_keeping`: the copy stays after the delivery. Raises OSError if certificates cannot be read."""
        self._gate = gate
        self._quarantine = quarantine
        self._approve = approve
        self._is_keeping = is_keeping
        self._upstreams = Upstreams(upstream_options(gate), log, clock=time.monotonic, random=random.random)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._upstreams.close()

    async def release(self, letter: KeptLetter) -> Released:
        """Deliver a letter; then approve its sender and remove the copy.

        The mail server's reply, or its silence, is in the result. Raises `UnknownLetter` if the copy is gone,
        `Malformed` if its envelope cannot be read, and OSError.
        """
        client = _client(letter)
        received, is_eight_bit = self._read(letter)
        try:
            fate, said = await self._deliver(letter, received, client, is_eight_bit=is_eight_bit)
        finally:
            received.close()
        if fate is not Fate.ACCEPTED:
            return Released(letter, fate, said)
        approved, trouble = await self._approved(letter, received.header)
        if not self._is_keeping:
            try:
                self._quarantine.remove(letter)
            except OSError as error:
                trouble = f"delivered, but its copy could not be removed: {told(error)}"
                return Released(letter, fate, said, approved=approved, trouble=trouble)
        return Released(letter, fate, said, is_kept=self._is_keeping, approved=approved, trouble=trouble)

    async def _approved(self, letter: KeptLetter, header: HeaderSection) -> tuple[str, str]:
        if self._approve is None:
            return "", ""
        try:
            return await self._approve(letter, header), ""
        except PennyRedError as error:  # the letter is delivered, and must not be delivered again
            return "", f"delivered, but its sender could not be approved: {error}"

    def _read(self, letter: KeptLetter) -> tuple[ReceivedLetter, bool]:
        """Read the letter as the gate's door would give it; also returns whether it has octets beyond ASCII."""
        spool = Spool(SpoolLimits(letter.head.size, directory=self._gate.spool))
        is_eight_bit = False
        try:
            for piece in self._quarantine.pieces(letter):
                spool.write(piece)
                is_eight_bit = is_eight_bit or not piece.isascii()
            received = spool.finish(0)
        finally:
            spool.discard()
        if not isinstance(received, ReceivedLetter):
            raise Malformed(f"the refused letter {letter.id} is no letter")
        return received, is_eight_bit

    async def _deliver(
        self, letter: KeptLetter, received: ReceivedLetter, client: ClientIdentity, *, is_eight_bit: bool
    ) -> tuple[Fate, str]:
        mail, rcpt = await self._lines(letter, is_eight_bit=is_eight_bit)
        transaction = Transaction(self._upstreams, client)
        try:
            answers = await transaction.begin(mail, [(rcpt, letter.head.recipient)])
        except Refused as refused:
            answers = [refused.reply]
        except Unavailable as error:
            return Fate.NOT_SENT, str(error)
        refusal = next((answer for answer in answers if not replies.is_success(answer)), None)
        if refusal is not None:
            transaction.end()
            return _fate_of_refusal(refusal), refusal.text
        field = f"X-Postage-Released: {_now()}\r\n".encode("ascii")
        delivery = LetterDelivery(transaction, received, self._trace(letter, client))
        dot_before = asyncio.get_running_loop().time() + self._gate.transfer_timeout_seconds
        delivered = await delivery.send([0], field, received.header.raw, dot_before=dot_before)
        return delivered.fates[0], delivered.reply.text if delivered.reply else delivered.detail

    async def _lines(self, letter: KeptLetter, *, is_eight_bit: bool) -> tuple[bytes, bytes]:
        """The MAIL and RCPT lines. Their first parameters are not kept: only what the letter needs is said.

        SMTPUTF8 is said for addresses only. If it were said for a header, a mail server might have to bounce it.
        """
        offered = await self._upstreams.learn()
        keywords = offered.keywords if offered is not None else frozenset()
        sender, recipient = letter.head.origin.sender, letter.head.recipient
        mail = b"FROM:<%s>" % sender
        mail += b" SIZE=%d" % letter.head.size if "SIZE" in keywords else b""
        mail += b" BODY=8BITMIME" if is_eight_bit and "8BITMIME" in keywords else b""
        mail += b"" if sender.isascii() and recipient.isascii() else b" SMTPUTF8"
        rcpt = b"TO:<%s>" % recipient
        # Others may have written the file: a line end in it must not make another command.
        if parse_mail(mail).mailbox != sender or parse_rcpt(rcpt).mailbox != recipient:
            raise Malformed(f"the refused letter {letter.id} has no envelope")
        return b"MAIL " + mail, b"RCPT " + rcpt

    def _trace(self, letter: KeptLetter, client: ClientIdentity) -> bytes:
        if self._gate.upstream_identity != "none":
            return b""
        hostname = gate_hostname(self._gate)
        recipient = letter.head.recipient
        return received_field(client, hostname, client.protocol, secrets.token_hex(6), recipient, _now())


def _client(letter: KeptLetter) -> ClientIdentity:
    origin = letter.head.origin
    try:
        address = plain_address(origin.source)
    except ValueError as error:
        raise Malformed(f"the refused letter {letter.id} does not say which address it came from") from error
    # The reply to EHLO begins with the greeting, on a line of its own.
    return ClientIdentity(address, helo=origin.helo if origin.helo.isprintable() else "", name=origin.client_name)


def _fate_of_refusal(reply: Reply) -> Fate:
    fate = replies.fate_of(reply)
    return fate if fate in (Fate.REFUSED_PERMANENT, Fate.REFUSED_TEMPORARY) else Fate.NOT_SENT


def _now() -> str:
    return format_datetime(datetime.now(UTC))

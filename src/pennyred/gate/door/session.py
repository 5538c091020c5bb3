"""One client's session: all that is known of it, and the steps that its commands have in common.

A session has a wire (bytes, deadlines, TLS). `conversation` reads commands and looks them up in a table; each command
is a function of a session and a line (`commands`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from pennyred.gate.door.admission import Ticket
from pennyred.gate.door.chunking import ChunkedLetter
from pennyred.gate.door.client import Client
from pennyred.gate.door.gatehouse import Gatehouse, GateOptions
from pennyred.gate.door.one_policy import OneClass
from pennyred.gate.door.proxying import Peer
from pennyred.gate.door.wire import Wire
from pennyred.gate.letterbox import Reply
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.memory_budget import Share
from pennyred.gate.smtp.sources import NOBODY, Source, is_within, source_of
from pennyred.gate.upstream.deadlines import Patience
from pennyred.gate.upstream.identity import ClientIdentity, plain_address
from pennyred.gate.upstream.transaction import Transaction
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

_SILENT_SECONDS = 10.0
"""How long a client may be silent when there is no room for others; Postfix allows as much under stress."""
_ENVELOPE_OCTETS = 32 * 1024
"""Memory that a letter's recipients always get: enough for a dozen at least, for sixty of usual length."""

Command = Callable[["Session", bytes], Awaitable[None]]
"""Carries a command out; the line is the whole command without its CRLF."""


@dataclass(eq=False, slots=True)
class Session:
    """A client's session (implements `occupant.Occupant`). `talk` reads its commands and carries them out."""

    house: Gatehouse
    peer: Peer | None
    """The client that a front has named by PROXY; None if none has."""
    talk: Callable[["Session"], Coroutine[Any, Any, None]]
    wire: Wire = field(init=False)
    client: Client = field(default_factory=lambda: Client(Peer("", 0), is_trusted=False))
    errors: int = 0
    """Refused commands since the last letter taken."""
    idle_commands: int = 0
    """Idle commands since the last letter taken: those that bring no letter nearer."""
    is_leaving: bool = False
    """Whether the last reply has been said: no further command is read."""
    is_overfull: bool = False
    """Whether the client has sent more than there is memory for."""

    transaction: Transaction | None = None
    """The transaction with the mail server: there is one from MAIL until the letter goes to the desk."""
    identity: ClientIdentity = field(default_factory=lambda: ClientIdentity(""))
    """The client of this transaction, as the mail server is told."""
    source: Source = NOBODY
    """The network that connections, memory and disk of this transaction are counted for."""
    sender: bytes = b""
    waiting_mail: bytes = b""
    """The MAIL line of this transaction that goes to the mail server with the first RCPT; empty: it was said."""
    mail_refusal: bytes = b""
    """The reply to each RCPT, because MAIL was refused after it had waited; empty: it was not."""
    is_utf8: bool = False
    asked: int = 0
    """How many recipients this transaction has named that the mail server was asked for."""
    spared: int = 0
    """How many recipients were put off: these refusals are not counted as the client's errors."""
    one_class: OneClass | None = None
    mirror: bytes = b""
    """The mailbox of the mirror that this transaction is for alone; empty: for the mail server."""
    chunked: ChunkedLetter | None = None
    """A letter of which some chunks (BDAT) have come: no recipient is taken any more."""
    envelope_share: Share = field(init=False)

    _ticket: Ticket = (0, 0)
    _input_share: Share = field(init=False)
    _pinned: Patience = field(init=False)
    """For the mail server's connection, if the client is slow."""
    _identified_by: GateOptions | None = None
    """The options by which `source` was found for `identity`."""

    def __post_init__(self) -> None:
        self.wire = Wire(asyncio.get_running_loop(), self.house.options, self)
        self.envelope_share = self.house.memory.share(_ENVELOPE_OCTETS)
        self._input_share = self.house.memory.share(by_right=0)
        self._pinned = Patience(self.wire.loop, self._unpin)

    # Called by the wire

    def let_in(self, transport: asyncio.BaseTransport) -> bool:
        """Admit the client, or refuse it at once and return False."""
        house = self.house
        peer = self.peer or _peer_of(transport)
        address = peer.address
        if house.is_stopping:
            self._turn_away(replies.SHUTTING_DOWN)
        elif house.options.clients and not is_within(address, house.options.clients):
            self._turn_away(replies.NOT_FOR_STRANGERS, address)
        elif house.admission.is_full(house.options):
            house.make_room(self.wire.loop.time())
            self._turn_away(replies.TOO_BUSY, address)
        else:
            # Whoever a front has named by PROXY is a client, never a front: it may not use XCLIENT.
            is_trusted = self.peer is None and house.is_trusted(address)
            ticket = house.admission.enter(address, house.options, is_trusted=is_trusted)
            if ticket is not None:
                self._ticket = ticket
                house.sessions.add(self)
                self.client = Client(peer, is_trusted=is_trusted)
                return True
            house.make_room(self.wire.loop.time(), address)
            self._turn_away(replies.TOO_MANY_CONNECTIONS, address)
        return False

    def _turn_away(self, reply: bytes, address: str = "") -> None:
        """Send this reply and close: no task is started, and the mail server is not asked."""
        self.wire.say(reply)
        self.wire.hang_up()
        if address:
            self.house.admission.note_refusal(reply, address, self.wire.loop.time())

    def converse(self) -> Coroutine[Any, Any, None]:
        """The coroutine that serves the client from the greeting to the end."""
        return self.talk(self)

    def note_timeout(self, *, is_session: bool) -> None:
        """Say which time is over, and hang up."""
        self.wire.say(replies.SESSION_TOO_LONG if is_session else replies.TOO_SLOW)
        self.wire.hang_up()

    def note_tls_failure(self, error: OSError) -> None:
        """Log that TLS has failed, unless the gate itself has closed the connection."""
        if not self.house.is_stopping:
            self.house.note_tls_failure(error, self.client.address)

    def note_much_input(self, octets: int) -> None:
        """Count waiting input in the memory for letters; if that has no room, the session ends."""
        if self._input_share.hold(octets):
            self.is_overfull = False
        elif self.wire.is_stuck:
            self.house.memory.note_shortage("commands")
            self.wire.cut_off()  # it sends more and more, and does not read its replies
        else:
            self.is_overfull = True  # the command or letter in hand is answered first

    # Called by the gatehouse

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that serves the client; None before it has begun."""
        return self.wire.task

    @property
    def address(self) -> str:
        """The client's IP address."""
        return self.client.address

    def wind_up(self) -> None:
        """Tell the client that the gate is shutting down: at once if it is idle, else after its command or letter."""
        if self.wire.is_waiting:
            self.wire.say(replies.SHUTTING_DOWN)
            self.wire.hang_up()
        elif self.wire.is_shaking_hands:
            self.wire.cut_off()

    def make_room(self) -> None:
        """Hang up if the client has been silent, because others cannot come in; a front stays."""
        wire = self.wire
        if wire.silent_seconds < _SILENT_SECONDS or self.client.is_trusted:
            return
        if wire.is_stuck or wire.is_shaking_hands:
            wire.cut_off()
        else:
            wire.say(replies.TOO_SLOW)
            wire.hang_up()

    def cut_off(self) -> None:
        """Close at once, without a reply."""
        self.wire.cut_off()

    # Answers

    def answer(self, reply: bytes) -> None:
        """Say a reply; a refusal counts as an error, and too many errors end the session."""
        self.wire.say(reply)
        if replies.is_error(reply):
            self.errors += 1
            if self.errors >= self.house.options.errors_max:
                self.leave_with(replies.TOO_MANY_ERRORS)

    def relay(self, reply: Reply) -> None:
        """Say the mail server's reply; if it closes the connection, the session ends too."""
        if replies.is_success(reply):
            self.wire.say(reply.encoded)
        else:
            self.is_leaving |= replies.is_closing(reply)
            self.answer(reply.encoded)

    def answer_idle(self, reply: bytes) -> None:
        """Say the reply to an idle command, and count the command."""
        self.answer(reply)
        self.count_idle()

    def count_idle(self) -> None:
        """Count a command that has brought no letter nearer; too many of them end the session."""
        self.idle_commands += 1
        if self.idle_commands >= self.house.options.idle_commands_max:
            self.leave_with(replies.TOO_MANY_COMMANDS)

    def leave_with(self, reply: bytes) -> None:
        """Say the last reply of this session."""
        if not self.is_leaving:
            self.wire.say(reply)
            self.is_leaving = True

    def later(self, trouble: Unavailable, command: str) -> bytes:
        """The temporary reply for when something did not answer while `command` was carried out; it is logged."""
        is_untold = trouble.reason is Reason.IDENTITY_REFUSED
        event = "smtp.identity_refused" if is_untold else "smtp.unavailable"
        self.house.log.warning(event, command=command, detail=str(trouble))
        return replies.later(trouble.reason)

    # The transaction

    async def identify(self) -> None:
        """Find out who the client of the next transaction is. It is counted for nobody if a front does not name it, or
        if its network is exempt.
        """
        identity, options = await self.client.identity(self.house.name_lookup), self.house.options
        if identity is not self.identity or options is not self._identified_by:
            address = identity.address
            is_counted = self.client.is_known and not is_within(address, options.uncounted_networks)
            self.source = source_of(address) if is_counted else NOBODY
            self.identity, self._identified_by = identity, options

    def forget(self) -> None:
        """End the transaction, in whatever state it is."""
        chunked, self.chunked = self.chunked, None
        if chunked is not None:
            chunked.discard()
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            transaction.end()
        if self.one_class is not None:
            self.end_class(is_letter_taken=False)
        self.client.end_transaction()
        self.asked = 0
        self.envelope_share.release()

    def leave(self) -> None:
        """End the session: give back its transaction, its memory and its place."""
        self.forget()
        self._pinned.cancel()
        self._input_share.release()
        self.house.sessions.discard(self)
        self.house.admission.leave(self._ticket)
        self.wire.hang_up()

    def end_class(self, *, is_letter_taken: bool) -> None:
        """Note that no more recipients come; without a letter, the client has given the transaction up."""
        one_class, self.one_class = self.one_class, None
        if one_class is not None and one_class.put_off and not is_letter_taken:
            one_class.give_up()
            if self.client.is_trusted:
                self.house.given_up.warn(self.client.address)

    def pin(self) -> None:
        """Keep the mail server's connection for the client as long as it may be slow, from now on."""
        self._pinned.give(self.house.options.upstream_pin_seconds)

    def _unpin(self, _: float) -> None:
        """Give the mail server's connection back if the client is silent, or sends its letter slowly. They could
        else hold all of them, and nobody's letter would get through. MAIL and RCPT are said again when it is needed.
        """
        if self.transaction is None:
            return
        if self.wire.is_waiting or self.wire.is_taking or self.chunked is not None:
            self.transaction.let_go()
        else:
            self.pin()  # a command is under way


def argument_of(line: bytes) -> bytes:
    """What follows the verb in a command line, without the space between."""
    return line.partition(b" ")[2].strip(b" ")


def _peer_of(transport: asyncio.BaseTransport) -> Peer:
    """Both ends of a connection, as the operating system tells them."""
    address, port, *_ = transport.get_extra_info("peername") or ("0.0.0.0", 0)  # noqa: S104 - nobody listens there
    destination, destination_port, *_ = transport.get_extra_info("sockname") or ("", 0)
    return Peer(plain_address(address), port, plain_address(destination) if destination else "", destination_port)

"""A session as a conversation: greeting, commands one after another, answers counted, the end. It knows no command."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, cast

from pennyred.gate.door.admission import Ticket
from pennyred.gate.door.client import Client
from pennyred.gate.door.gatehouse import Gatehouse
from pennyred.gate.door.proxying import Peer
from pennyred.gate.door.reception import internal
from pennyred.gate.door.wire import LineTooLong, Wire
from pennyred.gate.letterbox import Reply
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.sources import is_within
from pennyred.gate.upstream.identity import plain_address
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

_SILENT_SECONDS = 10.0
"""How long a client may say nothing where there is no room for others; Postfix gives as much under stress."""
CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
_MAY_BE_UTF8 = frozenset((b"MAIL", b"RCPT"))
_BROWSERS = frozenset((b"GET", b"POST", b"CONNECT", b"PUT", b"HEAD", b"OPTIONS"))

Commands = dict[bytes, Callable[[Any, bytes], Awaitable[None]]]
"""What to do, by verb: a method of the session, called with the line as it came."""


class Conversation(Wire):
    """What a client and the gate say to each other."""

    commands: ClassVar[Commands] = {}
    """One table for all sessions."""

    def __init__(self, house: Gatehouse, peer: Peer | None = None) -> None:
        super().__init__(asyncio.get_running_loop(), house.options)
        self._house = house
        self._peer = peer
        self._client = Client(Peer("", 0), is_trusted=False)
        self._errors = 0
        self._idle_commands = 0
        self._is_leaving = False
        self._ticket: Ticket = (0, 0)
        self._input_share = house.memory.share(by_right=0)
        self._is_overfull = False

    def forget(self) -> None:
        """End whatever transaction there is."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client in, or say at once that there is no room."""
        house = self._house
        peer = self._peer or _peer_of(transport)
        address = peer.address
        if house.is_stopping:
            self._turn_away(transport, replies.SHUTTING_DOWN)
        elif house.options.clients and not is_within(address, house.options.clients):
            self._turn_away(transport, replies.NOT_FOR_STRANGERS, address)
        elif house.admission.is_full(house.options):
            house.make_room(self.loop.time())
            self._turn_away(transport, replies.TOO_BUSY, address)
        else:
            # Whom a front has named by PROXY is a client, never a front: XCLIENT is not for it.
            is_trusted = self._peer is None and house.is_trusted(address)
            ticket = house.admission.enter(address, house.options, is_trusted=is_trusted)
            if ticket is None:
                house.make_room(self.loop.time(), address)
                self._turn_away(transport, replies.TOO_MANY_CONNECTIONS, address)
                return
            self._ticket = ticket
            house.sessions.add(self)
            self._client = Client(peer, is_trusted=is_trusted)
            super().connection_made(transport)

    def _turn_away(self, transport: asyncio.BaseTransport, reply: bytes, address: str = "") -> None:
        """Say why and close, without a task or anything of the mail server's."""
        self.transport = cast("asyncio.Transport", transport)
        self.say(reply)
        self.hang_up()
        if address:
            self._house.admission.note_refusal(reply, address, self.loop.time())

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The session at work."""
        return self._session_task

    @property
    def address(self) -> str:
        """The client's IP address."""
        return self._client.address

    def wind_up(self) -> None:
        """The gate is shutting down: say so at once to a client that is not being served; others hear it afterwards."""
        if self.is_waiting:
            self.say(replies.SHUTTING_DOWN)
            self.hang_up()
        elif self.is_shaking_hands:
            self.cut_off()

    def make_room(self) -> None:
        """Others cannot come in: one that says nothing leaves, unless it is a front."""
        if self.silent_seconds < _SILENT_SECONDS or self._client.is_trusted:
            return
        if self.is_stuck or self.is_shaking_hands:
            self.cut_off()
        else:
            self.say(replies.TOO_SLOW)
            self.hang_up()

    def answer(self, reply: bytes) -> None:
        """Say it, and count it where it is a refusal."""
        self.say(reply)
        if replies.is_error(reply):
            self._errors += 1
            if self._errors >= self._house.options.errors_max:
                self.leave_with(replies.TOO_MANY_ERRORS)

    def relay(self, reply: Reply) -> None:
        """Say what the mail server said; where it said goodbye, so do we."""
        self._is_leaving |= replies.is_closing(reply)
        self.answer(reply.encoded)

    def answer_idle(self, reply: bytes) -> None:
        """Answer a command that brings no letter nearer."""
        self.answer(reply)
        self.count_idle()

    def count_idle(self) -> None:
        """A command has brought no letter nearer; too many of them end the session."""
        self._idle_commands += 1
        if self._idle_commands >= self._house.options.idle_commands_max:
            self.leave_with(replies.TOO_MANY_COMMANDS)

    def leave_with(self, reply: bytes) -> None:
        """Say the last words of this session."""
        if not self._is_leaving:
            self.say(reply)
            self._is_leaving = True

    def later(self, trouble: Unavailable, command: str) -> bytes:
        """The reply to what did not answer; written down."""
        is_untold = trouble.reason is Reason.IDENTITY_REFUSED
        event = "smtp.identity_refused" if is_untold else "smtp.unavailable"
        self._house.log.warning(event, command=command, detail=str(trouble))
        return replies.later(trouble.reason)

    async def _handle_client(self) -> None:
        self.say(replies.greeting(self._house.options.hostname))
        try:
            while not self._is_leaving:
                if self._house.is_stopping:
                    self.leave_with(replies.SHUTTING_DOWN)
                    break
                if self._is_overfull:
                    self._house.memory.note_shortage("commands")
                    self.leave_with(replies.TOO_BUSY)
                    break
                try:
                    line = await self.next_line()
                except LineTooLong:
                    self.answer(replies.LINE_TOO_LONG)
                    continue
                if line is None:
                    break
                await self._execute(line)
        finally:
            self.forget()
            self._input_share.release()
            self._house.sessions.discard(self)
            self._house.admission.leave(self._ticket)
            self.hang_up()

    async def _execute(self, line: bytes) -> None:
        verb = line.partition(b" ")[0].upper()
        if CONTROLS.search(line) is not None or not (line.isascii() or verb in _MAY_BE_UTF8):
            self.answer(replies.BAD_CHARACTERS)
            return
        command = self.commands.get(verb)
        if command is not None:
            try:
                await command(self, line)
            except Unavailable as trouble:
                self.answer(self.later(trouble, verb.decode()))
            except Exception as error:  # noqa: BLE001 - whatever explodes is "later"
                facts = {"command": verb.decode(), "client": self._client.address}
                self.answer(internal(self._house, error, "smtp.command_failed", **facts))
        elif verb in _BROWSERS:
            # A browser was talked into it: what follows is nobody's command (Postfix smtpd_forbidden_commands).
            self.leave_with(replies.WRONG_PROTOCOL)
        else:
            self.answer(replies.UNRECOGNISED)

    def _on_tls_failure(self, error: OSError) -> None:
        if not self._house.is_stopping:
            self._house.note_tls_failure(error, self._client.address)

    def _on_much_input(self, octets: int) -> None:
        if self._input_share.hold(octets):
            self._is_overfull = False
            return
        if self.is_stuck:
            self._house.memory.note_shortage("commands")
            self.cut_off()  # it says more and more, and does not read what it is told
        else:
            self._is_overfull = True  # what is in hand has its answer first

    def _on_timeout(self, *, is_session: bool) -> None:
        self.say(replies.SESSION_TOO_LONG if is_session else replies.TOO_SLOW)
        self.hang_up()


def _peer_of(transport: asyncio.BaseTransport) -> Peer:
    """Both ends of a connection, as the system has them."""
    address, port, *_ = transport.get_extra_info("peername") or ("0.0.0.0", 0)  # noqa: S104 - nobody listens there
    destination, destination_port, *_ = transport.get_extra_info("sockname") or ("", 0)
    return Peer(plain_address(address), port, plain_address(destination) if destination else "", destination_port)

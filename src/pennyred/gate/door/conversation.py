"""The course of a session: the greeting, then one command after another, then the end."""

from pennyred.gate.door.commands import COMMANDS
from pennyred.gate.door.gatehouse import Gatehouse
from pennyred.gate.door.proxying import Peer
from pennyred.gate.door.reception import internal
from pennyred.gate.door.session import Session
from pennyred.gate.door.wire import LineTooLong
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.path import CONTROLS
from pennyred.postage.errors import Unavailable

_MAY_BE_UTF8 = frozenset((b"MAIL", b"RCPT"))
_BROWSERS = frozenset((b"GET", b"POST", b"CONNECT", b"PUT", b"HEAD", b"OPTIONS"))


def new_session(house: Gatehouse, peer: Peer | None = None) -> Session:
    """A session for whoever connects, or for the `peer` that a front has named. Its `wire` is what asyncio calls."""
    return Session(house, peer, converse)


async def converse(session: Session) -> None:
    """Serve a client from the greeting to the end. Nothing it does ends this before its letter has an answer."""
    house, wire = session.house, session.wire
    wire.say(replies.greeting(house.options.hostname))
    try:
        while not session.is_leaving:
            if house.is_stopping:
                session.leave_with(replies.SHUTTING_DOWN)
                break
            if session.is_overfull:
                house.memory.note_shortage("commands")
                session.leave_with(replies.TOO_BUSY)
                break
            try:
                line = await wire.next_line()
            except LineTooLong:
                session.answer(replies.LINE_TOO_LONG)
                continue
            if line is None:
                break
            verb = line.partition(b" ")[0].upper()
            command = COMMANDS.get(verb)
            if command is None or CONTROLS.search(line) is not None or not (line.isascii() or verb in _MAY_BE_UTF8):
                _refuse(session, verb, line)
                continue
            try:
                await command(session, line)
            except Unavailable as trouble:
                session.answer(session.later(trouble, verb.decode()))
            except Exception as error:  # noqa: BLE001 - whatever explodes is "later"
                facts = {"command": verb.decode(), "client": session.client.address}
                session.answer(internal(house, error, "smtp.command_failed", **facts))
    finally:
        session.leave()


def _refuse(session: Session, verb: bytes, line: bytes) -> None:
    """Answer what is no command."""
    if CONTROLS.search(line) is not None or not (line.isascii() or verb in _MAY_BE_UTF8):
        session.answer(replies.BAD_CHARACTERS)
    elif verb in _BROWSERS:
        # A web browser was tricked into connecting here: no command follows (Postfix smtpd_forbidden_commands).
        session.leave_with(replies.WRONG_PROTOCOL)
    else:
        session.answer(replies.UNRECOGNISED)

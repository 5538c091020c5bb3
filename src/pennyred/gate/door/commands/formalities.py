"""Idle commands, which bring no letter nearer, and QUIT. Too many idle commands end the session."""

from pennyred.gate.door.session import Session, argument_of
from pennyred.gate.smtp import replies


async def noop(session: Session, line: bytes) -> None:  # noqa: ARG001
    """Do nothing, and say so (RFC 5321 section 4.1.1.9)."""
    session.answer_idle(replies.OK)


async def vrfy(session: Session, line: bytes) -> None:
    """Do not tell whether a mailbox exists (RFC 5321 section 7.3 allows that)."""
    session.answer_idle(replies.CANNOT_VERIFY if argument_of(line) else replies.ARGUMENT_MISSING)


async def help_(session: Session, line: bytes) -> None:  # noqa: ARG001
    """Say what this server is, and where to read on (RFC 5321 section 4.1.1.8)."""
    session.answer_idle(replies.HELP)


async def expn(session: Session, line: bytes) -> None:  # noqa: ARG001
    """Refuse EXPN, as mailing lists are private; AUTH, as nobody logs in here; ETRN, as nobody fetches mail here."""
    session.answer_idle(replies.NOT_IMPLEMENTED)


async def quit_(session: Session, line: bytes) -> None:  # noqa: ARG001
    """Say goodbye and end the session (RFC 5321 section 4.1.1.10)."""
    session.leave_with(replies.GOODBYE)

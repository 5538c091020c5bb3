"""Commands that bring no letter nearer: courtesies and questions. Too many of them end the session."""

from pennyred.gate.door.session import Session, argument_of
from pennyred.gate.smtp import replies


async def noop(session: Session, line: bytes) -> None:  # noqa: ARG001
    """Do nothing."""
    session.answer_idle(replies.OK)


async def vrfy(session: Session, line: bytes) -> None:
    """Neither confirm nor deny."""
    session.answer_idle(replies.CANNOT_VERIFY if argument_of(line) else replies.ARGUMENT_MISSING)


async def help_(session: Session, line: bytes) -> None:  # noqa: ARG001
    """Say where to read on."""
    session.answer_idle(replies.HELP)


async def expn(session: Session, line: bytes) -> None:  # noqa: ARG001
    """Lists are nobody's business. Nor does anybody authenticate here (AUTH), or fetch mail (ETRN)."""
    session.answer_idle(replies.NOT_IMPLEMENTED)


async def quit_(session: Session, line: bytes) -> None:  # noqa: ARG001
    """Part."""
    session.leave_with(replies.GOODBYE)

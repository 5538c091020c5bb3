"""Who the client is: HELO, EHLO (RFC 5321 section 4.1.1.1), STARTTLS, and what a trusted front tells of its client."""

from pennyred.gate.door.session import Session, argument_of
from pennyred.gate.smtp import replies
from pennyred.gate.upstream.identity import MalformedIdentity, parse_attributes


async def ehlo(session: Session, line: bytes) -> None:
    """Greet, and list the extensions that the gate and the mail server both offer."""
    if name := _name_in(session, line):
        house = session.house
        offered = house.upstreams.capabilities or await house.upstreams.learn()
        reply = house.hello(offered, is_tls=session.wire.is_tls, is_trusted=session.client.is_trusted)
        _greet(session, name, reply, is_extended=True)


async def helo(session: Session, line: bytes) -> None:
    """Greet, without extensions."""
    if name := _name_in(session, line):
        _greet(session, name, replies.hello(session.house.options.hostname), is_extended=False)


def _name_in(session: Session, line: bytes) -> str:
    name = argument_of(line)
    if not name:
        session.answer(replies.ARGUMENT_MISSING)
    return name.decode("ascii")


def _greet(session: Session, name: str, reply: bytes, *, is_extended: bool) -> None:
    client = session.client
    session.forget()
    session.answer(reply)
    if client.helo:
        session.count_idle()  # the first greeting begins a session; more of them only cost time
    client.greet(name, is_extended=is_extended)


async def starttls(session: Session, line: bytes) -> None:
    """Change to TLS. The client has to greet again (RFC 3207 section 4.2)."""
    if argument_of(line):
        session.answer(replies.NO_ARGUMENT_ALLOWED)
    elif session.wire.is_tls:
        session.answer(replies.TLS_ACTIVE)
    elif session.house.tls is None:
        session.answer(replies.TLS_UNAVAILABLE)
    else:
        session.forget()
        session.client.begin_anew()
        session.is_leaving = not await session.wire.start_tls(session.house.tls, replies.READY_FOR_TLS)


async def xclient(session: Session, line: bytes) -> None:
    """Take from a trusted front who its client is, for the session. It has to greet again (XCLIENT_README)."""
    if (attributes := _attributes(session, argument_of(line))) is not None:
        session.client.tell_session(attributes)
        session.answer(replies.greeting(session.house.options.hostname))


async def xforward(session: Session, line: bytes) -> None:
    """Take from a trusted front who its client is, for one transaction (XFORWARD_README)."""
    if (attributes := _attributes(session, argument_of(line))) is not None:
        session.client.tell_transaction(attributes)
        session.answer(replies.OK)


def _attributes(session: Session, argument: bytes) -> dict[str, str | None] | None:
    if not session.client.is_trusted:
        session.answer(replies.NOT_A_FRONT)
    elif session.transaction is not None:
        session.answer(replies.IN_TRANSACTION)
    else:
        try:
            return parse_attributes(argument)
        except MalformedIdentity as error:
            session.answer(replies.bad_attributes(str(error)))
    return None

"""The letter: it comes by DATA, or in chunks by BDAT (RFC 3030), and goes to the desk. The desk's answer goes back."""

import time
from collections.abc import Coroutine, Sequence
from secrets import token_hex
from typing import Any

from pennyred.gate.door.chunking import OCTETS_SMALL, ChunkedLetter, parse_chunk
from pennyred.gate.door.reception import LetterSink, take_to_desk
from pennyred.gate.door.session import Session, argument_of
from pennyred.gate.door.trace import date_of, protocol_name, received_field
from pennyred.gate.letterbox import Envelope
from pennyred.gate.rules.exemptions import canonical_or_none
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.letter_end import LetterStream
from pennyred.gate.smtp.spool import ReceivedLetter
from pennyred.gate.upstream.delivery import LetterDelivery
from pennyred.gate.upstream.transaction import Transaction
from pennyred.postage.address import Recipient


async def data(session: Session, line: bytes) -> None:
    """Take a letter (RFC 5321 section 4.1.1.4), and have it judged and delivered."""
    transaction = session.transaction
    if argument_of(line):
        session.answer(replies.NO_ARGUMENT_ALLOWED)
    elif transaction is None:
        session.answer(replies.MAIL_FIRST)
    elif session.chunked is not None:
        session.answer(replies.CHUNKS_BEGUN)
    elif not transaction.mailboxes and not session.mirror:
        session.answer(_no_recipients(session))
    elif (letter := await _receive(session)) is not None:
        if isinstance(letter, bytes):
            session.forget()
            session.answer(letter)
        else:
            _answer(session, await _to_desk(session, letter, transaction))


async def bdat(session: Session, line: bytes) -> None:
    """Take a chunk of a letter (RFC 3030 section 2). After the last one it is judged and delivered."""
    wire = session.wire
    chunk = parse_chunk(argument_of(line))
    if chunk is None:
        # Nobody can tell where the chunk ends. If the session went on, the letter would be read as commands.
        session.leave_with(replies.CHUNK_SYNTAX)
        return
    letter = session.chunked or _begin_chunked(session)
    letter.expect(chunk)
    if chunk.octets > wire.octets_at_hand:
        await wire.flush()  # the client may read the replies to RCPT while it still sends
    left_seconds = letter.begun + session.house.options.transfer_timeout_seconds - wire.loop.time()
    if left_seconds <= 0:
        session.leave_with(replies.TOO_SLOW)
    elif not chunk.octets or await wire.pour_into(letter, left_seconds):
        if chunk.is_last:
            await _end_chunked(session, letter)
        elif letter.refusal is not None:
            # An idle command, not an error: a client may have sent many chunks before it reads the first reply.
            wire.say(letter.refusal)
            session.count_idle()
        else:
            wire.say(replies.CHUNK_TAKEN)
            if chunk.octets < OCTETS_SMALL:
                session.count_idle()


def _no_recipients(session: Session) -> bytes:
    return replies.NO_VALID_RECIPIENTS if session.asked else replies.RCPT_FIRST


async def _receive(session: Session) -> ReceivedLetter | bytes | None:
    """Read the letter. Returns it, or the reply that refuses it, or None if the client has gone."""
    wire, options = session.wire, session.house.options
    session.end_class(is_letter_taken=True)
    wire.say(replies.START_MAIL_INPUT)
    await wire.flush()
    sink = LetterSink(session.house, LetterStream(), session.source)
    begun = wire.loop.time()
    session.pin()
    try:
        if not await wire.pour_into(sink, options.transfer_timeout_seconds):
            return None
        return sink.finish(round((wire.loop.time() - begun) * 1000))
    finally:
        sink.discard()


def _begin_chunked(session: Session) -> ChunkedLetter:
    """Begin a letter in chunks. A refused one is refused in every chunk, and the last one ends the transaction."""
    transaction = session.transaction
    letter = session.chunked = ChunkedLetter(session.house, session.source, session.wire.loop.time())
    if transaction is None:
        letter.refuse(replies.MAIL_FIRST)
        session.chunked = None
    elif not transaction.mailboxes and not session.mirror:
        letter.refuse(_no_recipients(session))
    else:
        session.end_class(is_letter_taken=True)
        session.pin()
    return letter


async def _end_chunked(session: Session, chunked: ChunkedLetter) -> None:
    transaction, session.chunked = session.transaction, None
    try:
        letter = chunked.finish(round((session.wire.loop.time() - chunked.begun) * 1000))
    finally:
        chunked.discard()
    if isinstance(letter, bytes) or transaction is None:
        session.forget()
        session.answer(letter if isinstance(letter, bytes) else replies.MAIL_FIRST)
    else:
        _answer(session, await _to_desk(session, letter, transaction))


def _to_desk(session: Session, letter: ReceivedLetter, transaction: Transaction) -> Coroutine[Any, Any, bytes]:
    """Hand the letter to the desk; to be awaited for the reply. Nothing the client does ends that, not even if it hangs
    up.
    """
    identity, client = session.identity, session.client
    places = _places(transaction.mailboxes, is_named_once=session.house.options.is_named_once)
    recipients = (session.mirror,) if session.mirror else _named(transaction.mailboxes, places)
    envelope = Envelope(
        session.sender,
        recipients,
        identity.address,
        client.is_known,
        identity.helo,
        identity.name or "",
        is_from_front=client.is_trusted,
    )
    session.transaction = None  # the desk ends the transaction
    delivery = LetterDelivery(transaction, letter, _trace(session, recipients), places)
    return take_to_desk(session.house, letter, envelope, transaction, delivery, is_for_mirror=bool(session.mirror))


def _answer(session: Session, reply: bytes) -> None:
    """Say the desk's reply to the letter."""
    session.forget()
    if replies.is_error(reply):
        session.is_leaving |= replies.is_goodbye(reply)
        session.answer(reply)
    else:
        session.errors = session.idle_commands = 0
        session.wire.say(reply)


def _places(mailboxes: Sequence[bytes], *, is_named_once: bool) -> Sequence[int]:
    """The places where each recipient is first named. A mailbox in another spelling is the same recipient."""
    places = range(len(mailboxes))
    if len(mailboxes) < 2 or not is_named_once:
        return places
    once: dict[Recipient | bytes, int] = {}
    for place, mailbox in enumerate(mailboxes):
        once.setdefault(canonical_or_none(mailbox) or mailbox, place)
    return tuple(once.values()) if len(once) < len(mailboxes) else places


def _named(mailboxes: Sequence[bytes], places: Sequence[int]) -> tuple[bytes, ...]:
    if len(places) == len(mailboxes):
        return tuple(mailboxes)
    return tuple([mailboxes[place] for place in places])


def _trace(session: Session, recipients: tuple[bytes, ...]) -> bytes:
    options, identity = session.house.options, session.identity
    if not options.is_trace_added:
        return b""
    protocol = protocol_name(identity, is_tls=session.wire.is_tls, is_utf8=session.is_utf8)
    recipient = recipients[0] if len(recipients) == 1 else None
    return received_field(identity, options.hostname, protocol, token_hex(6), recipient, date_of(int(time.time())))

"""The envelope (RFC 5321 section 4.1.1): MAIL, RCPT and RSET. MAIL and RCPT go to the mail server as they came, and its
replies go back as it gave them.

MAIL waits for the first RCPT, and both go in one write: a round trip less for each letter. So if the mail server
refuses MAIL, each RCPT is answered with that reply (RFC 5321 section 3.3 allows it, and Postfix does so by itself).
MAIL does not wait where its reply might mean something else at RCPT, nor where no connection is at hand: a client
that the mail server refuses altogether hears so at MAIL, and so does everybody if the mail server is down.
"""

from collections.abc import Sequence

from pennyred.gate.door.one_policy import OneClass, Recipient
from pennyred.gate.door.session import Session, argument_of
from pennyred.gate.letterbox import MirrorDesk, Reply
from pennyred.gate.smtp import path, replies
from pennyred.gate.upstream.connection import Refused
from pennyred.gate.upstream.transaction import TooSlow, Transaction
from pennyred.postage.errors import MalformedAddress, Unavailable

_BATCH_MAX = 100
"""The most RCPT commands that are sent on together."""
_RECIPIENT_OCTETS = 400
"""Memory that a recipient takes beside its line and mailbox, until its letter is answered."""
_WAITING_PARAMETERS = frozenset((b"SIZE", b"BODY"))
"""With others MAIL does not wait: 555 would be taken for a word on the parameters of RCPT."""
_SPARED = (replies.TOO_MANY_RECIPIENTS, replies.OTHER_CLASS, replies.MIRROR_ALONE)
"""Replies that are no errors of the client's: in each transaction as many as it may have recipients."""


async def mail(session: Session, line: bytes) -> None:
    """Begin a transaction with the mail server. RCPT commands that have come already are sent on with MAIL."""
    if not session.client.helo:
        session.answer(replies.HELO_FIRST)
    elif session.transaction is not None:
        session.answer(replies.NESTED_MAIL)
    else:
        try:
            parsed = path.parse_mail(argument_of(line))
        except MalformedAddress as error:
            session.answer(replies.bad_address(str(error)))
            return
        if not parsed.is_ascii and not parsed.is_utf8:
            session.answer(replies.UTF8_NOT_DECLARED)
        elif parsed.is_binary:
            session.answer(replies.BINARY_NOT_OFFERED)
        elif parsed.is_tls_required and not session.wire.is_tls:
            session.answer(replies.TLS_NEEDED)
        elif parsed.size is not None and parsed.size > session.house.options.spool.letter_bytes_max:
            session.answer(replies.TOO_BIG)
        else:
            session.asked = session.spared = 0
            session.mirror = b""
            session.envelope_share.release()
            session.is_utf8 = parsed.is_utf8
            session.sender = parsed.mailbox
            session.one_class = None
            recipients = _recipients_at_hand(session) if session.wire.octets_at_hand else ()
            await session.identify()
            transaction = Transaction(session.house.upstreams, session.identity, session.source)
            session.mail_refusal = b""
            if not recipients and _may_wait(session, parsed):
                session.transaction, session.waiting_mail = transaction, line
                session.wire.say(replies.SENDER_NOTED)
            else:
                session.waiting_mail = b""
                await _begin(session, transaction, line, recipients)


async def rcpt(session: Session, line: bytes) -> None:
    """Ask the mail server for this recipient, and for those of the RCPT commands that have come already."""
    transaction = session.transaction
    if transaction is None:
        session.answer(replies.MAIL_FIRST)
    elif session.chunked is not None:
        session.answer(replies.CHUNKS_BEGUN)
    else:
        recipients = [_recipient(session, line)]
        if session.wire.octets_at_hand:
            recipients += _recipients_at_hand(session)
        if session.mail_refusal:
            session.mirror = b""
            _answer_recipients(session, _refused(session, recipients), ())
        elif session.waiting_mail:
            while recipients and not _is_asked_for(recipients[0]) and not session.is_leaving:
                _answer_recipients(session, [recipients.pop(0)], ())
            if recipients and not session.is_leaving:
                await _begin_late(session, transaction, recipients)
        else:
            await _add(session, transaction, recipients)


async def rset(session: Session, line: bytes) -> None:  # noqa: ARG001
    """End the transaction (RFC 5321 section 4.1.1.5)."""
    session.forget()
    session.answer_idle(replies.RESET)


def _may_wait(session: Session, mail: path.PathArgument) -> bool:
    """Whether MAIL may wait for the first RCPT."""
    offered = session.house.upstreams.offer_at_hand(session.identity)
    if offered is None or "PIPELINING" not in offered.keywords:
        return False
    if not mail.parameters:
        return True
    is_too_big = mail.size is not None and 0 < offered.size_max < mail.size
    return not is_too_big and all(keyword in _WAITING_PARAMETERS for keyword, _ in mail.parameters)


async def _begin(session: Session, transaction: Transaction, line: bytes, recipients: Sequence[Recipient]) -> None:
    """Say MAIL, and the RCPTs that came with it."""
    asking, waiting = await _asked_first(session, recipients)
    try:
        said = await transaction.begin(line, _asked_for(asking))
    except Refused as refused:
        session.relay(refused.reply)
    except Unavailable as trouble:
        session.answer(session.later(trouble, "MAIL"))
    else:
        session.relay(said[0])
        if replies.is_success(said[0]):
            session.transaction = transaction
            session.pin()
        else:
            transaction.end()
            asking = [replies.MAIL_FIRST if item == replies.MIRROR_TAKES else item for item in asking]
        _answer_recipients(session, asking, said[1:])
        if session.transaction is not None:
            if waiting:
                await _add(session, transaction, waiting)
            return
        asking = ()
    _answer_recipients(session, [replies.MAIL_FIRST] * (len(asking) + len(waiting)), ())


async def _begin_late(session: Session, transaction: Transaction, recipients: Sequence[Recipient]) -> None:
    """Say the MAIL that has waited, and these RCPTs; if MAIL is refused, its reply is that to each of them.

    The first recipient is one that the mail server is asked for.
    """
    asking, waiting = await _asked_first(session, recipients)
    try:
        mail, *said = await transaction.begin(session.waiting_mail, _asked_for(asking))
    except Refused as refused:
        mail = refused.reply
    except Unavailable as trouble:
        later = session.later(trouble, "MAIL")
        session.mirror = b""  # it was not taken: else DATA would find a recipient
        _answer_recipients(session, [later if _is_asked_for(item) else item for item in recipients], ())
        return  # the next RCPT may find the mail server well
    session.waiting_mail = b""
    if replies.is_success(mail):
        session.pin()
        _answer_recipients(session, asking, said)
        if waiting:
            await _add(session, transaction, waiting)
    else:
        transaction.end()
        session.mirror = b""
        refusal = replies.refusal_at_rcpt(mail)
        session.mail_refusal = refusal.encoded
        session.relay(refusal)  # the only one that counts as an error, as at MAIL
        _answer_recipients(session, _refused(session, recipients)[1:], ())


def _refused(session: Session, recipients: Sequence[Recipient]) -> Sequence[Recipient]:
    """Recipients of a MAIL that was refused after it had waited; what the gate itself refuses, it refuses as ever."""
    return [session.mail_refusal if _is_asked_for(item) else item for item in recipients]


async def _asked_first(
    session: Session, recipients: Sequence[Recipient]
) -> tuple[Sequence[Recipient], Sequence[Recipient]]:
    """Recipients to ask for with MAIL, and those to ask for next."""
    if _may_differ(session, recipients):
        return await _of_one_class(session, recipients)
    return recipients, ()


async def _add(session: Session, transaction: Transaction, recipients: Sequence[Recipient]) -> None:
    while recipients:
        if _may_differ(session, recipients, transaction.mailboxes):
            asking, recipients = await _of_one_class(session, recipients, transaction.mailboxes)
        else:
            asking, recipients = recipients, ()
        said: list[Reply] = []
        if asked := _asked_for(asking):
            try:
                said = await transaction.add(asked)
            except TooSlow:
                asking = [replies.TOO_MANY_RECIPIENTS if isinstance(item, tuple) else item for item in asking]
            except Unavailable as trouble:
                later = session.later(trouble, "RCPT")
                asking = [later if isinstance(item, tuple) else item for item in asking]
        session.pin()
        _answer_recipients(session, asking, said)


def _may_differ(session: Session, recipients: Sequence[Recipient], accepted: Sequence[bytes] = ()) -> bool:
    """Whether recipients have to be asked whether they are of one class; one alone costs nothing."""
    return len(recipients) + len(accepted) > 1 and session.house.options.is_mixed_split


async def _of_one_class(
    session: Session, recipients: Sequence[Recipient], accepted: Sequence[bytes] = ()
) -> tuple[Sequence[Recipient], Sequence[Recipient]]:
    """Recipients to ask for now, and those to ask for next, as `OneClass.ready` says."""
    house = session.house
    if session.one_class is None:
        session.one_class = OneClass(house.desk, session.sender, session.identity.address, house.given_up)
    return await session.one_class.ready(recipients, accepted)


def _recipients_at_hand(session: Session) -> list[Recipient]:
    """The recipients of RCPT commands that follow directly and have come already."""
    wire = session.wire
    found: list[Recipient] = []
    while len(found) < _BATCH_MAX and wire.has_command(b"RCPT ") and (line := wire.line_at_hand()) is not None:
        is_odd = path.CONTROLS.search(line) is not None
        found.append(replies.BAD_CHARACTERS if is_odd else _recipient(session, line))
    return found


def _recipient(session: Session, line: bytes) -> Recipient:
    try:
        parsed = path.parse_rcpt(argument_of(line))
    except MalformedAddress as error:
        return replies.bad_address(str(error))
    if not parsed.is_ascii and not session.is_utf8:
        return replies.UTF8_NOT_DECLARED
    mirror = session.house.mirror
    reply = _at_mirror(session, mirror, parsed.mailbox) if mirror is not None else b""
    return reply or _asking(session, line, parsed.mailbox)


def _asking(session: Session, line: bytes, mailbox: bytes) -> Recipient:
    """The recipient as the mail server is asked for it, or the reply if there is no room for it."""
    if session.asked >= session.house.options.recipients_max:
        return replies.TOO_MANY_RECIPIENTS
    share = session.envelope_share
    if not share.hold(share.held + len(line) + len(mailbox) + _RECIPIENT_OCTETS):
        session.house.memory.note_shortage("recipients")
        return replies.TOO_MANY_RECIPIENTS
    session.asked += 1
    return line, mailbox


def _at_mirror(session: Session, mirror: MirrorDesk, mailbox: bytes) -> bytes:
    """The reply to a recipient at the mirror, or to one beside it; empty if the mail server is to be asked.

    The mirror is asked about nobody here: what its answer told would cost a stranger nothing.
    """
    if not mirror.is_for(mailbox):
        return replies.MIRROR_ALONE if session.mirror else b""
    if session.asked or session.mirror not in (b"", mailbox):
        return replies.MIRROR_ALONE
    session.mirror = mailbox
    return replies.MIRROR_TAKES


def _answer_recipients(session: Session, recipients: Sequence[Recipient], said: Sequence[Reply]) -> None:
    answers = iter(said)
    spared_max = session.house.options.recipients_max
    for item in recipients:
        if session.is_leaving:
            return
        if isinstance(item, tuple):
            session.relay(next(answers))
        elif session.spared < spared_max and (item in _SPARED or item == session.mail_refusal):
            # An honest client names all its recipients, and keeps those that are put off for its next letter.
            session.spared += 1
            session.wire.say(item)
        elif item == replies.MIRROR_TAKES:
            session.answer_idle(item)  # the mail server is not asked, so no number of recipients ends a repetition
        else:
            session.answer(item)


def _is_asked_for(item: Recipient) -> bool:
    """Whether a recipient needs the mail server's word: its own, or (at the mirror) that on MAIL."""
    return isinstance(item, tuple) or item == replies.MIRROR_TAKES


def _asked_for(recipients: Sequence[Recipient]) -> list[tuple[bytes, bytes]]:
    return [item for item in recipients if isinstance(item, tuple)]

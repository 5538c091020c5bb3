"""All replies in the gate's own words, and what replies mean. No other file has three-digit codes.

Replies are bytes ready for the wire; a line has at most 512 octets (RFC 5321 section 4.5.3.1.5). What strangers have
sent is shown back only as printable ASCII. Of an error inside, only a reference to the log is shown.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from pennyred.days import date_of, utc_day
from pennyred.gate.letterbox import Delivered, Due, Fate, Reply
from pennyred.postage.reasons import Kind, Reason

_TEXT_OCTETS_MAX = 490
"""The most text in one line: 512 octets less code, separator, enhanced code and CRLF."""
_ADDRESS_OCTETS_MAX = 200
_NAMED_LINES_MAX = 100
"""The most lines of a reply that names recipients: some clients read only about a hundred."""

_ABOUT_SESSION = frozenset((500, 502, 503, 530, 534, 535, 538))
_BARE_ABOUT_SESSION = frozenset((523, 524))
"""Encryption needed (RFC 5248 section 4: X.7.10, X.7.11), where no enhanced code says that it means something else:
others say 523 to a letter that is too big."""
_ENHANCED = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}(?!\d)")
_ENHANCED_ABOUT_SESSION = re.compile(rb"5\.(?:5\.1|7\.(?:[89]|1[01]))(?!\d)")
_ENHANCED_ABOUT_SECURITY = re.compile(rb"5\.7\.(?:[89]|1[01])(?!\d)")

OK = b"250 2.0.0 Ok\r\n"
SENDER_NOTED = b"250 2.1.0 Sender noted\r\n"
RESET = b"250 2.0.0 Flushed\r\n"
GOODBYE = b"221 2.0.0 Bye\r\n"
START_MAIL_INPUT = b"354 End data with <CR><LF>.<CR><LF>\r\n"
READY_FOR_TLS = b"220 2.0.0 Ready to start TLS\r\n"
DUPLICATE = b"250 2.0.0 Already delivered; not charged again (duplicate)\r\n"
MIRRORED = b"250 2.0.0 Seen; nothing was delivered or charged. The probe's page says what was found\r\n"
MIRROR_TAKES = b"250 2.1.5 The mirror: nothing is delivered or charged\r\n"
NO_PROBE = b"550 5.1.1 The mirror takes letters of an open probe only, and the first few: see pennyred probe --help\r\n"
MIRROR_ALONE = b"452 4.5.3 Too many recipients: the mirror takes letters to itself alone; send the rest again\r\n"
HELP = b"214 2.0.0 A gate that asks for postage; EHLO tells the price. See RFC 5321\r\n"
CANNOT_VERIFY = b"252 2.5.0 Cannot verify; send mail and see\r\n"
NOT_IMPLEMENTED = b"502 5.5.1 Command not implemented\r\n"
UNRECOGNISED = b"500 5.5.2 Command unrecognised\r\n"
BAD_CHARACTERS = b"500 5.5.2 Command contains characters that are not allowed\r\n"
LINE_TOO_LONG = b"500 5.5.2 Line too long\r\n"
ARGUMENT_MISSING = b"501 5.5.4 Argument missing\r\n"
NO_ARGUMENT_ALLOWED = b"501 5.5.4 No argument allowed\r\n"
HELO_FIRST = b"503 5.5.1 Say EHLO or HELO first\r\n"
MAIL_FIRST = b"503 5.5.1 Need MAIL first\r\n"
CHUNK_SYNTAX = b"501 5.5.4 Syntax: BDAT octets [LAST]; closing\r\n"
CHUNK_TAKEN = b"250 2.0.0 Chunk taken\r\n"
CHUNKS_BEGUN = b"503 5.5.1 Not after BDAT; go on with BDAT, or RSET\r\n"
BINARY_NOT_OFFERED = b"501 5.5.4 BODY=BINARYMIME is not offered\r\n"
RCPT_FIRST = b"503 5.5.1 Need RCPT first\r\n"
NESTED_MAIL = b"503 5.5.1 Nested MAIL command\r\n"
IN_TRANSACTION = b"503 5.5.1 Not inside a transaction\r\n"
NO_VALID_RECIPIENTS = b"554 5.5.1 No valid recipients\r\n"
UTF8_NOT_DECLARED = b"553 5.6.7 Addresses beyond ASCII need SMTPUTF8\r\n"
NOT_KEPT = b"452 4.3.1 Insufficient system storage, try again later\r\n"
NO_MEMORY = b"452 4.3.1 Too little memory for so long a header section just now, try again later\r\n"
TOO_MANY_RECIPIENTS = b"452 4.5.3 Too many recipients\r\n"
OTHER_CLASS = b"452 4.5.3 Too many recipients: some need a stamp and some none; send the rest again\r\n"
TOO_BIG = b"552 5.3.4 Letter too big\r\n"
HEADER_TOO_BIG = b"552 5.3.4 Header section too big\r\n"
BARE_NEWLINE = b"554 5.6.0 Bare CR or LF in the letter; end lines with CRLF\r\n"
NUL_IN_LETTER = b"554 5.6.0 NUL in the letter; mail must not contain it\r\n"
TOO_MANY_HOPS = b"554 5.4.6 Too many hops; the letter goes round in a circle\r\n"
TLS_UNAVAILABLE = b"454 4.7.0 TLS not available\r\n"
TLS_NEEDED = b"530 5.7.0 REQUIRETLS needs TLS here too: say STARTTLS first\r\n"
TLS_ACTIVE = b"503 5.5.1 TLS already active\r\n"
NOT_A_FRONT = b"550 5.7.0 Not authorised to speak for others\r\n"
TOO_BUSY = b"421 4.3.2 Too busy, try again later\r\n"
TOO_MANY_CONNECTIONS = b"421 4.3.2 Too many connections from your network, try again later\r\n"
NOT_FOR_STRANGERS = b"421 4.7.0 Mail of our own users only, closing\r\n"
SHUTTING_DOWN = b"421 4.3.2 Shutting down, try again later\r\n"
TOO_SLOW = b"421 4.4.2 Too slow, closing\r\n"
SESSION_TOO_LONG = b"421 4.4.2 Session too long, closing; connect again\r\n"
TOO_MANY_ERRORS = b"421 4.7.0 Too many errors, closing\r\n"
TOO_MANY_COMMANDS = b"421 4.7.0 Too many commands without a letter, closing\r\n"
WRONG_PROTOCOL = b"421 4.7.0 This is SMTP, closing\r\n"


def greeting(hostname: str) -> bytes:
    """The first reply of a session, and the reply to XCLIENT."""
    return _reply(220, "", f"{hostname} ESMTP")


def hello(hostname: str, keywords: Sequence[str] = ()) -> bytes:
    """The reply to HELO; with keywords, the reply to EHLO (RFC 5321 section 4.1.1.1)."""
    *firsts, last = (hostname, *keywords)
    return "".join([f"250-{line}\r\n" for line in firsts] + [f"250 {last}\r\n"]).encode()


def bad_address(why: str) -> bytes:
    """The reply to a path or parameters that do not parse; `why` is the text of a `MalformedAddress`."""
    return _reply(501, "5.1.3", printable(why.encode()))


def bad_attributes(why: str) -> bytes:
    """The reply to XCLIENT or XFORWARD that does not parse; `why` is the text of a `MalformedIdentity`."""
    return _reply(501, "5.5.4", printable(why.encode()))


def postage_due(recipient: bytes, due: Due, *, issuers: Sequence[str], help_url: str = "") -> bytes:
    """The letter needs a stamp for `recipient` (the mailbox as received), and none on it counts; `due` says why.

    It is temporary if time cures it (over the daily cap, not yet valid), else permanent.
    """
    reason, price = due.reason, due.price
    assert reason.kind is Kind.DUE
    shown = printable(recipient)
    if reason in (Reason.NO_STAMP, Reason.BULK):
        source = f" from {' or '.join(issuers[:3])}" if issuers else ""
        text = f"Postage due: {shown} needs a {price}-cent stamp{source} ({reason})"
    elif reason is Reason.UNDERPAID:
        text = f"Postage due: {shown}: {reason.sentence}, {price} {'stamp' if price == 1 else 'stamps'} ({reason})"
    elif due.delivered_at is not None:
        when = (
            f"{date_of(utc_day(due.delivered_at))} {due.delivered_at // 3600 % 24:02}:{due.delivered_at // 60 % 60:02}"
        )
        text = f"Postage due: {shown}: this text was delivered there at {when} UTC; not charged again ({reason})"
    elif due.altered:
        what = ", ".join(due.altered)
        text = f"Postage due: {shown}: {reason.sentence}: {what} ({reason}); stamp it behind what alters it"
    else:
        text = f"Postage due: {shown}: {reason.sentence} ({reason})"
    if help_url:
        text += f"; see {help_url}"
    return _reply(450, "4.7.1", text) if reason.is_cured_by_time else _reply(550, "5.7.1", text)


def later(reason: Reason, reference: str = "") -> bytes:
    """Something else did not answer, or the gate has an error: always temporary. `reference` is to the log."""
    assert reason.kind is Kind.LATER
    enhanced = {Reason.UPSTREAM_UNAVAILABLE: "4.4.1", Reason.IDENTITY_REFUSED: "4.3.5"}.get(reason, "4.3.0")
    suffix = f"(ref {reference})" if reference else f"({reason})"
    return _reply(451, enhanced, f"Try again later: {reason.sentence} {suffix}")


def refusal_at_rcpt(reply: Reply) -> Reply:
    """The mail server's refusal of MAIL, as the reply to RCPT. 552 would be taken for "too many recipients", and the
    letter sent again and again (RFC 5321 section 4.5.3.1.10).
    """
    return reply._replace(code=554) if reply.code == 552 else reply


def relayed(delivered: Delivered, everyone: Sequence[bytes] = ()) -> bytes:
    """The mail server's answer to the letter: word for word if it is the same for all recipients.

    By LMTP the answers may differ. If one is temporary, the reply is (the retry skips those who have had the letter).
    Else the reply refuses, and names who has it, who has not and why. `everyone` are the envelope's recipients: those
    to whom it was not sent this time have had it before, and are named among those who have it.
    """
    for fate, reply in zip(delivered.fates, delivered.replies, strict=True):
        if fate is Fate.REFUSED_TEMPORARY and reply is not None and not is_about_session(reply):
            return reply.encoded
        if fate in (Fate.IN_DOUBT, Fate.NOT_SENT, Fate.REFUSED_TEMPORARY):
            return later(Reason.UPSTREAM_UNAVAILABLE)
    kinds = set(delivered.fates)
    had = [] if kinds == {Fate.ACCEPTED} else list((Counter(everyone) - Counter(delivered.recipients)).elements())
    if len(kinds) == 1 and not had and (reply := delivered.reply) is not None:
        return reply.encoded
    return Reply(550, _named(delivered, had)).encoded


def _named(delivered: Delivered, had: Sequence[bytes]) -> tuple[bytes, ...]:
    """Lines that name who has not got the letter and why, then who has it. The same answer shares a line."""
    told: dict[str, list[str]] = {}
    has_it = [printable(mailbox) for mailbox in had]
    for mailbox, fate, reply in zip(delivered.recipients, delivered.fates, delivered.replies, strict=True):
        if fate is Fate.ACCEPTED or reply is None:
            has_it.append(printable(mailbox))
        else:
            why = printable(reply.text.encode(), _ADDRESS_OCTETS_MAX)
            told.setdefault(f"5.0.0 refused ({why}): ", []).append(printable(mailbox))
    told["5.0.0 delivered: "] = has_it
    lines: list[bytes] = []
    shown = 0
    for prefix, mailboxes in told.items():
        for line, count in _listed(prefix, mailboxes):
            if len(lines) == _NAMED_LINES_MAX:
                break
            lines.append(line.encode())
            shown += count
    left = len(had) + len(delivered.recipients) - shown
    return (*lines, *([b"5.0.0 and %d more" % left] if left else []))


def _listed(prefix: str, mailboxes: Sequence[str]) -> Iterator[tuple[str, int]]:
    """A list of mailboxes on as many lines as needed; each comes with the number of mailboxes that it names."""
    line, count = prefix, 0
    for mailbox in mailboxes:
        if count and len(line) + len(mailbox) + 2 > _TEXT_OCTETS_MAX:
            yield line, count
            line, count = prefix, 0
        line += f", {mailbox}" if count else mailbox
        count += 1
    if count:
        yield line, count


def is_closing(reply: Reply) -> bool:
    """Whether the server closes the connection after this reply (RFC 5321 section 3.8)."""
    return reply.code == 421


def is_about_syntax(reply: Reply) -> bool:
    """Whether it says that a command was not understood (x0z, RFC 5321 section 4.2.1): that refuses nobody."""
    return reply.code // 10 % 10 == 0


def is_unknown_command(reply: Reply) -> bool:
    """Whether it says that there is no such command, and not that it is out of turn (RFC 5321 section 4.2.4)."""
    return reply.code == 500 or (reply.code == 502 and not reply.lines[0].startswith(b"5.5.1 "))


def is_about_session(reply: Reply) -> bool:
    """Whether it is about the gate's own session with the mail server, and not about a client or a letter.

    A command was not understood or out of turn (RFC 5321 section 4.2.1; X.5.1 of RFC 3463); TLS comes first (RFC 3207
    section 4); a login is needed or is wrong (RFC 4954 section 6). Then a setting is wrong, and no mail may be lost.
    """
    return _is_session_code(reply) or (
        reply.code // 100 == 5 and _ENHANCED_ABOUT_SESSION.match(reply.lines[0]) is not None
    )


def _is_session_code(reply: Reply) -> bool:
    return reply.code in _ABOUT_SESSION or (
        reply.code in _BARE_ABOUT_SESSION and _ENHANCED.match(reply.lines[0]) is None
    )


def is_about_client(reply: Reply) -> bool:
    """Whether a reply to XCLIENT refuses this client, and not the command: "not now", or "no service" (RFC 5321
    section 3.1, RFC 7504), or "not authorised" (X.7.1 of RFC 3463).
    """
    if reply.code // 100 == 4:
        return not is_closing(reply)
    return reply.code in (521, 554) or (reply.code == 550 and reply.lines[0].startswith((b"5.7.1 ", b"5.7.25 ")))


def is_own_trouble(reply: Reply) -> bool:
    """Whether the server says that its own system fails (X.3.Z, RFC 3463 section 3.4)."""
    return reply.lines[0].startswith((b"4.3.", b"5.3."))


def is_about_service(reply: Reply) -> bool:
    """Whether a reply that closes the connection concerns all clients: own trouble, or no other cause given."""
    return is_own_trouble(reply) or not reply.lines[0].startswith((b"4.", b"5."))


def is_success(reply: Reply) -> bool:
    """Whether the reply is a success (2xx)."""
    return reply.code // 100 == 2


def is_refusal(reply: Reply) -> bool:
    """Whether the reply is a refusal (4xx or 5xx)."""
    return reply.code // 100 in (4, 5)


def is_temporary(reply: Reply) -> bool:
    """Whether the reply is a temporary refusal (4xx)."""
    return reply.code // 100 == 4


def is_denial(reply: Reply) -> bool:
    """Whether it refuses by a policy (5.7.Z, RFC 3463 section 3.8), and not because the address does not exist.

    If there is no such code (Exim), the word that all mail servers use for it decides.
    """
    return reply.code // 100 == 5 and (reply.lines[0].startswith(b"5.7.") or "relay" in reply.text.lower())


def is_data_wanted(reply: Reply) -> bool:
    """Whether the server waits for the letter now (354)."""
    return reply.code == 354


def fate_of(reply: Reply) -> Fate:
    """What a final reply means for the letter. A reply that is neither yes nor no leaves it in doubt.

    TLS or a login that is wanted is no word on it; 5.5.1 is: filters say it of what a letter has in it.
    """
    if _is_session_code(reply) or (reply.code // 100 == 5 and _ENHANCED_ABOUT_SECURITY.match(reply.lines[0])):
        return Fate.REFUSED_TEMPORARY
    fates = {2: Fate.ACCEPTED, 4: Fate.REFUSED_TEMPORARY, 5: Fate.REFUSED_PERMANENT}
    return fates.get(reply.code // 100, Fate.IN_DOUBT)


def is_error(encoded: bytes) -> bool:
    """Whether an encoded reply counts as an error of the client: 4xx and 5xx."""
    return encoded[:1] in (b"4", b"5")


def is_goodbye(encoded: bytes) -> bool:
    """Whether the session ends with this encoded reply."""
    return encoded[:3] == b"421"


def printable(text: bytes, octets_max: int = _ADDRESS_OCTETS_MAX) -> str:
    """A stranger's bytes as they may stand in a reply: printable ASCII, cut to a limit; `?` for anything else."""
    shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in text[:octets_max])
    return shown + "..." if len(text) > octets_max else shown


def _reply(code: int, enhanced: str, text: str) -> bytes:
    """Encode a reply. Long text is broken between words; each line repeats the enhanced code (RFC 2034)."""
    prefix = f"{enhanced} ".encode() if enhanced else b""
    rest = text.encode("ascii", "replace")
    lines = []
    while len(rest) > _TEXT_OCTETS_MAX:
        cut = rest.rfind(b" ", 1, _TEXT_OCTETS_MAX)
        cut = cut if cut > 0 else _TEXT_OCTETS_MAX
        lines.append(prefix + rest[:cut])
        rest = rest[cut:].lstrip()
    return Reply(code, (*lines, prefix + rest)).encoded

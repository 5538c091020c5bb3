"""What a session may say: the same bytes read by the book, one command after another, with the replies each may have.

The mail server's answers stand in the addresses and letters themselves, so that they are the same however often the
gate asks: `s451@...` as a sender is answered 451, `r550@...` as a recipient 550, `d550` in a sender is the answer to
DATA, `a451` in a Subject the answer to the final dot; `close` hangs up, `junk` says what is no SMTP, `hang` nothing.
A recipient that begins with `f` needs no stamp. `X-Desk: due` and `X-Desk: later` are what the gate's own desk says.
"""

import re
from dataclasses import dataclass, field

from pennyred.gate.door.gatehouse import GateOptions
from pennyred.gate.smtp.replies import SENDER_NOTED
from tests.support.fake_upstream import CLOSE, HANG
from tests.support.letter_ends import by_postfix, is_mended

TROUBLE = re.compile(rb"close|hang|junk|421")
_SCRIPTED = re.compile(
    rb"(MAIL FROM|RCPT TO):<(?:[srf](\w\d\d|\w+?))(?:d(\d\d\d))?(?:x\w*)?@[a-z.]+>( SIZE=[0-9]+)?", re.IGNORECASE
)
_SUBJECT = re.compile(rb"^Subject: a(\w+)", re.MULTILINE)
_BROWSERS = (b"GET", b"POST", b"CONNECT", b"PUT", b"HEAD", b"OPTIONS")
LETTER = b"a letter"
"""In a verb's place."""
_IDLE = (b"NOOP", b"RSET", b"VRFY", b"HELP", b"EXPN", b"AUTH", b"ETRN")
_CHUNK = re.compile(rb"BDAT +([0-9]{1,20})( +LAST)? *", re.IGNORECASE)
_SMALL = 512
"""Octets; a chunk of fewer is counted as idle talk."""


def scripted(verb: bytes, what: bytes) -> object:
    """What the mail server says to a command or a letter; None: the usual."""
    word: bytes | None = None
    if verb == b".":
        found = _SUBJECT.search(what)
        word = found[1] if found else None
    elif (line := _SCRIPTED.fullmatch(what)) is not None:
        word = line[3] if verb == b"DATA" else line[2]
    if word is None or word == b"250":
        return None
    if not word.isdigit():
        return {b"close": CLOSE, b"hang": HANG, b"junk": b"what?\r\n"}.get(word)
    return b"%b-%b says\r\n%b so\r\n" % (word, verb, word)


def replies_in(said: bytes) -> list[bytes]:
    """Cut into replies, each with all its lines; they must be well-formed (RFC 5321 section 4.2)."""
    replies, lines = [], b""
    for line in said.splitlines(keepends=True):
        assert re.fullmatch(rb"[2-5][0-9][0-9][ -][^\r\n\0]*\r\n", line), line
        assert not lines or lines[:3] == line[:3]
        lines += line
        if line[3:4] == b" ":
            replies.append(lines)
            lines = b""
    assert not lines, lines
    return replies


@dataclass
class Expected:
    """A letter that must have come to the desk, and what must have become of it."""

    content: bytes
    recipients: tuple[bytes, ...]
    is_delivered: bool


@dataclass
class Oracle:
    """One session, followed from its greeting on. `follow` raises AssertionError where the gate said what it may not."""

    options: GateOptions
    has_tls: bool
    is_trusted: bool
    is_greeted: bool = False
    is_tls: bool = False
    is_over: bool = False
    """The gate has taken its leave, or has to."""
    is_upstream_down: bool = False
    sender: bytes | None = None
    waiting: bytes = b""
    """What the mail server will say to MAIL, which the gate has answered itself; empty: it has been said."""
    refusal: bytes = b""
    """What it has said to it then, if it was no: every RCPT is answered so."""
    no_to_mail: bytes = b""
    """The reply to the last MAIL that was refused."""
    recipients: list[bytes] = field(default_factory=list)
    asked: int = 0
    spared: int = 0
    errors: int = 0
    idle: int = 0
    is_in_letter: bool = False
    chunks: bytes | None = None
    """What has come of a letter by BDAT, once that has begun."""
    chunk_answer: bytes = b""
    """What every further chunk of it is refused with."""
    input: bytes = b""
    letters: list[Expected] = field(default_factory=list)
    """For the test to look at and take away."""

    def follow(self, sent: bytes, replies: list[bytes]) -> None:
        """More was sent, and this is all the gate said to it."""
        self.input += sent
        replies = list(replies)
        self.has_trouble = TROUBLE.search(self.input) is not None
        while not self.is_over and (item := self._next()) is not None:
            kind, what = item
            assert replies, f"no reply to {kind!r} {what[:80]!r}"
            reply = replies.pop(0)
            may = self._letter(what) if kind == LETTER else self._replies_to(kind, what)
            assert reply[:3] in may or reply in may, f"{reply!r} to {kind!r} {what[:80]!r}; expected {may}"
            self.is_between_chunks, self.is_crumb = what[-1:] == b"-", len(what) <= _SMALL
            was_greeted, self.was_refused = self.is_greeted, bool(self.refusal)
            self._take(kind, what, reply)
            self.idle += was_greeted and kind in (b"EHLO", b"HELO") and reply[:1] == b"2"
            self._count(kind, reply, replies)
        assert not replies, f"said without being asked: {replies}"

    # What was sent

    def _next(self) -> tuple[bytes, bytes] | None:
        if self.is_in_letter:
            raw, end, rest = (b"\r\n" + self.input).partition(b"\r\n.\r\n")
            if not end:
                return None
            self.input = rest
            _, *lines = (raw + b"\r\n").split(b"\n")
            return LETTER, b"\n".join(line.removeprefix(b".") for line in lines)
        line, end, rest = self.input.partition(b"\n")
        if not end:
            return None
        if len(line) <= 2048 and (chunk := _CHUNK.fullmatch(line.removesuffix(b"\r"))) is not None:
            octets = int(chunk[1])
            if len(rest) < octets:
                return None
            self.input = rest[octets:]
            return b"BDAT", rest[:octets] + (b"L" if chunk[2] else b"-")
        self.input = rest
        if len(line) > 2048:
            return b"too long", b""
        line = line.removesuffix(b"\r")
        return line.partition(b" ")[0].upper(), line

    # What may be said to it

    def _replies_to(self, verb: bytes, what: bytes) -> tuple[bytes, ...]:
        if verb == b"BDAT" and _CHUNK.fullmatch(what) is None and what[-1:] in (b"L", b"-"):
            return self._chunk(what[:-1], is_last=what[-1:] == b"L")
        return self._command(verb, what)

    def _chunk(self, octets: bytes, *, is_last: bool) -> tuple[bytes, ...]:
        may: tuple[bytes, ...]
        if self.sender is None:
            may = (b"503",)
        elif self.chunk_answer:
            may = (self.chunk_answer,)
        elif self.chunks is None and not self.recipients:
            may = (b"503", b"554")
        else:
            self.chunks = (self.chunks or b"") + octets
            may = self._letter_so_far(self.chunks, is_last=is_last)
        return may

    def _letter_so_far(self, text: bytes, *, is_last: bool) -> tuple[bytes, ...]:
        if len(text) > self.options.spool.letter_bytes_max:
            return (b"552",)
        if is_last:
            whole = by_postfix(text)
            whole += b"" if not whole or whole.endswith(b"\r\n") else b"\r\n"
            return self._letter(whole, text)
        return (b"250", b"552") if len(by_postfix(text)) > self.options.spool.header_bytes_max else (b"250",)

    def _command(self, verb: bytes, line: bytes) -> tuple[bytes, ...]:
        if verb == b"too long" or re.search(rb"[\x00-\x1f\x7f]", line):
            return (b"500",)
        if not line.isascii() and verb not in (b"MAIL", b"RCPT"):
            return (b"500",)
        has_argument = bool(line.partition(b" ")[2].strip(b" "))
        match verb:
            case b"EHLO" | b"HELO":
                return (b"250",) if has_argument else (b"501",)
            case b"MAIL":
                return self._mail(line)
            case b"RCPT":
                return self._rcpt(line)
            case b"DATA":
                return self._data(has_argument)
            case b"NOOP" | b"RSET":
                return (b"250",)
            case b"VRFY":
                return (b"252",) if has_argument else (b"501",)
            case b"HELP":
                return (b"214",)
            case b"EXPN" | b"AUTH" | b"ETRN":
                return (b"502",)
            case b"QUIT":
                return (b"221",)
            case b"BDAT":
                return (b"501",)
            case b"STARTTLS":
                return (
                    (b"501",) if has_argument else (b"503",) if self.is_tls else (b"220" if self.has_tls else b"454",)
                )
            case b"XCLIENT" | b"XFORWARD":
                if not self.is_trusted:
                    return (b"550",)
                return (b"503",) if self.sender is not None else (b"220" if verb == b"XCLIENT" else b"250", b"501")
        return (b"421",) if verb in _BROWSERS else (b"500",)

    def _mail(self, line: bytes) -> tuple[bytes, ...]:
        if not self.is_greeted or self.sender is not None:
            return (b"503",)
        found = _SCRIPTED.fullmatch(line)
        if found is None or found[1].upper() != b"MAIL FROM":
            # A line that nobody scripted: refused for what it is, or taken.
            return (b"501", b"552", b"553", b"451" if self.is_upstream_down else b"250", b"451")
        if found[4] and int(found[4][6:]) > self.options.spool.letter_bytes_max:
            return (b"552",)
        return (*self._relayed(found[2]), SENDER_NOTED)

    def _rcpt(self, line: bytes) -> tuple[bytes, ...]:
        found = _SCRIPTED.fullmatch(line)
        if self.sender is None or self.has_chunks:
            # What cannot be read has an answer of its own, where it came along with a MAIL that was refused.
            # By HELO nothing is pipelined, and the mail server's refusal of MAIL is that of the RCPTs that came with it.
            return (b"503", self.no_to_mail) if found is not None else (b"503", b"501", b"553")
        if found is None or found[1].upper() != b"RCPT TO":
            return (b"501", b"553", b"452", b"451" if self.is_upstream_down else b"250", b"451")
        if self.asked >= self.options.recipients_max:
            return (b"452",)
        if self.waiting and not self.waiting.startswith(b"2"):
            return self._relayed(self.waiting)
        if self.refusal:
            return (self.refusal,)
        if self.recipients and _is_free(self.recipients[0]) is not _is_free(_mailbox(line)):
            return (b"452",)
        return self._relayed(found[2])

    def _relayed(self, word: bytes) -> tuple[bytes, ...]:
        if self.is_upstream_down:
            return (b"451",)
        # Commands that go to the mail server together share its troubles.
        shared = (b"451",) if self.has_trouble else ()
        return (word if word.isdigit() else b"451", *shared)

    def _data(self, has_argument: bool) -> tuple[bytes, ...]:
        if has_argument:
            return (b"501",)
        if self.sender is None or self.has_chunks:
            return (b"503",)
        return (b"354",) if self.recipients else (b"503", b"554")

    @property
    def has_chunks(self) -> bool:
        return self.chunks is not None or self.chunk_answer != b""

    def _letter(self, text: bytes, sent: bytes | None = None) -> tuple[bytes, ...]:
        limits = self.options.spool
        mended = by_postfix(text)
        header = 0 if mended.startswith(b"\r\n") else mended.find(b"\r\n\r\n") + 2
        header = header if header != 1 else len(mended)
        if len(mended) > limits.letter_bytes_max or header > limits.header_bytes_max:
            return (b"552",)
        if self.options.is_bare_newline_refused and is_mended(text if sent is None else sent):
            return (b"554",)
        may: tuple[bytes, ...]
        if b"X-Desk: due\r\n" in mended:
            may = (b"550",)
        elif b"X-Desk: later\r\n" in mended or self.is_upstream_down:
            may = (b"451",)
        else:
            assert self.sender is not None
            data = re.search(rb"d(\d\d\d)", self.sender)
            subject = _SUBJECT.search(mended)
            word = data[1] if data else subject[1] if subject else b"250"
            may = (word,) if word.isdigit() else (b"451",) if word in (b"close", b"hang", b"junk") else (b"250",)
        once = {mailbox.lower(): mailbox for mailbox in reversed(self.recipients)}  # by its first spelling
        recipients = tuple(one for one in dict.fromkeys(self.recipients) if once[one.lower()] == one)
        self.letters.append(Expected(mended, recipients, may == (b"250",)))
        return may

    # What follows from what was said

    def _take(self, verb: bytes, line: bytes, reply: bytes) -> None:
        code, is_well = reply[:3], reply[:1] == b"2"
        if verb == b"RCPT" and self.sender is not None and code not in (b"501", b"500", b"553"):
            self.asked += reply.startswith((b"452 4.5.3 Too many recipients\r\n",)) is False
        if verb == b"MAIL" and not is_well:
            self.no_to_mail = reply
        if verb == b"RCPT" and self.waiting and self.sender is not None:
            self._take_word_on_mail(code, reply)
        if verb == b"BDAT":
            self._take_chunk(line, code)
        elif verb == LETTER:
            self.is_in_letter = False
            self._forget()
        elif verb == b"DATA" and code == b"354":
            self.is_in_letter = True
        elif not is_well:
            pass
        elif verb in (b"EHLO", b"HELO"):
            self.is_greeted = True
            self._forget()
        elif verb == b"MAIL":
            self.sender = line
            self.asked = self.spared = 0
            found = _SCRIPTED.fullmatch(line)
            self.waiting, self.refusal = b"", b""
            if reply == SENDER_NOTED:
                self.waiting = found[2] if found else b"250"
        elif verb == b"RCPT":
            self.recipients.append(_mailbox(line))
        elif verb == b"RSET":
            self._forget()
        elif verb == b"XCLIENT":
            self.is_greeted = False
        elif verb == b"STARTTLS":
            self.is_greeted, self.is_tls = False, True
            self._forget()
            self.input = b""  # in plain text, so it was never said

    def _take_word_on_mail(self, code: bytes, reply: bytes) -> None:
        if code in (b"500", b"501", b"553") or reply.startswith((b"452 4.5.3 ", b"451 4.")):
            return  # the mail server was not asked, or has not answered: MAIL waits on
        self.refusal = b"" if self.waiting.startswith(b"2") else code
        self.waiting = b""

    def _take_chunk(self, what: bytes, code: bytes) -> None:
        if code == b"501":
            self.is_over = True
        elif what.endswith(b"L"):
            self._forget()
        elif code != b"250" and self.sender is not None:
            self.chunk_answer = code

    def _count(self, verb: bytes, reply: bytes, replies: list[bytes]) -> None:
        if self.is_over or reply[:3] in (b"421", b"221"):
            self.is_over = True
            return
        is_chunk = verb == b"BDAT" and self.is_between_chunks
        if reply[:1] == b"2" and (verb == LETTER or (verb == b"BDAT" and not is_chunk)):
            self.errors = self.idle = 0
        elif is_chunk:
            self.idle += reply[:1] != b"2" or self.is_crumb
        elif self.spared < self.options.recipients_max and (
            reply.startswith(b"452 4.5.3 ") or (verb == b"RCPT" and self.was_refused and reply[:3] == self.refusal)
        ):
            self.spared += 1
        elif reply[:1] in b"45":
            self.errors += 1
        self.idle += verb in _IDLE and reply[:3] != b"500"
        if self.errors >= self.options.errors_max or self.idle >= self.options.idle_commands_max:
            assert replies, "too many errors, and no goodbye"
            assert replies.pop(0)[:3] == b"421"
            self.is_over = True

    def _forget(self) -> None:
        self.sender, self.recipients, self.chunks, self.chunk_answer = None, [], None, b""


def _mailbox(line: bytes) -> bytes:
    found = re.search(rb":\s*<?(?:@[^:>]*:)?([^> ]*)", line)
    assert found is not None
    return found[1]


def _is_free(mailbox: bytes) -> bool:
    return mailbox.startswith(b"f")

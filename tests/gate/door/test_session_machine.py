"""Any session at all: each command has its one reply, in order and of those its state allows; each letter comes to the
desk once and as it was sent; and at the end nothing is left over.

What may be said is known to `session_oracle`, which reads the same bytes by the book.
"""

import os
import re
import ssl
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import trustme
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.memory_gate import MemoryClient, MemoryGate, MemoryUpstream
from tests.support.session_oracle import Oracle, replies_in, scripted
from tests.support.smtp_gate import FakeDesk

from pennyred.gate.letterbox import Answer, Delivery, Due, Envelope, Later, Letter
from pennyred.gate.smtp.spool import SpoolLimits
from pennyred.postage.reasons import Reason


def _in_chunks(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"BDAT %d%b\r\n%b" % (len(octets), last, octets) for octets, last in chunks)


def _whole(text: bytes) -> bytes:
    """Ending with a line end, so that the dot behind it is the end."""
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def _spelt_out(text: bytes) -> bytes:
    """With what would make every report of a failure too long to read."""
    return re.sub(rb"<(\d+)>", lambda found: b"x" * int(found[1]), text)


FRONT, STRANGER = "192.0.2.1", "198.51.100.7"
FOREVER = 10.0**9
LIMITS: dict[str, Any] = {
    "trusted_fronts": (ip_network(FRONT),), "recipients_max": 5, "errors_max": 12, "idle_commands_max": 15,
    "read_timeout_seconds": FOREVER, "session_timeout_seconds": FOREVER, "transfer_timeout_seconds": FOREVER,
}  # fmt: skip
SPOOL = SpoolLimits(letter_bytes_max=3000, header_bytes_max=1000)

_ca = trustme.CA()
SERVER_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
_ca.issue_cert("localhost").configure_cert(SERVER_TLS)
CLIENT_TLS = ssl.create_default_context()
_ca.configure_trust(CLIENT_TLS)

said_of_senders = st.sampled_from(["250"] * 8 + ["451", "550", "421", "close", "junk", "hang", "250d451", "250d550"])
said_of_recipients = st.sampled_from(["250"] * 8 + ["251", "450", "550", "421", "close", "junk", "hang"])
said_of_letters = st.sampled_from(["250"] * 6 + ["451", "554", "421", "close", "junk", "hang"])
mails = said_of_senders.map(lambda word: f"MAIL FROM:<s{word}@a.example>\r\n".encode())
rcpts = st.builds(
    lambda kind, word: f"RCPT TO:<{kind}{word}@b.example>\r\n".encode(), st.sampled_from("rrrrf"), said_of_recipients
)
odd_lines = st.sampled_from([
    b"DATA\r\n", b"DATA now\r\n", b"RSET\r\n", b"NOOP\r\n", b"noop x\r\n", b"VRFY bob\r\n", b"VRFY\r\n", b"HELP\r\n",
    b"EXPN x\r\n", b"AUTH PLAIN x\r\n", b"ETRN x\r\n", b"BDAT x\r\n", b"BDAT 3\r\n", b"BDAT 0\r\n", b"BDAT 0 LAST\r\n", b"EHLO\r\n", b"HELO h.example\r\n", b"EHLO e.example\r\n", b"\r\n", b"\n", b" \r\n",
    b"MAIL FROM:<>\r\n", b"MAIL FROM:<broken\r\n", b"MAIL FROM:<s250@a.example> SIZE=9999\r\n", b"mail from:s250@a.example\n",
    b"MAIL FROM:<j\xc3\xb6@a.example>\r\n", b"MAIL FROM:<j\xc3\xb6@a.example> SMTPUTF8\r\n", b"MAIL FROM:<\xff@a.example>\r\n",
    b"RCPT TO:<broken\r\n", b"RCPT TO:<j\xc3\xb6@b.example>\r\n", b"rcpt to: <postmaster>\r\n", b"RCPT TO:<@x:u@b.example>\r\n",
    b"XCLIENT ADDR=203.0.113.9\r\n", b"XCLIENT X=1\r\n", b"XFORWARD ADDR=203.0.113.9 NAME=x\r\n", b"XFORWARD\r\n",
    b"NOOP a\rb\r\n", b"NOOP \0\r\n", b"N\xf6OP\r\n", b"NOOP\r\r\n", b"RSET\n", b"FOO\r\n", b".\r\n",
    b"NOOP <2100>\r\n", b"<5000>\r\n", b"GET / HTTP/1.1\r\n", b"QUIT\r\n",
]).map(_spelt_out)  # fmt: skip
pieces_of_letters = st.sampled_from([
    b"", b"x", b".", b"..", b".x", b"\n", b"\r", b"\0", b".\n", b"\n.\n", b"\r.\r", b"\0.", b".\0", b"\r\r\n", b"X-Desk: due\r\n",
    b"X-Desk: later\r\n", b"a: b\r\n", b"\r\n", b"\r\n", b"\r\n", b"<1200>", b"<2000>", b"MAIL FROM:<s250@evil.example>\r\n",
]).map(_spelt_out)  # fmt: skip
letters = st.builds(
    lambda word, texts: f"Subject: a{word}\r\n".encode() + b"".join(texts).replace(b"\r\n.\r\n", b"\r\n..\r\n"),
    said_of_letters,
    st.lists(pieces_of_letters, max_size=6),
).map(lambda text: _whole(text) + b".\r\n")
whole_mails = st.builds(
    lambda mail, rcpts, letter: mail + b"".join(rcpts) + b"DATA\r\n" + letter,
    mails,
    st.lists(rcpts, max_size=4),
    letters,
)
chunks = st.lists(
    st.tuples(st.lists(pieces_of_letters, max_size=3).map(b"".join), st.sampled_from([b"", b" LAST"])), max_size=4
)
chunked = st.builds(
    lambda word, chunks, last: _in_chunks([(f"Subject: a{word}\r\n".encode(), b""), *chunks, (last, b" LAST")]),
    said_of_letters, chunks, pieces_of_letters,
)  # fmt: skip
chunked_mails = st.builds(
    lambda mail, rcpts, letter: mail + b"".join(rcpts) + letter, mails, st.lists(rcpts, max_size=4), chunked
)
utterances = st.one_of(mails, rcpts, odd_lines, whole_mails, letters, chunked, chunked_mails, chunks.map(_in_chunks))
talks = st.lists(utterances, min_size=1, max_size=5).map(b"".join)


class ScriptedDesk(FakeDesk):
    """Answers some letters itself, as they ask it to."""

    async def take(self, letter: Letter, envelope: Envelope, delivery: Delivery) -> Answer:
        octets = letter.header.raw + b"".join(letter.body())  # type: ignore[attr-defined]
        self.answer = None
        if b"X-Desk: due\r\n" in octets:
            self.answer = Due(0, Reason.NO_STAMP)
        elif b"X-Desk: later\r\n" in octets:
            self.answer = Later(Reason.IN_PROGRESS)
        return await super().take(letter, envelope, delivery)


@dataclass
class Caller:
    """A client and what may be said to it."""

    client: MemoryClient
    oracle: Oracle


class Sessions(RuleBasedStateMachine):
    """Some clients of one gate at a time, and a mail server that comes and goes."""

    @initialize(is_refusing=st.booleans(), has_tls=st.booleans())
    def open_the_gate(self, is_refusing: bool, has_tls: bool) -> None:
        self.upstream = MemoryUpstream(decide=scripted)
        self.desk = ScriptedDesk(is_free=lambda mailbox: mailbox.startswith(b"f"))
        self.gate = MemoryGate(
            self.upstream,
            self.desk,
            SERVER_TLS if has_tls else None,
            options=LIMITS | {"is_bare_newline_refused": is_refusing},
            spool=SPOOL,
        )
        self.gate.__enter__()
        self.callers: list[Caller] = []

    def teardown(self) -> None:
        if hasattr(self, "gate"):
            self.gate.__exit__(None)
            assert [line for line in self.gate.notes.lines if line[0] == "error"] == []

    @precondition(lambda self: len(self.callers) < 3)
    @rule(address=st.sampled_from([STRANGER, STRANGER, FRONT]), hello=st.sampled_from([b"", b"EHLO c.example\r\n"]))
    def call(self, address: str, hello: bytes) -> None:
        options = self.gate.server._house.options
        oracle = Oracle(options, self.gate.tls is not None, address == FRONT)
        caller = Caller(self.gate.client(b"", address=address), oracle)
        self.callers.append(caller)
        if hello:
            self.say(caller, hello)

    @precondition(lambda self: self.callers)
    @rule(data=st.data(), text=talks)
    def talk(self, data: st.DataObject, text: bytes) -> None:
        caller = self.any_caller(data)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
        self.say(caller, *(text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)))

    @precondition(lambda self: self.callers)
    @rule(data=st.data(), text=whole_mails | chunked_mails)
    def mail(self, data: st.DataObject, text: bytes) -> None:
        self.say(self.any_caller(data), b"RSET\r\nEHLO c.example\r\n" + text)

    @precondition(lambda self: self.callers)
    @rule(data=st.data(), behind=st.sampled_from([b"", b"EHLO evil.example\r\n", b"NOOP"]))
    def start_tls(self, data: st.DataObject, behind: bytes) -> None:
        caller = self.any_caller(data)
        was_tls = caller.oracle.is_tls
        self.say(caller, b"STARTTLS\r\n" + behind)
        if caller.oracle.is_tls and not was_tls:
            caller.client.start_tls(CLIENT_TLS)

    @precondition(lambda self: self.callers)
    @rule(data=st.data(), is_rude=st.booleans(), last=talks)
    def leave(self, data: st.DataObject, is_rude: bool, last: bytes) -> None:
        caller = self.any_caller(data)
        self.callers.remove(caller)
        if is_rude or caller.oracle.is_tls:  # there are no half-closed connections by TLS
            caller.client.transport.lose()
            self.gate.loop.settle()
        else:
            self.say(caller, last, None)
            assert caller.client.has_heard_end

    @rule()
    def the_mail_server_leaves(self) -> None:
        self.upstream.hang_up_on_all()
        self.gate.loop.settle()

    @rule(is_down=st.booleans())
    def the_mail_server_stops_or_is_back(self, is_down: bool) -> None:
        self.upstream.is_down = is_down
        self.the_mail_server_leaves()

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "gate"):
            assert self.gate.loop.troubles == []

    def any_caller(self, data: st.DataObject) -> Caller:
        return self.callers[data.draw(st.integers(0, len(self.callers) - 1))]

    def say(self, caller: Caller, *pieces: bytes | None) -> None:
        """Say it in these pieces and compare what happens with what may."""
        self.desk.letters.clear()
        self.desk.envelopes.clear()
        self.upstream.letters.clear()
        client, oracle = caller.client, caller.oracle
        oracle.is_upstream_down = self.upstream.is_down
        text = b"".join(piece for piece in pieces if piece is not None)
        said = b"".join(client.send(piece) for piece in pieces if piece != b"")
        if b"hang" in oracle.input + text:
            said += self.wait_for(client)
        oracle.follow(text, replies_in(said))
        assert client.has_heard_end == (oracle.is_over or None in pieces)
        assert self.desk.letters == [letter.content for letter in oracle.letters]
        assert [envelope.recipients for envelope in self.desk.envelopes] == [one.recipients for one in oracle.letters]
        self.compare_deliveries(oracle)
        oracle.letters.clear()
        if client.has_heard_end and caller in self.callers:
            self.callers.remove(caller)

    def compare_deliveries(self, oracle: Oracle) -> None:
        delivered = [letter for letter in oracle.letters if letter.is_delivered]
        assert len(delivered) == len(self.upstream.letters)
        for letter, (_, rcpts, stuffed) in zip(delivered, self.upstream.letters, strict=True):
            assert b"".join(line.removeprefix(b".") for line in stuffed.splitlines(keepends=True)) == letter.content
            assert len(rcpts) == len(letter.recipients)

    def wait_for(self, client: MemoryClient) -> bytes:
        """The mail server says nothing: let the gate lose its patience."""
        before = len(client.said)
        for _ in range(30):
            self.gate.loop.pass_seconds(700)
        client._decrypt()
        return bytes(client.said[before:])


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    max_examples=600 if os.environ.get("PENNYRED_LONG") else 60,
    stateful_step_count=30,
    deadline=None,
    report_multiple_bugs=False,
)

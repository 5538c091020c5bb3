"""Two mail servers that fail in any way at any point, a client that comes again, a desk with its books.

Whatever happens: a letter's content goes out at most once in one attempt, it is accepted once (once more for each time
that this was never heard of), it is charged once, and nobody hears a refusal.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.desk import DeskUnderTest
from tests.support.fake_upstream import CLOSE, HANG
from tests.support.memory_gate import MemoryClient, MemoryGate, MemoryTransport, MemoryUpstream
from tests.support.stationery import LETTER, NOW

PORTS = (25, 26)
VERBS = (b"220", b"EHLO", b"XCLIENT", b"MAIL", b"RCPT", b"DATA", b".", b"RSET")
DIE = "die"
"""Hang up and be away from then on."""
LOST = "lost"
"""Take the letter, and hang up before that is said; at another verb than the final dot, just hang up."""
HALF = b"250-half"
"""A yes that does not come to its end."""
ANSWERS = (DIE, DIE, LOST, CLOSE, HANG, b"421 4.3.2 leaving\r\n", b"451 4.3.0 not now\r\n", b"what?\r\n", HALF)
ENVELOPE = (b"MAIL FROM:<ann@sender.example>\r\n", b"RCPT TO:<bob@example.org>\r\n", b"DATA\r\n")
CONTENT = b"Shall we have tea?"
LONGEST_WAIT_SECONDS = 30 * 60


@dataclass(frozen=True)
class Attempt:
    """What goes wrong while the letter is tried once, and how long it is until the next time."""

    troubles: tuple[tuple[int, bytes, object], ...] = ()
    """Which mail server, at which verb, what it says instead of yes."""
    down: frozenset[int] = frozenset()
    hangs_up: frozenset[int] = frozenset()
    """Those that close all connections while the letter comes in."""
    is_slow: bool = False
    pause_seconds: int = 0


ATTEMPTS = st.builds(
    Attempt,
    troubles=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(VERBS), st.sampled_from(ANSWERS)), max_size=5).map(
        tuple
    ),
    down=st.frozensets(st.integers(0, 1)),
    hangs_up=st.frozensets(st.integers(0, 1)),
    is_slow=st.booleans(),
    pause_seconds=st.integers(0, 3000),
)


class Troubled(MemoryUpstream):
    """A mail server with troubles to come, each once, at its verb."""

    def __init__(self) -> None:
        super().__init__(decide=self.trouble)
        self.to_come: list[tuple[bytes, object]] = []
        self.lost = 0

    def trouble(self, verb: bytes, what: bytes) -> object:
        found = next((one for one in self.to_come if one[0] == verb), None)
        if found is None:
            return None
        self.to_come.remove(found)
        if found[1] == DIE:
            self.is_down = True
        if found[1] == LOST and verb == b".":
            self.lost += 1
            self.letters.append((b"", [], what))
        if found[1] == HALF and verb == b".":
            self.lost += 1
        return CLOSE if found[1] in (DIE, LOST) else found[1]


@dataclass
class Pair:
    """Stands for both towards the memory gate."""

    both: tuple[Troubled, Troubled] = field(default_factory=lambda: (Troubled(), Troubled()))
    url: str = f"smtp://192.0.2.25:{PORTS[0]}"

    @property
    def open(self) -> int:
        return sum(one.open for one in self.both)

    def reach(self, protocol: Any) -> MemoryTransport:
        return self.both[PORTS.index(protocol.options.endpoint.port)].reach(protocol)


@dataclass
class Second:
    url: str = f"smtp://192.0.2.25:{PORTS[1]}"


class Desk:
    may_go = None

    def __init__(self, books: DeskUnderTest) -> None:
        self.take, self.free_recipients = books.desk.take, books.desk.free_recipients


class Story:
    """One letter and all the attempts to bring it home."""

    def __init__(self, gate: MemoryGate, pair: Pair, books: DeskUnderTest) -> None:
        self.gate, self.pair, self.books = gate, pair, books
        self.letter = books.stationery.stamped(LETTER, "bob@example.org")

    def pass_seconds(self, seconds: float) -> None:
        self.gate.loop.pass_seconds(seconds)
        self.gate.clock_ahead = 0.0
        self.books.office.now = NOW + round(self.gate.loop.time() - 1000)

    def say(self, client: MemoryClient, data: bytes) -> bytes:
        """Say it and wait for a whole reply, or the end."""
        before = len(client.said)
        client.send(data)
        waited = 0
        while not is_whole(bytes(client.said[before:])) and not client.has_heard_end:
            assert waited < LONGEST_WAIT_SECONDS, "no answer"
            self.pass_seconds(10)
            waited += 10
        return bytes(client.said[before:])

    def attempt(self, what: Attempt) -> bytes:
        for number, one in enumerate(self.pair.both):
            one.to_come.clear()
            one.is_down = number in what.down
        for number, verb, answer in what.troubles:
            self.pair.both[number].to_come.append((verb, answer))
        seen = self.contents
        reply = self.converse(what)
        assert self.contents - seen <= 1, "it went out twice"
        assert reply[:1] in b"24", reply
        self.pass_seconds(what.pause_seconds)
        return reply

    def converse(self, what: Attempt) -> bytes:
        client = self.gate.client(hello=b"")
        for line in (b"EHLO client.example.com\r\n", *ENVELOPE):
            reply = self.say(client, line)
            if reply[:1] not in (b"2", b"3"):
                client.send(None)
                return reply
        head, body = self.letter[:100], self.letter[100:]
        client.send(head)
        if what.is_slow:
            self.pass_seconds(10)
        for number in what.hangs_up:
            self.pair.both[number].hang_up_on_all()
        self.gate.loop.settle()
        reply = self.say(client, body + b".\r\n")
        client.send(None)
        return reply

    @property
    def contents(self) -> int:
        """How often the letter's content has been heard."""
        return sum(bytes(heard).count(CONTENT) for one in self.pair.both for heard in one.heard)

    @property
    def lost(self) -> int:
        return sum(one.lost for one in self.pair.both)

    @property
    def accepted(self) -> int:
        return sum(len(one.letters) for one in self.pair.both)


def is_whole(said: bytes) -> bool:
    return said.endswith(b"\r\n") and said.splitlines()[-1][3:4] == b" "


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ATTEMPTS, max_size=5))
def test_whatever_fails_wherever_the_letter_is_delivered_once_and_charged_once(attempts):
    pair, books = Pair(), DeskUnderTest()
    gate = MemoryGate(pair, Desk(books), others=(Second(),))
    with gate:
        gate.loop.run_until_complete(books.office.open(10))
        story = Story(gate, pair, books)
        for what in attempts:
            if story.attempt(what).startswith(b"250"):
                break
        story.pass_seconds(books.desk.policy.lease_seconds + 120)
        assert story.attempt(Attempt()).startswith(b"250")
        assert 1 <= story.accepted <= 1 + story.lost
        balance, held = gate.loop.run_until_complete(books.balance())
        assert (balance, held) == (9, 0)
        audit = gate.loop.run_until_complete(books.office.ledger.audit())
        assert (audit.balanced, audit.settled, audit.held) == (True, 1, 0)

"""How the door takes letters for the mirror: RCPT is answered here, and the mail server hears of none of it."""

import asyncio

import pytest
from tests.support.fake_upstream import CLOSE, FakeUpstream
from tests.support.smtp_gate import Gate

from pennyred.gate.letterbox import Due, Mirrored, NoProbe
from pennyred.postage.reasons import Reason

LETTER = b"Subject: x\r\n\r\nhello\r\n"
TO_MIRROR = b"RCPT TO:<mirror+x@post.example>\r\n"
TO_BOB = b"RCPT TO:<bob@example.org>\r\n"
FROM = b"MAIL FROM:<alice@example.com>\r\n"


class FakeMirror:
    """Takes what begins with `mirror`; says what it is told to."""

    def __init__(self, answer=None):
        self.answer = Mirrored() if answer is None else answer
        self.letters = []

    def is_for(self, mailbox):
        return mailbox.startswith(b"mirror")

    async def take(self, letter, envelope):
        self.letters.append((envelope.sender, envelope.recipients, letter.header.raw + b"".join(letter.body())))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def told(said: bytes, count: int, mirror: FakeMirror, upstream: FakeUpstream | None = None, **options: int):
    """The replies to what is said at once; and the gate and its mail server, for what they have seen."""

    async def story():
        async with upstream or FakeUpstream() as behind, Gate(behind, options=options) as gate:
            gate.server._house.mirror = mirror
            client = await gate.connect()
            client.send(said)
            replies = [await client.reply() for _ in range(count)]
            return replies, gate, behind

    return asyncio.run(story())


@pytest.mark.parametrize(
    "by",
    [
        b"DATA\r\n" + LETTER + b".\r\n",
        b"BDAT 5\r\n" + LETTER[:5] + b"BDAT %d LAST\r\n" % (len(LETTER) - 5) + LETTER[5:],
    ],
    ids=["DATA", "BDAT"],
)
def test_a_letter_goes_to_the_mirror_and_nowhere_else(by):
    mirror = FakeMirror()
    replies, gate, behind = told(FROM + TO_MIRROR + by, 4, mirror)
    assert [one[:3] for one in replies] == [b"250", b"250", b"354" if by.startswith(b"DATA") else b"250", b"250"]
    assert mirror.letters == [(b"alice@example.com", (b"mirror+x@post.example",), LETTER)]
    assert gate.desk.letters == []
    assert behind.letters == []


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (NoProbe(), b"550 5.1.1 "),
        (Due(0, Reason.NO_STAMP), b"550 5.7.1 Postage due: mirror+x@post.example needs"),
        (RuntimeError("a mistake"), b"451 4.3.0 "),
    ],
)
def test_its_answer_is_the_reply(answer, reply):
    replies, _, _ = told(FROM + TO_MIRROR + b"DATA\r\n" + LETTER + b".\r\n", 4, FakeMirror(answer))
    assert replies[-1].startswith(reply)


@pytest.mark.parametrize(
    ("recipients", "codes"),
    [
        (TO_MIRROR + TO_BOB, [b"250", b"452"]),
        (TO_BOB + TO_MIRROR, [b"250", b"452"]),
        (TO_MIRROR + TO_MIRROR, [b"250", b"250"]),
        (TO_MIRROR + TO_MIRROR.replace(b"+x", b"+y"), [b"250", b"452"]),
    ],
)
def test_it_is_alone_in_its_transaction(recipients, codes):
    mirror = FakeMirror()
    replies, gate, _ = told(FROM + recipients + b"DATA\r\n" + LETTER + b".\r\n", 5, mirror)
    assert [one[:3] for one in replies[1:3]] == codes
    assert len(mirror.letters) + len(gate.desk.letters) == 1
    assert bool(gate.desk.letters) is recipients.startswith(TO_BOB)


def test_who_names_it_again_and_again_only_costs_time():
    replies, _, _ = told(FROM + TO_MIRROR * 50, 12, FakeMirror(), idle_commands_max=10)
    assert [one[:3] for one in replies] == [b"250"] * 11 + [b"421"]


@pytest.mark.parametrize("between", [b"RSET\r\n", b"EHLO again.example\r\n"])
def test_the_next_transaction_knows_nothing_of_it(between):
    mirror = FakeMirror()
    replies, gate, _ = told(FROM + TO_MIRROR + between + FROM + TO_BOB + b"DATA\r\n" + LETTER + b".\r\n", 7, mirror)
    assert replies[-1][:3] == b"250"
    assert mirror.letters == []
    assert gate.desk.envelopes[0].recipients == (b"bob@example.org",)


def test_without_a_transaction_there_is_no_mirror():
    replies, _, _ = told(TO_MIRROR + b"DATA\r\n", 2, FakeMirror())
    assert [one[:3] for one in replies] == [b"503", b"503"]


def test_where_mail_is_refused_nobody_is_told_that_the_mirror_takes_it():
    mirror = FakeMirror()
    upstream = FakeUpstream()
    upstream.answers[b"MAIL"].append(b"550 5.7.1 not from you\r\n")
    replies, _, _ = told(FROM + TO_MIRROR + b"DATA\r\n", 3, mirror, upstream)
    assert [one[:3] for one in replies] == [b"550", b"503", b"503"]
    assert mirror.letters == []


@pytest.mark.parametrize("refusal", [b"550 5.1.8 go away\r\n", CLOSE], ids=["refused", "unavailable"])
@pytest.mark.parametrize("is_asked_twice", [False, True])
def test_there_is_no_letter_to_it_if_mail_fails_after_it_had_waited(refusal, is_asked_twice):
    mirror = FakeMirror()

    async def story():
        async with FakeUpstream() as behind, Gate(behind) as gate:
            gate.server._house.mirror = mirror
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250 ")  # a connection is at hand from now on
            behind.answers[b"MAIL"].extend([refusal] * 8)
            assert (await client.say(FROM.strip())).startswith(b"250 ")
            for _ in range(1 + is_asked_twice):
                assert (await client.say(TO_MIRROR.strip()))[:1] in (b"4", b"5")
            return await client.say(b"DATA")

    assert asyncio.run(story())[:1] == b"5"
    assert mirror.letters == []

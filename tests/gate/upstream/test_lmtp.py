"""LMTP (RFC 2033): one answer a recipient after the final dot, in every mixture, over the wire, with the books kept.

After each the letter is sent again, as a mail server would: who has had it gets it no second time and is not charged
again, who has not gets it.
"""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from tests.support.desk import DeskUnderTest
from tests.support.fake_upstream import CLOSE, HANG, FakeUpstream
from tests.support.smtp_gate import Gate
from tests.support.stationery import LETTER

from pennyred.gate.desk import Desk
from pennyred.gate.letterbox import Fate
from pennyred.gate.rules.exemptions import Allowances, Exemptions, Mode

OK = b"250 2.0.0 Saved\r\n"
NO = b"552 5.2.2 Quota exceeded\r\n"
WAIT = b"452 4.2.2 Mailbox is busy\r\n"
LEAVING = b"421 4.3.2 Shutting down\r\n"
NONSENSE = b"what was that?\r\n"
ODD = b"354 go on\r\n"
LATER = b"451 4.4.1 "
NAMED = b"550-5.0.0 refused (552 5.2.2 Quota exceeded): "
Y, N, W, D = Fate.ACCEPTED, Fate.REFUSED_PERMANENT, Fate.REFUSED_TEMPORARY, Fate.IN_DOUBT

NAMES = ("ann@example.org", "bob@example.org", "carol@example.org")

MIXTURES = {
    "all well": ((OK, OK, OK), (Y, Y, Y), OK),
    "all refused": ((NO, NO, NO), (N, N, N), NO),
    "all later": ((WAIT, WAIT, WAIT), (W, W, W), WAIT),
    "one refused": ((OK, NO, OK), (Y, N, Y), NAMED + b"bob@example.org\r\n"),
    "the first refused": ((NO, OK, OK), (N, Y, Y), NAMED + b"ann@example.org\r\n"),
    "one later": ((OK, OK, WAIT), (Y, Y, W), WAIT),
    "refused and later": ((NO, WAIT, WAIT), (N, W, W), WAIT),
    "one of each": ((OK, NO, WAIT), (Y, N, W), WAIT),
    "one of each, backwards": ((WAIT, NO, OK), (W, N, Y), WAIT),
    "lost before any answer": ((CLOSE,), (D, D, D), LATER),
    "lost after one": ((OK, CLOSE), (Y, D, D), LATER),
    "lost after two": ((OK, NO, CLOSE), (Y, N, D), LATER),
    "it leaves in the middle": ((OK, LEAVING, CLOSE), (Y, W, D), LEAVING),
    "nonsense for one": ((OK, NONSENSE, OK), (Y, D, D), LATER),
    "an odd answer for one": ((OK, ODD, OK), (Y, D, Y), LATER),
    "no answer for the last": ((OK, OK, HANG), (Y, Y, D), LATER),
    "no answer for one": ((NO, HANG), (N, D, D), LATER),
}


class RealDesk:
    """A desk with an office in memory, as the door's test has it; remembers what each delivery came to."""

    may_go = None

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.free_recipients = desk.free_recipients
        self.fates: list[tuple[Fate, ...]] = []

    async def take(self, letter, envelope, delivery):
        answer = await self._desk.take(letter, envelope, delivery)
        self.fates.append(answer.delivered.fates if hasattr(answer, "delivered") else ())
        return answer


class Story:
    """An LMTP server, a gate with a desk in front of it, a stamped letter for three."""

    def __init__(self, path: Path | None = None, *, is_stamped: bool = True, **policy: object) -> None:
        self.upstream = FakeUpstream(is_lmtp=True, path=path)
        self.books = DeskUnderTest(**policy)
        self.desk = RealDesk(self.books.desk)
        self.letter = self.books.stationery.stamped(LETTER, *NAMES) if is_stamped else LETTER

    async def send(self, gate: Gate, *answers: object) -> bytes:
        self.upstream.answers[b"."].extend(answers)
        client = await gate.connect()
        reply = await client.mail(self.letter, tuple(name.encode() for name in NAMES))
        self.upstream.answers[b"."].clear()
        return reply

    @property
    def had(self) -> Counter[str]:
        """How often each has had it, as far as the server has said."""
        lines = [line for taken in self.upstream.letters for line in taken.accepted]
        return Counter(line.split(b"<")[1].split(b">")[0].decode() for line in lines)

    async def books_say(self, spent: int, held: int) -> None:
        balance, is_held = await self.books.balance()
        assert (10 - balance, is_held) == (spent, held)
        audit = await self.books.office.ledger.audit()
        assert (audit.balanced, audit.settled, audit.held) == (True, spent, held)


@pytest.mark.parametrize("way", ["tcp", "unix"])
@pytest.mark.parametrize("mixture", MIXTURES)
def test_whoever_has_it_pays_and_the_retry_reaches_only_the_others(mixture, way, tmp_path):
    answers, fates, expected = MIXTURES[mixture]
    accepted = {name for name, fate in zip(NAMES, fates, strict=True) if fate is Y}

    async def story():
        this = Story(tmp_path / "lmtp" if way == "unix" else None)
        await this.books.office.open(10)
        options = {"answer_seconds": 0.2} if HANG in answers else {}
        async with this.upstream, Gate(this.upstream, this.desk, upstream_options=options) as gate:
            reply = await this.send(gate, *answers)
            assert reply.startswith(expected)
            assert this.desk.fates == [fates]
            if reply.startswith(NAMED):
                assert reply.splitlines()[-1] == b"550 5.0.0 delivered: " + b", ".join(
                    name.encode() for name in NAMES if name in accepted
                )
            await this.books_say(len(accepted), fates.count(D))

            if D in fates:
                # It may have been delivered: as long as the lease lasts nobody is given it again.
                assert (await this.send(gate)).startswith(b"451 ")
                assert len(this.desk.fates[1]) == 0
                await this.books_say(len(accepted), fates.count(D))
                this.books.office.now += this.books.desk.policy.lease_seconds + 1

            assert (await this.send(gate)).startswith(b"250 ")
            await this.books_say(3, 0)
            if ODD not in answers and NONSENSE not in answers:
                assert this.had == Counter(NAMES)
            sent_to = b"".join(line for taken in this.upstream.letters for line in taken.recipients)
            assert {name for name in accepted if sent_to.count(name.encode()) != 1} == set()

            assert await this.send(gate) == b"250 2.0.0 Already delivered; not charged again (duplicate)\r\n"
            await this.books_say(3, 0)

    asyncio.run(story())


FREE = {
    "exempt": {"exemptions": Exemptions(recipients=frozenset({"example.org"}))},
    "bulk": {"mode": Mode.BULK, "allowances": Allowances(per_day=6)},
    "monitor": {"mode": Mode.MONITOR},
}


@pytest.mark.parametrize("policy", FREE)
@pytest.mark.parametrize("mixture", [name for name, (_, fates, _) in MIXTURES.items() if {Y, W} <= {*fates}])
def test_without_a_stamp_too_the_retry_reaches_only_those_who_have_not_had_it(mixture, policy):
    """Else whoever shares a letter with a full mailbox would get it again with every retry, for days."""
    answers, fates, expected = MIXTURES[mixture]

    async def story():
        this = Story(is_stamped=False, **FREE[policy])
        await this.books.office.open(10)
        async with this.upstream, Gate(this.upstream, this.desk) as gate:
            assert (await this.send(gate, *answers)).startswith(expected)
            waiting = [name for name, fate in zip(NAMES, fates, strict=True) if fate is not Y]
            assert await this.send(gate, *[WAIT] * len(waiting)) == WAIT
            assert await this.send(gate, *[WAIT] * len(waiting)) == WAIT
            assert (await this.send(gate)).startswith(b"250 ")
            assert this.had == Counter(NAMES)
            await this.books_say(0, 0)

    asyncio.run(story())


def test_where_answers_are_for_good_or_for_all_nothing_is_remembered():
    async def story():
        this = Story(is_stamped=False, **FREE["exempt"])
        async with this.upstream, Gate(this.upstream, this.desk) as gate:
            for answers in ((OK, OK, OK), (OK, NO, OK), (NO, WAIT, WAIT)):
                await this.send(gate, *answers)
                assert this.books.part_deliveries.letters == set()

    asyncio.run(story())


def test_a_letter_that_comes_again_for_one_who_has_had_it_is_a_duplicate():
    async def story():
        this = Story(is_stamped=False, **FREE["exempt"])
        async with this.upstream, Gate(this.upstream, this.desk) as gate:
            assert await this.send(gate, OK, WAIT, WAIT) == WAIT
            reply = await (await gate.connect()).mail(this.letter, (NAMES[0].encode(),))
            assert reply == b"250 2.0.0 Already delivered; not charged again (duplicate)\r\n"

    asyncio.run(story())


def test_a_memory_that_does_not_answer_keeps_no_letter_from_anybody():
    async def story():
        this = Story(is_stamped=False, **FREE["exempt"])
        this.books.part_deliveries.is_down = True
        async with this.upstream, Gate(this.upstream, this.desk) as gate:
            assert await this.send(gate, OK, WAIT, OK) == WAIT
            assert (await this.send(gate)).startswith(b"250 ")
            assert this.had == Counter({NAMES[0]: 2, NAMES[1]: 1, NAMES[2]: 2})

    asyncio.run(story())


def test_who_had_to_wait_and_is_then_refused_does_not_make_the_bounce_name_the_others_as_lost():
    async def story():
        this = Story()
        await this.books.office.open(10)
        async with this.upstream, Gate(this.upstream, this.desk) as gate:
            assert await this.send(gate, OK, WAIT, OK) == WAIT
            reply = await this.send(gate, NO)
            assert reply == NAMED + b"bob@example.org\r\n550 5.0.0 delivered: ann@example.org, carol@example.org\r\n"
            await this.books_say(2, 0)

    asyncio.run(story())


def test_an_answer_with_a_bare_cr_in_it_makes_no_second_line_for_the_client():
    async def story():
        this = Story()
        await this.books.office.open(10)
        async with this.upstream, Gate(this.upstream, this.desk) as gate:
            forged = b"452 4.2.2 no\r250 2.0.0 yes\r\n"
            assert await this.send(gate, OK, OK, forged) == b"452 4.2.2 no 250 2.0.0 yes\r\n"
            reply = await this.send(gate, b"552 5.2.2 a\r250 b\x00\xff\r\n")
            assert reply.startswith(b"550-5.0.0 refused (552 5.2.2 a 250 b?\\xff): carol@example.org\r\n550 5.0.0 ")

    asyncio.run(story())

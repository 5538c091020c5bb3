"""A question that need not be put to the state has the answer that it would have had, whoever writes in between."""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.support.state_file import NOW

from pennyred.gate.memory.correspondents import Learned
from pennyred.gate.memory.grants import GrantBook
from pennyred.gate.memory.permits import Kind, Permit
from pennyred.gate.memory.store import GateState
from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.grants import holds
from pennyred.gate.rules.origin import Authentication
from pennyred.postage.address import canonical_recipient
from pennyred.postage.errors import Unavailable
from pennyred.postage.networks import parse_source

DAY = NOW // 86_400
BOB, EVE = "bob@example.org", "eve@example.org"
ANN, CARL = "ann@sender.example", "carl@other.example"
WINDOW = f"INSERT INTO expected (user, domain, until_at, used) VALUES ('{BOB}', '', {NOW + 60}, 0)"
PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
for line in sys.stdin:
    connection.execute(line)
    print("done", flush=True)
"""


class OtherProgram:
    """Writes to the same file, one statement after the other."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def write(self, statement: str) -> None:
        print(statement, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "done\n"

    def end(self) -> None:
        self._process.communicate()


def claims_of(author: str) -> Claims:
    return Claims(
        author=canonical_recipient(author), sender=canonical_recipient(author), replied_to=(b"1@example.org",)
    )


async def ask(book: GrantBook, user: str = BOB, author: str = ANN):
    [grants] = await book.grants([[user, "example.org", "*"]], claims_of(author), now=NOW)
    return grants


class Asked:
    """Counts the questions that are put to the state."""

    def __init__(self, book: GrantBook) -> None:
        self._readers = book._readers
        book._readers = self
        self.count = 0

    async def answer(self, *question, **more):
        self.count += 1
        return await self._readers.answer(*question, **more)


def on(file, story):
    async def whole():
        state, other = GateState.open(file, now=NOW), GateState.open(file, now=NOW)
        try:
            return await story(state, other, Asked(state.grant_book))
        finally:
            await state.close()
            await other.close()

    return asyncio.run(whole())


def test_while_nothing_stands_there_and_nothing_is_written_the_first_letter_asks_for_all(file):
    async def story(state, _, asked):
        return [await ask(state.grant_book, user) for user in (BOB, EVE, BOB)], asked.count

    assert on(file, story) == ([[], [], []], 1)


def test_whatever_was_written_is_looked_at_once(file):
    async def story(state, other, asked):
        counts = []
        for one in (state, other, state):
            await one.part_deliveries.add(DAY, [b"letter"])
            await ask(state.grant_book)
            await ask(state.grant_book)
            counts.append(asked.count)
        return counts

    assert on(file, story) == [1, 2, 3]


def test_what_was_just_written_counts_for_the_next_letter_whoever_has_written_it(file):
    async def by_us(state, other, _):
        return await ask(state.grant_book), await state.permits.expect(BOB, "", until=NOW + 60, now=NOW), state

    async def by_another_worker(state, other, _):
        return await ask(state.grant_book), await other.permits.expect(BOB, "", until=NOW + 60, now=NOW), state

    async def by_another_program(state, other, _):
        before, program = await ask(state.grant_book), OtherProgram(file)
        program.write(WINDOW)
        return before, program.end(), state

    for written in (by_us, by_another_worker, by_another_program):
        file.unlink(missing_ok=True)

        async def story(state, other, asked, written=written):
            before, _, _ = await written(state, other, asked)
            return len(before), len(await ask(state.grant_book)), len(await ask(state.grant_book, EVE))

        assert on(file, story) == (0, 1, 0)


def test_a_letter_that_is_asked_about_while_another_one_writes_hides_nothing(file):
    """The answer that is under way when something is committed must not stand for the time afterwards."""

    async def story(state, other, _):
        many = [ask(state.grant_book) for _ in range(20)]
        await asyncio.gather(
            *many, other.permits.expect(BOB, "", until=NOW + 60, now=NOW), *map(ask, [state.grant_book] * 9)
        )
        return len(await ask(state.grant_book))

    assert on(file, story) == 1


def test_a_state_that_is_closed_knows_not_even_that_nothing_stands_there(file):
    async def story(state, *_):
        await ask(state.grant_book)
        await state.close()
        with pytest.raises(Unavailable):
            await ask(state.grant_book)

    on(file, story)


USERS, AUTHORS, WRITERS = st.sampled_from([BOB, EVE]), st.sampled_from([ANN, CARL]), st.sampled_from([0, 1])


def proven(author: str) -> Authentication:
    domain = author.partition("@")[2]
    return Authentication(domains=frozenset({domain}), sender_domain=domain, author_domain=domain)


def knows_nothing(book: GrantBook, user: str = BOB, author: str = ANN) -> bool:
    return book.knows_nothing([[user, "example.org", "*"]], claims_of(author), proven(author).domains)


def test_in_a_book_in_use_who_is_about_nobody_is_known_without_a_question(file):
    async def story(state, other, _):
        await other.correspondents.learn([Learned(DAY, (EVE,), (ANN,))])
        before = knows_nothing(state.grant_book)
        await ask(state.grant_book, EVE)
        book = state.grant_book
        seen = [knows_nothing(book, BOB), knows_nothing(book, EVE), knows_nothing(book, EVE, CARL)]
        await other.permits.add(Permit(BOB, Kind.DOMAIN, "sender.example"))
        at_once = knows_nothing(book, BOB)
        await ask(book)
        return before, seen, at_once, knows_nothing(book, BOB), knows_nothing(book, BOB, CARL)

    assert on(file, story) == (False, [True, False, True], False, False, True)


def test_any_kind_of_row_keeps_it_from_being_said(file):
    async def story(state, other, _):
        await other.correspondents.learn([Learned(DAY, ("zoe@example.org",), (ANN,))])
        found = []
        for write in (
            other.correspondents.learn([Learned(DAY, (BOB,), (), (b"1@example.org",))]),
            other.permits.add(Permit("*", Kind.LIST, "news.sender.example")),
            other.permits.add(Permit("example.org", Kind.ADDRESS, ANN, "192.0.2.0/24")),
            other.permits.expect(EVE, "example", until=NOW + 60, now=NOW),
        ):
            await ask(state.grant_book, "dan@example.org", CARL)
            await write
            await ask(state.grant_book, "dan@example.org", CARL)
            found.append([knows_nothing(state.grant_book, user) for user in (BOB, EVE)])
        return found

    assert on(file, story) == [[False, True], [False, True], [False, False], [False, False]]


class Spared(RuleBasedStateMachine):
    """A book that spares questions, beside one that never does; this worker, another one and a program write."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        path = Path(self.folder.name) / "gate.db"
        self.states = [GateState.open(path, now=NOW), GateState.open(path, now=NOW)]
        self.program = OtherProgram(path)
        self.book = self.states[0].grant_book
        self.plain = GrantBook(self.book._readers, self.book._commits, self.book._hasher)

    def run(self, work):
        return self.loop.run_until_complete(work)

    @rule(by=WRITERS, user=USERS, author=AUTHORS, is_named=st.booleans())
    def write_to_somebody(self, by, user, author, is_named):
        message_ids = (b"1@example.org",) if is_named else ()
        self.run(self.states[by].correspondents.learn([Learned(DAY, (user,), (author,), message_ids)]))

    @rule(by=WRITERS, user=USERS)
    def forget_everybody(self, by, user):
        self.run(self.states[by].correspondents.remove(user, []))

    @rule(by=WRITERS, user=USERS, name=AUTHORS, days=st.sampled_from([-1, 1]))
    def approve(self, by, user, name, days):
        self.run(self.states[by].permits.add(Permit(user, Kind.ADDRESS, name, last_day=DAY + days)))

    @rule(by=WRITERS, user=USERS, name=AUTHORS)
    def take_back(self, by, user, name):
        self.run(self.states[by].permits.remove(user, name))

    @rule(by=WRITERS, user=USERS)
    def expect(self, by, user):
        if len(self.run(ask(self.plain, user, CARL))) < 5:
            self.run(self.states[by].permits.expect(user, "", until=NOW + 60, now=NOW))

    @rule(by=WRITERS)
    def write_something_else(self, by):
        self.run(self.states[by].part_deliveries.add(DAY, [b"letter"]))

    @rule(user=USERS, domain=st.sampled_from(["", "sender.example", "example", "elsewhere.example"]))
    def expect_of_one(self, user, domain):
        self.program.write(WINDOW.replace(BOB, user).replace("''", f"'{domain}'"))

    @rule(statement=st.sampled_from([WINDOW, "DELETE FROM expected", "DELETE FROM permit", "DELETE FROM sent"]))
    def write_by_a_program(self, statement):
        self.program.write(statement)

    @invariant()
    def both_say_the_same(self):
        for user in (BOB, EVE):
            for author in (ANN, CARL):
                is_spared = knows_nothing(self.book, user, author)
                grants = self.run(ask(self.plain, user, author))
                assert self.run(ask(self.book, user, author)) == grants
                source = parse_source("198.51.100.7")
                assert not (is_spared and any(holds(one, claims_of(author), proven(author), source) for one in grants))

    def teardown(self):
        self.program.end()
        for state in self.states:
            self.run(state.close())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()


Spared.TestCase.settings = settings(stateful_step_count=20)
TestSpared = Spared.TestCase

"""`MAIL FROM:<>` is for what answers a letter of ours, else for a few reports and answers; it is no way to send bulk mail."""

import asyncio
import functools

import pytest
from tests.support.desk import DeskUnderTest, MailServer, Witness
from tests.support.stationery import DAY, LETTER, NOW

from pennyred.gate.letterbox import Due, Fate, Later, Relay
from pennyred.gate.memory.correspondents import Learned
from pennyred.gate.memory.store import GateState
from pennyred.gate.rules.exemptions import ANSWERS_FACTOR, UNKNOWN_FACTOR, WIDE_FACTOR, Allowances, Exemptions, Mode
from pennyred.gate.rules.grants import BOUNCES_MAX, BOUNCES_PER_LETTER, EXPECTED_PER_SOURCE_MAX, Grant
from pennyred.gate.rules.origin import Authentication
from pennyred.postage.reasons import Reason

BOB, EVE = "bob@example.org", "eve@example.org"
REPORT = b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n" + LETTER
OURS = b"Message-ID: <ours@example.org>\r\n"
DUE = Due(0, Reason.NO_STAMP)


def scenario(test):
    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(test(*arguments, **named))

    return run


async def a_desk(stamps: int = 10, **policy) -> DeskUnderTest:
    desk = DeskUnderTest(**policy)
    await desk.office.open(stamps)
    return desk


async def reasons(desk: DeskUnderTest, letters: list, **how) -> list[str]:
    """Of each letter (octets and recipient) from `<>`, the rule it came by, or why not."""
    told = []
    for letter, to in letters:
        answer, _ = await desk.present(letter, to, sender="", **how)
        told.append(
            answer.reason.value if isinstance(answer, Due | Later) else desk.log.lines[-1]["recipients"][0]["reason"]
        )
    return told


def report_from(author: str, on: str = "dan@far.example") -> bytes:
    letter = REPORT.replace(b"Ann <ann@sender.example>", author.encode())
    return letter + b"--x\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; %s\r\n" % on.encode()


def users(count: int) -> list[str]:
    return [f"u{number}@example.org" for number in range(count)]


class TestASourceWithoutALimit:
    @scenario
    async def test_600_ordinary_letters_to_600_recipients_are_due(self):
        desk = await a_desk()
        assert set(await reasons(desk, [(LETTER, to) for to in users(600)])) == {"no-stamp"}
        assert desk.counters.used == {}

    @scenario
    async def test_what_looks_like_a_report_is_free_for_so_many_of_a_source_and_day(self):
        desk = await a_desk(allowances=Allowances(bounces_per_source_per_day=5))
        told = await reasons(desk, [(REPORT, to) for to in users(8)])
        assert told == ["bounce"] * 5 + ["no-stamp"] * 3
        assert await reasons(desk, [(REPORT, BOB)], source="198.51.100.99") == ["no-stamp"]  # the same /24
        assert await reasons(desk, [(REPORT, BOB)], source="198.51.101.7") == ["bounce"]
        desk.office.now += DAY
        assert await reasons(desk, [(REPORT, BOB)]) == ["bounce"]

    @scenario
    async def test_a_new_64_or_48_buys_little_and_a_32_is_bounded_as_well(self):
        desk = await a_desk(allowances=Allowances(bounces_per_source_per_day=3))
        of_48 = [await reasons(desk, [(REPORT, BOB)], source=f"2001:db8:1:{number}::1") for number in range(5)]
        assert of_48 == [["bounce"]] * 3 + [["no-stamp"]] * 2
        of_32 = [await reasons(desk, [(REPORT, EVE)], source=f"2001:db8:{2 + number}::1") for number in range(40)]
        assert of_32.count(["bounce"]) == 3 * WIDE_FACTOR - 3
        assert await reasons(desk, [(REPORT, EVE)], source="2001:db9::1") == ["bounce"]

    @scenario
    async def test_behind_a_front_that_does_not_tell_all_are_counted_together(self):
        desk = await a_desk(allowances=Allowances(bounces_per_source_per_day=1))
        told = await reasons(desk, [(REPORT, to) for to in users(UNKNOWN_FACTOR + 2)], source_known=False)
        assert told == ["bounce"] * UNKNOWN_FACTOR + ["no-stamp"] * 2

    @scenario
    async def test_what_was_not_delivered_is_given_back(self):
        desk = await a_desk(allowances=Allowances(bounces_per_source_per_day=1))
        for _ in range(2):
            await desk.present(REPORT, BOB, sender="", server=MailServer((), [Fate.REFUSED_TEMPORARY]))
        assert await reasons(desk, [(REPORT, BOB)]) == ["bounce"]

    @scenario
    async def test_a_stamp_pays_for_an_ordinary_letter_from_nobody_as_for_any(self):
        desk = await a_desk()
        assert await reasons(desk, [(desk.stationery.stamped(LETTER, BOB), BOB)]) == ["stamped"]
        assert await reasons(desk, [(LETTER, "postmaster@example.org")]) == ["postmaster"]

    @scenario
    async def test_monitor_writes_down_what_would_be_due(self):
        desk = await a_desk(mode=Mode.MONITOR)
        assert await reasons(desk, [(LETTER, BOB), (REPORT, BOB)]) == ["no-stamp", "bounce"]


async def outgoing(state: GateState, **more) -> None:
    await state.correspondents.learn(
        [Learned(NOW // DAY, (BOB,), ("dan@far.example",), (b"ours@example.org",), **more)]
    )


@pytest.fixture
def tell(tmp_path):
    """A story of a gate that knows of outgoing mail, and lets nobody's report in by an allowance."""

    def run(story, **policy):
        async def whole():
            state = GateState.open(tmp_path / "gate.db", now=NOW)
            try:
                await outgoing(state)
                limits = Allowances(bounces_per_day=0, bounces_per_source_per_day=1)
                desk = await a_desk(**{"allowances": limits} | policy)
                desk.judging.grant_book = state.grant_book
                desk.desk.authenticator = Witness()
                await story(desk, state)
            finally:
                await state.close()

        asyncio.run(whole())

    return run


class TestWhatAnswersALetterOfOurs:
    @pytest.mark.parametrize(
        "letter",
        [
            REPORT + b"--x\r\nContent-Type: text/rfc822-headers\r\n\r\n" + OURS,
            LETTER + b"--- Below this line is a copy of the message.\r\n\r\nReturn-Path: <bob@example.org>\r\n" + OURS,
            b"In-Reply-To: <ours@example.org>\r\nAuto-Submitted: auto-replied\r\n" + LETTER,
            b"References: <a@b>\r\n <ours@example.org>\r\n" + LETTER,
            REPORT + b"Original-Message-ID: <ours@example.org>\r\n",
        ],
        ids=["report", "qmail", "vacation", "thread", "receipt"],
    )
    def test_it_is_free_for_whom_it_answers_and_for_nobody_else(self, tell, letter):
        async def story(desk, _):
            assert await reasons(desk, [(letter, BOB), (letter, EVE)]) == ["bounce", "no-stamp"]
            assert await reasons(desk, [(letter.replace(b"ours@", b"theirs@"), BOB)]) == ["no-stamp"]

        tell(story)

    def test_so_many_on_one_letter_and_no_more(self, tell):
        async def story(desk, _):
            told = await reasons(desk, [(REPORT + OURS, BOB)] * (BOUNCES_MAX + 2))
            assert told == ["bounce"] * BOUNCES_MAX + ["no-stamp"] * 2
            # The answers of people have a count of their own.
            reply = b"In-Reply-To: <ours@example.org>\r\n" + LETTER
            assert isinstance((await desk.present(reply, BOB))[0], Relay)

        tell(story, allowances=Allowances(bounces_per_day=0, bounces_per_source_per_day=100))

    def test_so_many_of_one_source_whatever_the_letters_it_names(self, tell):
        """Message-IDs stand in public archives: whoever gathers a thousand must not have a thousand letters free."""

        async def story(desk, state):
            ids = tuple(b"%d@example.org" % number for number in range(ANSWERS_FACTOR + 3))
            await state.correspondents.learn([Learned(NOW // DAY, (BOB,), (), ids)])
            told = await reasons(desk, [(REPORT + b"Message-ID: <%s>\r\n" % one, BOB) for one in ids])
            assert told == ["bounce"] * ANSWERS_FACTOR + ["no-stamp"] * 3

        tell(story)

    def test_one_that_was_not_delivered_is_given_back(self, tell):
        async def story(desk, _):
            for _ in range(BOUNCES_MAX + 1):
                await desk.present(REPORT + OURS, BOB, sender="", server=MailServer((), [Fate.REFUSED_TEMPORARY]))
            assert await reasons(desk, [(REPORT + OURS, BOB)]) == ["bounce"]

        tell(story)

    @pytest.mark.parametrize(
        ("author", "proven", "told"),
        [
            ("MAILER-DAEMON@far.example", "", "no-stamp"),
            ("MAILER-DAEMON@far.example", "evil.example", "no-stamp"),
            ("MAILER-DAEMON@evil.example", "evil.example", "no-stamp"),
            ("eve@far.example", "far.example", "no-stamp"),  # another user there, who can have anything signed
            ("MAILER-DAEMON@far.example", "far.example", "bounce"),
            ("postmaster@mx.far.example", "mx.far.example", "bounce"),
        ],
    )
    def test_a_report_on_a_letter_to_whom_he_has_written_is_free_where_his_mail_server_proves_to_write(
        self, tell, author, proven, told
    ):
        """Anybody can name him; and else it would tell whom Bob has written to."""

        async def story(desk, _):
            desk.desk.authenticator = Witness(
                Authentication(domains=frozenset({proven} - {""}), author_domain=proven, organisation=proven)
            )
            assert await reasons(desk, [(report_from(author), BOB), (report_from(author), EVE)]) == [told, "no-stamp"]

        tell(story)

    def test_such_reports_are_free_for_so_many_of_a_source_and_day(self, tell):
        async def story(desk, _):
            desk.desk.authenticator = Witness(Authentication(author_domain="far.example", organisation="far.example"))
            told = await reasons(desk, [(report_from("mailer-daemon@far.example"), BOB)] * (ANSWERS_FACTOR + 2))
            assert told == ["bounce"] * ANSWERS_FACTOR + ["no-stamp"] * 2

        tell(story)

    @pytest.mark.parametrize(
        "address",
        [
            "list-bounces+dan=far.example@example.org",
            "prvs=0123abcdef=bob@example.org",
            "srs0=ab=cd=far.example=x@example.org",
        ],
    )
    def test_what_comes_to_an_address_made_for_it_is_free_as_often_as_letters_left_with_it(self, tell, address):
        async def story(desk, state):
            assert await reasons(desk, [(LETTER, address)]) == ["no-stamp"]
            await outgoing(state, bounces_to=address)
            told = await reasons(desk, [(LETTER, address.replace("=", "=", 1))] * (BOUNCES_PER_LETTER + 1))
            assert told == ["bounce"] * BOUNCES_PER_LETTER + ["no-stamp"]
            await outgoing(state, bounces_to=address)
            assert await reasons(desk, [(LETTER, address)]) == ["bounce"]
            assert (await desk.present(LETTER, address))[0] == DUE, "who has a name is no bounce"

        tell(story)

    @pytest.mark.parametrize("address", ["owner@example.org", "list-bounces@example.org", "bob+shop@example.org"])
    def test_one_that_anybody_may_guess_is_free_for_so_many_of_a_source_and_day(self, tell, address):
        """People read what comes to some of them, and the owner of a shop writes a thousand letters a month."""

        async def story(desk, state):
            for _ in range(3):
                await outgoing(state, bounces_to=address)
            told = await reasons(desk, [(LETTER, address)] * 8)
            assert told == ["bounce"] * 5 + ["no-stamp"] * 3
            assert await reasons(desk, [(LETTER, address)], source="198.51.101.7") == ["bounce"]

        tell(story, allowances=Allowances(bounces_per_source_per_day=5))

    def test_a_signed_return_path_is_its_owners_too(self, tell):
        async def story(desk, _):
            assert await reasons(desk, [(REPORT + OURS, "prvs=0123abcdef=bob@example.org")]) == ["bounce"]
            assert await reasons(desk, [(REPORT + OURS, "prvs=zzz=bob@example.org")]) == ["no-stamp"]

        tell(story)

    def test_only_the_beginning_of_a_letter_is_read(self, tell):
        async def story(desk, _):
            assert await reasons(desk, [(REPORT + b"x" * 70_000 + b"\r\n" + OURS, BOB)]) == ["no-stamp"]

        tell(story)

    def test_where_the_state_does_not_answer_it_is_later(self, tell):
        async def story(desk, state):
            await state.close()
            assert await reasons(desk, [(REPORT + OURS, BOB)]) == ["state-unavailable"]

        tell(story)


class TestOtherCountsHaveASourceToo:
    @scenario
    async def test_replies_by_message_id(self):
        desk = await a_desk(allowances=Allowances(replies_per_source_per_day=3))
        for number in range(6):
            desk.wants.of[f"u{number}@example.org"] = [Grant(Reason.REPLY, counter=b"r%d" % number)]
        answers = [(await desk.present(LETTER, to))[0] for to in users(5)]
        assert [isinstance(one, Relay) for one in answers] == [True] * 3 + [False] * 2
        assert answers[4] == DUE
        assert isinstance((await desk.present(LETTER, "u5@example.org", source="203.0.113.5"))[0], Relay)

    @scenario
    async def test_those_of_a_proven_domain_are_counted_under_it(self):
        desk = await a_desk()
        desk.wants.of[BOB] = [Grant(Reason.REPLY, counter=b"r1"), Grant(Reason.CORRESPONDENT, is_author_proven=True)]
        desk.witness.found = Authentication(
            domains=frozenset({"other.example"}), organisation="other.example", sending_organisation="other.example"
        )
        await desk.present(LETTER, BOB)
        assert {key for _, key in desk.counters.used} == {"replies domain other.example"}

    @scenario
    async def test_a_window_is_not_used_up_by_one_source(self):
        desk = await a_desk()
        desk.wants.of[BOB] = [Grant(Reason.EXPECTED, counter=b"e1")]
        desk.wants.left[b"e1"] = 20
        answers = [(await desk.present(LETTER, BOB))[0] for _ in range(EXPECTED_PER_SOURCE_MAX + 1)]
        assert [isinstance(one, Relay) for one in answers] == [True] * EXPECTED_PER_SOURCE_MAX + [False]
        assert isinstance((await desk.present(LETTER, BOB, source="203.0.113.5"))[0], Relay)

    @scenario
    async def test_nor_are_windows_of_many_users_for_anybodys_mail_but_one_that_a_domain_vouches_for_is_its_own(self):
        """Else who writes to everybody has as many letters free as there are windows."""
        desk = await a_desk(allowances=Allowances(replies_per_source_per_day=3))
        for number, to in enumerate(users(6)):
            desk.wants.of[to] = [Grant(Reason.EXPECTED, counter=b"e%d" % number)]
        answers = [(await desk.present(LETTER, to))[0] for to in users(5)]
        assert [isinstance(one, Relay) for one in answers] == [True] * 3 + [False] * 2
        assert isinstance((await desk.present(LETTER, "u5@example.org", source="203.0.113.5"))[0], Relay)
        desk.witness.found = Authentication(domains=frozenset({"shop.example"}), organisation="shop.example")
        for number, to in enumerate(users(6)):
            desk.wants.of[to] = [Grant(Reason.EXPECTED, domains=("shop.example",), counter=b"d%d" % number)]
        answers = [(await desk.present(LETTER, to))[0] for to in users(6)]
        assert [isinstance(one, Relay) for one in answers] == [True] * 6

    @scenario
    async def test_who_is_known_otherwise_costs_no_count(self):
        desk = await a_desk(allowances=Allowances(replies_per_source_per_day=0), exemptions=Exemptions())
        desk.wants.of[BOB] = [Grant(Reason.CORRESPONDENT, is_author_proven=True), Grant(Reason.REPLY, counter=b"r1")]
        desk.witness.found = Authentication(author_domain="sender.example", organisation="sender.example")
        assert isinstance((await desk.present(LETTER, BOB))[0], Relay)
        assert desk.counters.used == {}

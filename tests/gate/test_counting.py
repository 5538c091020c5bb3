"""What a letter's answer means for each recipient, and the tally of a worker."""

import asyncio

import pytest

from pennyred.gate.counting import DAYS_GATHERED_MAX, SOURCES_GATHERED_MAX, FigureTally, Judged, facts
from pennyred.gate.letterbox import Delivered, Due, Duplicate, Fate, Later, Relay
from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.figures import NAME_CHARACTERS_MAX, OTHERS, UNKNOWN, Fact, Figures, Outcome
from pennyred.postage.alteration import Row
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

DAY = 20_000


def relay(*fates):
    return Relay(Delivered(fates, (None,) * len(fates), (b"bob@example.org",) * len(fates), 1))


def only(mode, answer, reason, fate=None, by_bulk=None, by_require=None):
    (fact,) = facts(DAY, mode, answer, [Judged(reason, fate, by_bulk, by_require)], "192.0.2.0/24", "ann.example")
    return fact


@pytest.mark.parametrize(
    ("answer", "fate", "outcome"),
    [
        (relay(Fate.ACCEPTED), Fate.ACCEPTED, Outcome.ACCEPTED),
        (relay(Fate.REFUSED_PERMANENT), Fate.REFUSED_PERMANENT, Outcome.REFUSED_UPSTREAM),
        (relay(Fate.REFUSED_TEMPORARY), Fate.REFUSED_TEMPORARY, Outcome.DEFERRED_UPSTREAM),
        (relay(Fate.IN_DOUBT), Fate.IN_DOUBT, Outcome.DEFERRED_UPSTREAM),
        (relay(Fate.NOT_SENT), Fate.NOT_SENT, Outcome.DEFERRED_UPSTREAM),
        (relay(Fate.ACCEPTED), None, Outcome.DUPLICATE),
        (Duplicate(), None, Outcome.DUPLICATE),
        (Due(0, Reason.NO_STAMP), None, Outcome.REFUSED_HERE),
        (Due(0, Reason.OVER_CAP), None, Outcome.DEFERRED_HERE),
        (Later(Reason.OFFICE_UNREACHABLE), None, Outcome.DEFERRED_HERE),
    ],
)
def test_the_outcome_is_what_the_client_was_told_of_this_recipient(answer, fate, outcome):
    assert only(Mode.REQUIRE, answer, Reason.STAMPED, fate).outcome is outcome


def test_a_letter_refused_whole_is_counted_under_what_it_was_refused_for():
    counted = facts(
        DAY,
        Mode.REQUIRE,
        Due(1, Reason.SPENT),
        [Judged(Reason.STAMPED), Judged(Reason.SPENT), Judged(Reason.NO_STAMP)],
        "192.0.2.0/24",
        "ann.example",
    )

    assert [fact.reason for fact in counted] == [Reason.SPENT, Reason.SPENT, Reason.NO_STAMP]


def test_a_letter_put_off_is_counted_under_what_it_was_put_off_for():
    assert only(Mode.REQUIRE, Later(Reason.OFFICE_UNREACHABLE), Reason.STAMPED).reason is Reason.OFFICE_UNREACHABLE
    assert only(Mode.REQUIRE, Later(Reason.INTERNAL), Reason.IN_PROGRESS).reason is Reason.IN_PROGRESS


@pytest.mark.parametrize(
    ("mode", "answer", "fate", "reason", "by_bulk", "by_require"),
    [
        # What the gate's own mode does is what it did.
        (Mode.REQUIRE, Due(0, Reason.NO_STAMP), None, Reason.NO_STAMP, None, True),
        (Mode.REQUIRE, relay(Fate.ACCEPTED), Fate.ACCEPTED, Reason.STAMPED, False, False),
        (Mode.BULK, Due(0, Reason.BULK), None, Reason.BULK, True, True),
        (Mode.BULK, relay(Fate.ACCEPTED), Fate.ACCEPTED, Reason.ALLOWANCE, False, True),
        (Mode.BULK, relay(Fate.ACCEPTED), Fate.ACCEPTED, Reason.LIST, False, False),
        # In mode "monitor" the reason tells what "require" would do, and the allowance alone what "bulk" would.
        (Mode.MONITOR, relay(Fate.ACCEPTED), Fate.ACCEPTED, Reason.NO_STAMP, None, True),
        (Mode.MONITOR, relay(Fate.ACCEPTED), Fate.ACCEPTED, Reason.STAMPED, False, False),
        (Mode.MONITOR, relay(Fate.ACCEPTED), Fate.ACCEPTED, Reason.LIST, False, False),
        (Mode.MONITOR, relay(Fate.REFUSED_PERMANENT), Fate.REFUSED_PERMANENT, Reason.NO_STAMP, None, True),
        # What time cures is no refusal.
        (Mode.MONITOR, relay(Fate.ACCEPTED), Fate.ACCEPTED, Reason.INTERNAL, None, None),
        (Mode.MONITOR, relay(Fate.ACCEPTED), Fate.ACCEPTED, Reason.NOT_YET_VALID, None, None),
        (Mode.REQUIRE, Later(Reason.OFFICE_UNREACHABLE), None, Reason.OFFICE_UNREACHABLE, None, None),
        # Nor is it known of a letter whose sender the DNS could not prove, whether he is wanted.
        (Mode.REQUIRE, Later(Reason.DNS_UNAVAILABLE), None, Reason.NO_STAMP, None, None),
        (Mode.BULK, Later(Reason.DNS_UNAVAILABLE), None, Reason.ALLOWANCE, None, None),
    ],
)
def test_what_follows_from_what_happened_is_known(mode, answer, fate, reason, by_bulk, by_require):
    fact = only(mode, answer, reason, fate)

    assert (fact.by_bulk, fact.by_require) == (by_bulk, by_require)


def test_what_the_desk_has_found_out_goes_before_what_the_reason_says():
    fact = only(Mode.MONITOR, relay(Fate.ACCEPTED), Reason.NO_STAMP, Fate.ACCEPTED, by_bulk=False, by_require=False)
    assert (fact.by_bulk, fact.by_require) == (False, False)

    fact = only(Mode.REQUIRE, Due(0, Reason.NO_STAMP), Reason.NO_STAMP, by_bulk=False, by_require=False)
    assert (fact.by_bulk, fact.by_require) == (False, True), "the gate's own mode did refuse it"


def test_the_row_of_its_stamp_is_counted_whatever_became_of_the_letter():
    recipients = [Judged(Reason.STAMPED, row=Row.UNALTERED), Judged(Reason.ALTERED_BODY, row=Row.BODY_UNPROVEN)]
    counted = facts(DAY, Mode.REQUIRE, Due(1, Reason.ALTERED_BODY), recipients, "", "a.example")

    assert [(one.outcome, one.row) for one in counted] == [
        (Outcome.REFUSED_HERE, Row.UNALTERED),
        (Outcome.REFUSED_HERE, Row.BODY_UNPROVEN),
    ]


def test_what_strangers_say_is_bounded_and_printable():
    answer, recipients = relay(Fate.ACCEPTED), [Judged(Reason.LIST, Fate.ACCEPTED)]

    (fact,) = facts(DAY, Mode.MONITOR, answer, recipients, "", "\x1b[31m" + "x" * 10_000)

    assert fact.source == UNKNOWN
    assert fact.sender_domain.startswith("?[31mx")
    assert len(fact.sender_domain) == NAME_CHARACTERS_MAX


class Book:
    """Keeps what it is told; while `is_away` it does not answer."""

    def __init__(self):
        self.figures = Figures()
        self.is_away = False
        self.written = 0
        self.told = asyncio.Event()

    async def add(self, figures):
        if self.is_away:
            raise Unavailable(Reason.INTERNAL, "away")
        self.figures.merge(figures)
        self.written += 1
        self.told.set()


def letter(source="192.0.2.0/24", day=DAY):
    return facts(day, Mode.REQUIRE, Due(0, Reason.NO_STAMP), [Judged(Reason.NO_STAMP)], source, "a.example")


def test_what_was_noted_is_written_once():
    async def story():
        book = Book()
        tally = FigureTally(book)
        tally.note(letter())
        tally.note(letter())
        assert await tally.flush()
        assert await tally.flush(), "nothing to write is written"
        assert book.written == 1
        assert book.figures == Figures.of([letter(), letter()])

    asyncio.run(story())


def test_figures_wait_for_a_state_that_does_not_answer():
    async def story():
        book = Book()
        tally = FigureTally(book)
        book.is_away = True
        tally.note(letter())
        assert not await tally.flush()
        tally.note(letter("198.51.100.0/24"))
        book.is_away = False
        assert await tally.flush()
        assert book.figures == Figures.of([letter(), letter("198.51.100.0/24")])

    asyncio.run(story())


def test_what_is_noted_while_it_is_written_is_kept_for_the_next_time():
    async def story():
        class SlowBook(Book):
            async def add(self, figures):
                tally.note(letter("198.51.100.0/24"))
                await super().add(figures)

        book = SlowBook()
        tally = FigureTally(book)
        tally.note(letter())
        await tally.flush()
        assert book.figures == Figures.of([letter()])
        await tally.flush()
        assert book.figures == Figures.of([letter(), letter("198.51.100.0/24")])

    asyncio.run(story())


def test_memory_is_bounded_however_long_the_state_is_away_and_whoever_writes():
    async def story():
        book = Book()
        book.is_away = True
        tally = FigureTally(book)
        for day in range(DAYS_GATHERED_MAX + 3):
            for number in range(SOURCES_GATHERED_MAX):
                tally.note(letter(f"10.{day}.{number}.0/24", DAY + day))
            await tally.flush()
        book.is_away = False
        await tally.flush()
        assert {day for day, _ in book.figures.letters} == set(range(DAY + 3, DAY + 3 + DAYS_GATHERED_MAX))
        named = [source for _, source in book.figures.sources if source != OTHERS]
        assert len(named) == SOURCES_GATHERED_MAX
        counted = sum(trouble.total for trouble in book.figures.sources.values())
        assert counted == sum(book.figures.recipients.values()) == DAYS_GATHERED_MAX * SOURCES_GATHERED_MAX

    asyncio.run(story())


def test_it_is_written_time_and_again_and_a_last_time_at_the_end():
    async def story():
        book = Book()
        tally = FigureTally(book)
        running = asyncio.create_task(tally.run(0.0))
        for _ in range(3):
            book.told.clear()
            tally.note(letter())
            await book.told.wait()
        running.cancel()
        await asyncio.wait([running])
        tally.note(letter())
        await tally.flush()
        assert sum(book.figures.letters.values()) == 4

    asyncio.run(story())


def test_alike_letters_are_added_up_as_if_each_came_alone():
    async def story():
        refused = Fact(
            DAY, Mode.REQUIRE, Outcome.REFUSED_HERE, Reason.NO_STAMP, None, True, "192.0.2.0/24", "a.example"
        )
        watched = Fact(DAY, Mode.MONITOR, Outcome.ACCEPTED, Reason.NO_STAMP, None, True, "192.0.2.0/24", "b.example")
        several = [*letter(), refused]
        letters = [letter(), [refused], letter(), several, [refused], [watched], letter()]
        book = Book()
        tally = FigureTally(book)
        for one in letters:
            tally.note(one)
        await tally.flush()
        assert book.figures == Figures.of(letters)

    asyncio.run(story())

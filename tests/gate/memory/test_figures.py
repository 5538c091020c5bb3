"""The gate's figures by day: shared by workers, kept for a quarter of a year, bounded."""

import asyncio

import pytest
from tests.support.state_file import NOW, teller_of, time_passes

from pennyred.gate.memory import figures as kept
from pennyred.gate.memory.figures import DAYS_KEPT, read_database
from pennyred.gate.memory.store import GateState
from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.figures import OTHERS, SEVERAL, Fact, Figures, Outcome, RowCount, SourceTotal
from pennyred.postage.alteration import Row
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage.database import open_database
from pennyred.storage.migrations import SchemaTooNew, SchemaTooOld

TODAY = NOW // 86_400

on = teller_of("figures")


def fact(day=TODAY, **changes):
    usual = Fact(day, Mode.MONITOR, Outcome.ACCEPTED, Reason.NO_STAMP, None, True, "192.0.2.0/24", "a.example")
    return usual._replace(**changes)


def refused(source, times=1, day=TODAY):
    return [[fact(day, outcome=Outcome.REFUSED_HERE, source=source)]] * times


def write(path, letters):
    async def story(book):
        await book.add(Figures.of(letters))

    on(path, story)


def test_what_was_added_is_there_after_a_restart(path):
    letters = [[fact(), fact(reason=Reason.LIST, by_bulk=False, by_require=False)], [fact()], [fact(mode=Mode.BULK)]]
    write(path, letters)
    write(path, letters)

    recorded = read_database(path, TODAY, TODAY)

    whole = Figures.of(letters + letters)
    assert recorded.figures.recipients == whole.recipients
    assert recorded.figures.letters == whole.letters
    assert recorded.sources == (SourceTotal("192.0.2.0/24", "a.example", 0, 6),)


def test_rows_of_stamped_letters_are_counted_by_what_became_of_them_and_forgotten_like_the_rest(path):
    good = fact(reason=Reason.STAMPED, row=Row.UNALTERED)
    bad = fact(reason=Reason.ALTERED_BODY, row=Row.BODY_UNPROVEN, outcome=Outcome.REFUSED_HERE)
    write(path, [[good, bad], [good]])
    write(path, [[good], [bad._replace(day=TODAY + 1)]])

    def rows(day):
        return read_database(path, day, day).figures.rows

    assert rows(TODAY) == {
        RowCount(TODAY, Outcome.ACCEPTED, Row.UNALTERED): 3,
        RowCount(TODAY, Outcome.REFUSED_HERE, Row.BODY_UNPROVEN): 1,
    }
    asyncio.run(time_passes(path, (TODAY + DAYS_KEPT) * 86_400))
    write(path, [[fact(TODAY + DAYS_KEPT)]])
    assert (len(rows(TODAY)), len(rows(TODAY + 1))) == (0, 1)


def test_the_gate_reads_what_the_report_reads(path):
    async def story(book):
        await book.add(Figures.of([[fact()], [fact(TODAY - 1)]]))
        assert await book.read(TODAY - 1, TODAY) == read_database(path, TODAY - 1, TODAY)

    on(path, story)


def test_workers_who_write_at_the_same_time_add_up(path):
    async def story(book):
        other = GateState.open(path, now=NOW)
        letters = [[fact()], [fact(source="198.51.100.0/24")]]
        await asyncio.gather(*(one.add(Figures.of(letters)) for one in (book, other.figures) for _ in range(20)))
        await other.close()
        recorded = await book.read(TODAY, TODAY)
        assert sum(recorded.figures.recipients.values()) == 80
        assert sum(recorded.figures.letters.values()) == 80
        assert [one.would_refuse for one in recorded.sources] == [40, 40]

    on(path, story)


def test_only_the_days_asked_for_are_told(path):
    write(path, [[fact(TODAY - back)] for back in range(5)])

    recorded = read_database(path, TODAY - 3, TODAY - 1)

    assert {day for day, _ in recorded.figures.letters} == {TODAY - 3, TODAY - 2, TODAY - 1}
    assert recorded.sources[0].would_refuse == 3


def test_what_is_older_than_a_quarter_of_a_year_is_forgotten(path):
    write(path, [[fact(TODAY)], [fact(TODAY + 1)]])
    asyncio.run(time_passes(path, (TODAY + DAYS_KEPT) * 86_400))
    write(path, [[fact(TODAY + DAYS_KEPT)]])

    recorded = read_database(path, TODAY, TODAY + DAYS_KEPT)

    assert {day for day, _ in recorded.figures.letters} == {TODAY + 1, TODAY + DAYS_KEPT}
    assert {count.day for count in recorded.figures.recipients} == {TODAY + 1, TODAY + DAYS_KEPT}
    assert recorded.sources[0].would_refuse == 2


def test_a_late_worker_still_adds_to_yesterday(path):
    write(path, [[fact(TODAY)]])
    write(path, [[fact(TODAY - 1)]])

    assert len(read_database(path, TODAY - 1, TODAY).figures.letters) == 2


def test_however_many_sources_there_are_the_busiest_keep_their_names(path, monkeypatch):
    monkeypatch.setattr(kept, "SOURCES_MAX", 20)
    monkeypatch.setattr(kept, "_SOURCES_LEFT", 10)
    write(path, refused("busy", 50))
    for hundred in range(5):
        write(path, [letter for number in range(15) for letter in refused(f"10.{hundred}.{number}.0/24")])
    write(path, refused("late and busy", 30) + refused("busy", 1))

    recorded = read_database(path, TODAY, TODAY)

    assert [(one.source, one.refused) for one in recorded.sources[:2]] == [("busy", 51), ("late and busy", 30)]
    assert len(recorded.sources) <= 21
    assert recorded.sources[-1].source == OTHERS
    assert sum(one.refused for one in recorded.sources) == 51 + 30 + 75


def test_the_most_refused_come_first_and_the_others_last_however_many_they_are(path, monkeypatch):
    monkeypatch.setattr(kept, "SOURCES_READ_MAX", 2)
    write(path, refused("a") + refused("b", 3) + refused("c", 2) + refused(OTHERS, 100))

    assert [one.source for one in read_database(path, TODAY, TODAY).sources] == ["b", "c", OTHERS]


def test_a_source_is_shown_as_what_it_says_it_is(path):
    write(path, [[fact(TODAY, sender_domain="new.example")], [fact(TODAY, sender_domain="")]])
    write(path, [[fact(TODAY, sender_domain="")]])
    write(path, [[fact(TODAY - 1, sender_domain="")]])
    write(path, [[fact(TODAY - 1, sender_domain="new.example")]])

    assert read_database(path, TODAY - 1, TODAY).sources == (SourceTotal("192.0.2.0/24", "new.example", 0, 5),)


@pytest.mark.parametrize(
    "letters",
    [
        [[[fact(TODAY, sender_domain="a.example")], [fact(TODAY, sender_domain="b.example")]]],
        [[[fact(TODAY, sender_domain="a.example")]], [[fact(TODAY, sender_domain="b.example")]]],
        [[[fact(TODAY, sender_domain="a.example")]], [[fact(TODAY - 1, sender_domain="b.example")]]],
        [
            [[fact(TODAY - 1, sender_domain="a.example")], [fact(TODAY - 1, sender_domain="b.example")]],
            [[fact(TODAY, sender_domain="b.example")], [fact(TODAY, sender_domain="")]],
        ],
    ],
    ids=["at once", "one after the other", "on another day", "and one of them again"],
)
def test_a_network_that_many_share_has_the_name_of_none_of_them(path, letters):
    for facts in letters:
        write(path, facts)

    (source,) = read_database(path, TODAY - 1, TODAY).sources
    assert (source.source, source.sender_domain) == ("192.0.2.0/24", SEVERAL)


def test_reading_changes_nothing_and_makes_no_file(tmp_path, file):
    with pytest.raises(FileNotFoundError, match="no gate with these settings has run"):
        read_database(tmp_path / "nothing.db", TODAY, TODAY)
    assert list(tmp_path.iterdir()) == []

    write(file, [[fact()]])
    before = file.read_bytes()
    read_database(file, TODAY, TODAY)
    assert file.read_bytes() == before


def test_a_state_of_an_earlier_version_is_told_so(file):
    write(file, [])
    connection = open_database(file)
    connection.execute("DROP TABLE figure; DELETE FROM schema_migration WHERE number >= 3").fetchall()
    connection.close()

    with pytest.raises(SchemaTooOld, match="restart the gate"):
        read_database(file, TODAY, TODAY)


@pytest.mark.parametrize(
    "crime",
    [
        "INSERT INTO schema_migration VALUES (9999, 'future', 'x', 1)",
        "UPDATE figure SET reason = 'a-later-one'",
        "UPDATE figure SET outcome = 'a-later-one'",
    ],
)
def test_a_state_of_a_later_version_is_told_so(file, crime):
    write(file, [[fact()]])
    connection = open_database(file)
    connection.execute(crime)
    connection.close()

    with pytest.raises(SchemaTooNew):
        read_database(file, TODAY, TODAY)


def test_what_is_no_database_does_not_answer(file):
    file.write_bytes(b"no database" * 1000)

    with pytest.raises(Unavailable):
        read_database(file, TODAY, TODAY)


def test_a_state_that_is_closed_does_not_answer(path):
    async def story():
        state = GateState.open(path, now=NOW)
        await state.close()
        with pytest.raises(Unavailable):
            await state.figures.add(Figures.of([[fact()]]))

    asyncio.run(story())

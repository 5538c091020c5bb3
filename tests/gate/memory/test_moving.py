"""A gate's state moves from a file to PostgreSQL whole: who was wanted is wanted there."""

import asyncio
from contextlib import asynccontextmanager

import apsw
import pytest
from tests.support.postgres import any_version

from pennyred.config.settings import GateSettings, Settings
from pennyred.gate.memory.moving import InUse, NotAState, NotEmpty, move
from pennyred.gate.memory.permits import Kind, Permit
from pennyred.gate.memory.recipientrules import StoredRule
from pennyred.gate.memory.store import GateState
from pennyred.office.ledger.sqlite import SqliteLedger
from pennyred.postage.errors import Unavailable
from pennyred.programs.checks.hints import all_hints
from pennyred.storage.postgres import connect

NOW = 1_795_000_000
DAY = NOW // 86_400


@pytest.fixture
def url(postgres_database):
    return postgres_database(any_version())


@asynccontextmanager
async def opened(database):
    state = GateState.open(database, now=NOW)
    try:
        yield state
    finally:
        await state.close()


def moved(file, url):
    return asyncio.run(move(file, url, now=NOW))


def test_check_hints_at_a_state_that_was_left_behind_until_it_is_taken_along(tmp_path, url):
    """Else the gates that share the new state know nobody, and refuse who was wanted a moment ago."""
    old = tmp_path / "gate.db"
    settings = Settings(tmp_path / "pennyred.toml", GateSettings(mode="monitor", state=url))

    def hinted() -> list[str]:
        return [one.what for one in asyncio.run(all_hints(settings)) if one.key == "gate.state"]

    async def known(database) -> None:
        async with opened(database) as state:
            await state.permits.add(Permit("bob@example.org", Kind.DOMAIN, "shop.example", added_day=DAY))

    assert hinted() == []
    asyncio.run(GateState.open(old, now=NOW).close())
    assert hinted() == [], "the old one knows nobody"
    asyncio.run(known(old))
    [what] = hinted()
    assert str(old) in what
    assert "knows nobody" in what
    asyncio.run(GateState.open(url, now=NOW).close())
    assert hinted() == [what], "a gate has started, and given it its tables"
    moved(old, url)
    assert hinted() == []
    old.write_bytes(b"no database" * 100)
    assert hinted() == []


def test_who_was_wanted_is_wanted_after_the_move(file, url):
    permit = Permit("bob@example.org", Kind.LIST, "announce.lists.example.net", added_day=DAY)
    rule = StoredRule("ceo@example.org", price=10)

    async def story():
        async with opened(file) as state:
            await state.permits.add(permit)
            await state.recipient_rules.set(rule)
            await state.correspondents.note(
                day=DAY, users=("bob@example.org",), others=("carl@friends.example",), message_ids=()
            )
            known = await state.correspondents.of("bob@example.org", "carl@friends.example")
        await move(file, url, now=NOW)
        async with opened(url) as state:
            assert await state.permits.listed(day=DAY) == [permit]
            assert await state.recipient_rules.all() == [rule]
            # It is hashed, so it is found only by the same salt.
            assert known
            assert await state.correspondents.of("bob@example.org", "carl@friends.example") == known
            # What is new there gets numbers of its own.
            await state.permits.expect("bob@example.org", "shop.example", until=NOW + 60, now=NOW)

    asyncio.run(story())


def test_every_table_goes_along_whole(file, url):
    """Whatever a later schema adds, too: a row of each, made by its types."""
    asyncio.run(_made(file))
    source = apsw.Connection(str(file))
    tables = [name for (name,) in source.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    # Workers read the news of a file; gates that share a state in PostgreSQL have none.
    tables = sorted(set(tables) - {"schema_migration", "passed_clock", "sqlite_sequence", "grant_news"})
    values = {"INTEGER": 7, "TEXT": "é", "BLOB": b"\0\xff" * 16}
    there = {}
    for table in tables:
        columns = [(name, values[kind]) for _, name, kind, *_ in source.execute(f"PRAGMA table_info({table})")]
        row = {name: 1 if name == "one" else value for name, value in columns}
        marks = ", ".join("?" * len(row))
        source.execute(f"INSERT OR REPLACE INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
        row.pop("id", None)
        there[table] = row
    source.close()

    assert moved(file, url) == dict.fromkeys(tables, 1)

    async def read():
        connection = await connect(url, application="test")
        try:
            for table, row in there.items():
                [found] = await connection.fetch(f"SELECT * FROM {table}")
                assert {name: found[name] for name in row} == row, table
        finally:
            await connection.close()

    asyncio.run(read())
    with pytest.raises(NotEmpty, match="new, empty database"):
        moved(file, url)


async def _made(database):
    async with opened(database):
        pass


def test_a_gate_that_has_one_of_the_two_open_is_named(file, url):
    async def story():
        async with opened(file):
            with pytest.raises(InUse, match=r"gate\.db is in use: stop the gate"):
                await move(file, url, now=NOW)
        async with opened(url) as state:
            await state.permits.listed(day=DAY)
            with pytest.raises(InUse, match="stop the gates"):
                await move(file, url, now=NOW)
        await move(file, url, now=NOW)

    asyncio.run(story())


def test_what_is_no_gates_state_is_left_as_it_is(tmp_path, url):
    path = tmp_path / "ledger.db"
    asyncio.run(SqliteLedger.open(path, now=NOW).close())
    before = path.read_bytes()
    with pytest.raises(NotAState, match=r"ledger\.db is no gate's state"):
        moved(path, url)
    assert path.read_bytes() == before
    (tmp_path / "nonsense.db").write_bytes(b"nonsense" * 100)
    with pytest.raises(Unavailable, match="no SQLite database"):
        moved(tmp_path / "nonsense.db", url)


def test_a_database_that_does_not_answer_changes_nothing(file):
    asyncio.run(_made(file))
    with pytest.raises(Unavailable):
        moved(file, "postgresql://pennyred@127.0.0.1:1/gates")
    asyncio.run(_made(file))

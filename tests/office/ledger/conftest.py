"""The back ends under test: every story is told to each."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.ledgerworld import NOW, LedgerWorld
from tests.support.memory_ledger import MemoryLedger
from tests.support.postgres import any_version, back_ends, binaries
from tests.support.served_ledger import ServedLedger

from pennyred.office.ledger.owned import OwnedLedger
from pennyred.office.ledger.postgresql import PostgresLedger, lookup, stamps
from pennyred.office.ledger.protocol import Ledger
from pennyred.office.ledger.sqlite import SqliteLedger

Story = Callable[[LedgerWorld], Awaitable[None]]
NewLedger = Callable[[], Awaitable[Ledger]]


class OpenHolds(PostgresLedger):
    """One whose holds need not last, where nobody says anything else; it takes the ways that are for many stamps."""

    async def hold(self, receiver, orders, *, now, is_lasting=False):
        return await super().hold(receiver, orders, now=now, is_lasting=is_lasting)


class OwnedOpenHolds(OwnedLedger):
    """The same of the owner of a file: none of its holds is written before it is settled, given back, or a second old.

    Before it is given back, because what was never written is unseen afterwards, not voided (test_owned.py).
    """

    async def hold(self, receiver, orders, *, now, is_lasting=False):
        return await super().hold(receiver, orders, now=now, is_lasting=is_lasting)

    async def void(self, receiver, voids, *, now):
        self._books.write_all()
        return await super().void(receiver, voids, now=now)


_OPEN = [f"postgresql-{any_version()}-open"] if binaries() else []


@pytest.fixture(
    params=["memory", "sqlite", "served memory", "served owned", "owned", "owned-open", *back_ends(), *_OPEN]
)
def new_ledger(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewLedger:
    """Opens an empty ledger of the back end's kind."""
    if request.param.startswith("postgresql"):
        _, version, *is_open = request.param.split("-")
        if is_open:
            monkeypatch.setattr(lookup, "_NAMED_KEYS_MIN", 1)
            monkeypatch.setattr(stamps, "_COPIED_MIN", 1)
        url = request.getfixturevalue("postgres_database")(int(version))
        return lambda: (OpenHolds if is_open else PostgresLedger).open(url, now=NOW)

    async def embedded() -> Ledger:
        path = tmp_path / "ledger.db"
        if request.param.startswith("owned"):
            kind = OwnedOpenHolds if request.param == "owned-open" else OwnedLedger
            return kind.open(path, now=NOW)
        is_served = request.param.startswith("served ")
        is_memory = request.param.endswith("memory")
        if is_served:
            return await ServedLedger.over(MemoryLedger() if is_memory else OwnedLedger.open(path, now=NOW))
        return MemoryLedger() if is_memory else SqliteLedger.open(path, now=NOW)

    return embedded


@pytest.fixture
def tell(new_ledger: NewLedger) -> Callable[..., None]:
    """Runs a story on a prepared ledger; whatever happens in it, the audit must balance at the end."""

    def run(story: Story, **prepared_with: int) -> None:
        async def whole_story() -> None:
            world = LedgerWorld(await new_ledger())
            try:
                await world.prepare(**prepared_with)
                await story(world)
                audit = await world.ledger.audit()
                assert audit.balanced, audit.differences
            finally:
                await world.ledger.close()

        asyncio.run(whole_story())

    return run

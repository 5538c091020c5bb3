"""The back ends under test: every story is told to each."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from ledgerworld import NOW, LedgerWorld

from pennyred.ledger.memory import MemoryLedger
from pennyred.ledger.protocol import Ledger
from pennyred.ledger.sqlite import SqliteLedger

Story = Callable[[LedgerWorld], Awaitable[None]]


@pytest.fixture(params=["memory", "sqlite"])
def new_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Ledger]:
    """Opens an empty ledger of the back end's kind."""
    if request.param == "memory":
        return MemoryLedger
    return lambda: SqliteLedger.open(tmp_path / "ledger.db", now=NOW)


@pytest.fixture
def tell(new_ledger: Callable[[], Ledger]) -> Callable[..., None]:
    """Runs a story on a prepared ledger; whatever happens in it, the audit must balance at the end."""

    def run(story: Story, **prepared_with: int) -> None:
        async def whole_story() -> None:
            world = LedgerWorld(new_ledger())
            try:
                await world.prepare(**prepared_with)
                await story(world)
                audit = await world.ledger.audit()
                assert audit.balanced, audit.differences
            finally:
                await world.ledger.close()

        asyncio.run(whole_story())

    return run

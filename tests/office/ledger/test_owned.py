"""What the owner of a ledger keeps in memory: how much, and that no limit changes an answer."""

import asyncio
import time

import pytest
from tests.support.ledgerworld import NOW, RECEIVER, LedgerWorld, order, settle_of, void_of

from pennyred.office.ledger.owned import OwnedLedger, books, checkpoints, memory, turns
from pennyred.office.ledger.requests import HoldRequest, SettleRequest
from pennyred.postage.errors import Unavailable
from pennyred.postage.stamp import StampKey

FEW = 10


def orders_of(count: int) -> list:
    """Stamps of so many letters; each letter is a group of its own."""
    return [order(f"serial {number}", f"letter {number}", f"tx {number}", group=number) for number in range(count)]


@pytest.fixture
def run(tmp_path):
    """Runs a story with an owner's ledger, and audits it at the end. Nothing may go wrong unseen in the loop."""
    troubles = []

    async def whole(story) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: troubles.append(context))
        ledger = OwnedLedger.open(tmp_path / "ledger.db", now=NOW)
        try:
            await LedgerWorld(ledger).prepare(balance=1000)
            await story(ledger)
            assert (await ledger.audit()).balanced
        finally:
            await ledger.close()
            await asyncio.sleep(0.05)

    def run(story) -> None:
        asyncio.run(whole(story))
        assert troubles == []

    return run


async def hold(ledger: OwnedLedger, orders: list) -> set[str]:
    answers = [await ledger.hold(RECEIVER, [one], now=NOW, is_lasting=False) for one in orders]
    return {answer.outcome.value for (answer,) in answers}


def unwritten(ledger: OwnedLedger) -> dict[StampKey, memory.Unwritten]:
    return ledger._books.memory.unwritten


def test_a_hold_given_back_before_it_was_written_was_never_there(run):
    async def story(ledger):
        [one] = orders_of(1)
        assert await hold(ledger, [one]) == {"held"}
        commits = ledger._books.commits
        assert await ledger.void(RECEIVER, [void_of(one)], now=NOW) == ["voided"]
        assert (ledger._books.commits, unwritten(ledger)) == (commits, {})
        assert await ledger.settle(RECEIVER, [settle_of(one)], now=NOW) == ["no-such-hold"]

    run(story)


def test_only_so_many_holds_are_in_memory_alone(run, monkeypatch):
    monkeypatch.setattr(books, "UNWRITTEN_MAX", FEW)

    async def story(ledger):
        most = 0
        orders = orders_of(5 * FEW)
        for one in orders:
            assert await hold(ledger, [one]) == {"held"}
            most = max(most, len(unwritten(ledger)))
        assert most == FEW
        assert await hold(ledger, orders) == {"renewed"}
        assert set(await ledger.settle(RECEIVER, [settle_of(one) for one in orders], now=NOW)) == {"settled"}
        assert await hold(ledger, orders) == {"already-settled"}

    run(story)


def test_only_so_many_accounts_figures_are_kept(run, monkeypatch):
    monkeypatch.setattr(memory, "ACCOUNTS_MAX", 2)

    async def story(ledger):
        senders = [f"sender{number}" for number in range(FEW)]
        for sender in senders:
            await ledger.open_account(sender, "a@example.com", sender.encode().ljust(32), 2, now=NOW)
            await ledger.credit(sender, 10, "bought", now=NOW)
        answers = []
        for number, sender in enumerate(senders * 3):
            names = f"serial {number}", f"letter {number}", f"tx {number}"
            one = order(*names, account=sender, public_key=sender.encode().ljust(32))
            answers.append(await hold(ledger, [one]))
            assert len(ledger._books.memory.accounts) <= 3
        assert answers == [{"held"}] * 2 * FEW + [{"over-cap"}] * FEW
        assert {(await ledger.account(sender)).held for sender in senders} == {2}

    run(story)


def test_who_asks_while_too_many_wait_is_told_at_once(run, monkeypatch):
    monkeypatch.setattr(turns, "ASKS_WAITING_MAX", FEW)

    async def story(ledger):
        asks = [ledger.hold(RECEIVER, [one], now=NOW, is_lasting=False) for one in orders_of(3 * FEW)]
        answers = await asyncio.gather(*asks, return_exceptions=True)
        assert sum(isinstance(one, Unavailable) for one in answers) == 2 * FEW

    run(story)


def test_a_ledger_is_closed_while_its_pages_are_copied(run, monkeypatch):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 1)
    copy = checkpoints.Checkpoints._copy_now

    def copy_slowly(self) -> None:
        time.sleep(0.1)
        copy(self)

    monkeypatch.setattr(checkpoints.Checkpoints, "_copy_now", copy_slowly)

    async def story(ledger):
        await hold(ledger, orders_of(1))

    run(story)


def test_a_request_begun_is_answered_in_its_future(run):
    async def story(ledger):
        [one] = orders_of(1)
        held = ledger.begin(HoldRequest(RECEIVER, [one], NOW, is_lasting=False))
        settled = ledger.begin(SettleRequest(RECEIVER, [settle_of(one)], NOW))
        assert [answer.outcome for answer in await held] == ["held"]
        assert await settled == ["settled"]

    run(story)


OTHER_KEY = b"other".ljust(32)


def orders_of_another(count: int) -> list:
    """Stamps of another account, which has ten."""
    return [
        order(f"other {number}", f"other {number}", account="other", public_key=OTHER_KEY, group=number)
        for number in range(count)
    ]


async def open_another(ledger: OwnedLedger) -> None:
    await ledger.open_account("other", "b@example.com", OTHER_KEY, 100, now=NOW)
    await ledger.credit("other", 10, "bought", now=NOW)


def write_aged(ledger: OwnedLedger) -> None:
    ledger._books.write_aged(asyncio.get_running_loop().time())
    assert unwritten(ledger) == {}


def test_a_hold_written_while_its_account_is_forgotten_counts_once(run):
    async def story(ledger):
        await open_another(ledger)
        others = orders_of_another(11)
        assert await hold(ledger, others[:6]) == {"held"}
        ledger._books.memory.forget()  # as when a day ends, or after a write that failed
        assert await hold(ledger, orders_of(1)) == {"held"}
        write_aged(ledger)
        assert await hold(ledger, others[6:10]) == {"held"}
        assert await hold(ledger, others[10:]) == {"insufficient-balance"}

    run(story)


def test_a_void_written_while_its_account_is_forgotten_gives_back_once(run):
    async def story(ledger):
        await open_another(ledger)
        others = orders_of_another(11)
        assert await hold(ledger, others[:1]) == {"held"}
        write_aged(ledger)
        await ledger.void(RECEIVER, [void_of(others[0])], now=NOW)
        ledger._books.memory.forget()
        assert await hold(ledger, orders_of(1)) == {"held"}
        write_aged(ledger)
        assert await hold(ledger, others[:10]) == {"held"}
        assert await hold(ledger, others[10:]) == {"insufficient-balance"}

    run(story)


def test_while_writes_wait_one_timer_looks_whether_they_may_go_on(run):
    async def story(ledger):
        holds = orders_of(30)
        assert await hold(ledger, holds[:1]) == {"held"}
        turns_, loop = ledger._turns, asyncio.get_running_loop()
        turns_._checkpoints.bars_writes = True
        settled = ledger.begin(SettleRequest(RECEIVER, [settle_of(holds[0])], NOW))
        assert await hold(ledger, holds[1:]) == {"held"}
        waking = {turns_._arrange, turns_._try_again}
        assert len([timer for timer in loop._scheduled if timer._callback in waking]) == 1
        turns_._checkpoints.bars_writes = False
        assert await settled == ["settled"]

    run(story)

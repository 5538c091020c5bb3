"""What the owner of a ledger has promised is on the disk, however it ends: the power goes, or its process."""

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import apsw
import pytest
from tests.support import ledger_worker
from tests.support.ledgerworld import NOW, RECEIVER, SENDER, LedgerWorld, order, settle_of, void_of
from tests.support.power_cut import Disk, ForgetfulVfs, put_down

from pennyred.office.ledger.owned import OwnedLedger, checkpoints, flushing, turns
from pennyred.postage.errors import Unavailable

BALANCE = 10**6
CALLERS = 12
SUPPORT = Path(ledger_worker.__file__).parent


@pytest.fixture
def disk(monkeypatch) -> Disk:
    """Takes the place of the real one; the -wal file is begun anew, and old holds are written, every few moments."""
    forgetful = Disk()
    vfs = ForgetfulVfs(forgetful)
    chance = random.Random(7)

    def flush(descriptor: int) -> None:
        if chance.random() < 0.2:
            time.sleep(0.002)
        forgetful.flush(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fdatasync", flush)
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 25)
    monkeypatch.setattr(turns, "HELD_SECONDS", 0.01)
    monkeypatch.setattr(turns, "_TICK_SECONDS", 0.005)
    yield forgetful
    vfs.unregister()


@pytest.mark.parametrize("seed", range(6))
def test_what_was_answered_survives_any_cut_of_the_power(tmp_path, disk, seed):
    """Letters come and go; at any moment the power may go. Each time the books balance and have what was answered."""
    chance = random.Random(seed)
    settled, held, cuts = [], set(), []

    async def caller(ledger, name):
        for number in range(40):
            one = order(f"{name} {number}", f"letter {name} {number}", f"t {name} {number}")
            is_lasting = chance.random() < 0.3
            if chance.random() < 0.9:
                (answer,) = await ledger.hold(RECEIVER, [one], now=NOW, is_lasting=is_lasting)
                assert answer.outcome == "held"
                if is_lasting:
                    held.add(one)
            await asyncio.sleep(chance.choice([0, 0, 0.003]))
            if chance.random() < 0.2:
                held.discard(one)
                await ledger.void(RECEIVER, [void_of(one)], now=NOW)
            elif chance.random() < 0.9:
                assert await ledger.settle_stamps(RECEIVER, [one], now=NOW) == ["settled"]
                settled.append(one)

    async def cutter():
        for _ in range(8):
            await asyncio.sleep(chance.random() * 0.1)
            promised = list(settled), set(held)  # before the cut
            cuts.append((*promised, disk.cut(chance)))

    async def letters():
        ledger = OwnedLedger.open(tmp_path / "ledger.db", now=NOW)
        await LedgerWorld(ledger).prepare(balance=BALANCE, daily_cap=BALANCE)
        await asyncio.gather(cutter(), *(caller(ledger, f"{seed} {number}") for number in range(CALLERS)))
        cuts.append((list(settled), set(held), disk.cut(chance)))
        await ledger.close()

    async def after(number, its_settled, its_held, files):
        folder = tmp_path / f"cut {number}"
        put_down(files, folder)
        ledger = OwnedLedger.open(folder / "ledger.db", now=NOW)
        audit = await ledger.audit()
        assert audit.balanced, audit.differences
        assert audit.settled >= len(its_settled)
        again = [settle_of(one) for one in its_settled]
        assert set(await ledger.settle(RECEIVER, again, now=NOW)) <= {"already-settled"}
        lasting = await ledger.settle(RECEIVER, [settle_of(one) for one in its_held], now=NOW)
        assert set(lasting) <= {"settled", "already-settled"}
        await ledger.close()

    asyncio.run(letters())
    assert len(cuts[-1][0]) > 100
    for number, cut in enumerate(cuts):
        asyncio.run(after(number, *cut))


def test_what_a_killed_owner_has_committed_is_flushed_before_it_is_told(tmp_path, disk):
    """The next owner reads it from the kernel, not from the disk."""

    async def story():
        ledger = OwnedLedger.open(tmp_path / "ledger.db", now=NOW)
        await LedgerWorld(ledger).prepare()
        ledger._books.redeem([turns.HoldRequest(RECEIVER, [order()], NOW)], [], since=0)
        ledger._lock.release()  # it is killed: it neither flushes nor closes
        lost = OwnedLedger.open(tmp_path / "ledger.db", now=NOW)
        files = disk.cut(random.Random(0))
        put_down(files, tmp_path / "cut")
        await lost.close()

    asyncio.run(story())

    async def after():
        ledger = OwnedLedger.open(tmp_path / "cut" / "ledger.db", now=NOW)
        assert await LedgerWorld(ledger).hold(order()) == "renewed"
        await ledger.close()

    asyncio.run(after())


class SlowDisk:
    """A disk whose flushes wait until they are let go."""

    def __init__(self, monkeypatch) -> None:
        self.may_go = threading.Event()
        self.waiting = threading.Event()
        self._flush = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, descriptor: int) -> None:
        self.waiting.set()
        assert self.may_go.wait(30)
        self._flush(descriptor)


@pytest.fixture
def prepared(tmp_path) -> Path:
    async def prepare():
        ledger = OwnedLedger.open(tmp_path / "ledger.db", now=NOW)
        await LedgerWorld(ledger).prepare(balance=BALANCE, daily_cap=BALANCE)
        await ledger.close()

    asyncio.run(prepare())
    return tmp_path / "ledger.db"


def on_a_slow_disk(path, monkeypatch, story):
    async def whole():
        ledger = OwnedLedger.open(path, now=NOW)
        disk = SlowDisk(monkeypatch)
        try:
            await asyncio.wait_for(story(ledger, disk), 60)
        finally:
            disk.may_go.set()
            await ledger.close()

    asyncio.run(whole())


def light(ledger, one):
    return ledger.hold(RECEIVER, [one], now=NOW, is_lasting=False)


def test_while_a_disk_flushes_holds_are_answered_and_settlements_wait(prepared, monkeypatch):
    async def story(ledger, disk):
        await light(ledger, order("s1", "l1"))
        settling = asyncio.ensure_future(ledger.settle(RECEIVER, [settle_of(order("s1", "l1"))], now=NOW))
        await asyncio.to_thread(disk.waiting.wait)
        for number in range(50):
            (answer,) = await light(ledger, order(f"h{number}", f"h{number}"))
            assert answer.outcome == "held"
        assert await ledger.void(RECEIVER, [void_of(order("h1", "h1"))], now=NOW) == ["voided"]
        assert not settling.done(), "it is not on the disk"
        disk.may_go.set()
        assert await settling == ["settled"]

    on_a_slow_disk(prepared, monkeypatch, story)


def test_nothing_is_said_that_rests_on_a_payment_which_is_not_on_the_disk(prepared, monkeypatch):
    async def story(ledger, disk):
        await light(ledger, order("s1", "l1"))
        settling = asyncio.ensure_future(ledger.settle(RECEIVER, [settle_of(order("s1", "l1"))], now=NOW))
        await asyncio.to_thread(disk.waiting.wait)
        told = [
            asyncio.ensure_future(asking)
            for asking in (
                light(ledger, order("s1", "l1", "t2")),  # already-settled: a 250 without forwarding
                light(ledger, order("s1", "another", "t3")),  # spent: a 5xx
                ledger.settle(RECEIVER, [settle_of(order("s1", "l1"))], now=NOW),
                ledger.settle_stamps(RECEIVER, [order("s1", "l1")], now=NOW),
                ledger.head(),
                ledger.uses([order("s1").key]),
                ledger.account(SENDER),
            )
        ]
        for number in range(5):
            (answer,) = await light(ledger, order(f"h{number}", f"h{number}"))
            assert answer.outcome == "held"
        assert not any(asking.done() for asking in (settling, *told))
        disk.may_go.set()
        already, spent, *_ = await asyncio.gather(*told)
        assert (already[0].outcome, spent[0].outcome) == ("already-settled", "spent")

    on_a_slow_disk(prepared, monkeypatch, story)


def test_a_hold_that_must_last_is_on_the_disk_before_it_is_answered(prepared, monkeypatch):
    async def story(ledger, disk):
        holding = asyncio.ensure_future(ledger.hold(RECEIVER, [order()], now=NOW))
        await asyncio.to_thread(disk.waiting.wait)
        for number in range(5):
            await light(ledger, order(f"h{number}", f"h{number}"))
        assert not holding.done()
        disk.may_go.set()
        (answer,) = await holding
        assert answer.outcome == "held"

    on_a_slow_disk(prepared, monkeypatch, story)


def test_a_flush_that_has_failed_ends_the_process_and_nobody_hears_settled(prepared, monkeypatch):
    said = []

    def broken(_):
        raise OSError(5, "Input/output error")

    async def story():
        ledger = OwnedLedger.open(prepared, now=NOW, give_up=said.append)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", broken)
            with pytest.raises(Unavailable):
                await ledger.settle_stamps(RECEIVER, [order()], now=NOW)
            assert len(said) == 1
            assert "ledger.db-wal: the disk does not work" in said[0]
            with pytest.raises(Unavailable):
                await light(ledger, order("s2", "l2"))
            await ledger.close()

    asyncio.run(story())


def test_while_somebody_keeps_the_file_locked_nothing_new_is_held_for_long(prepared, monkeypatch):
    """Nobody but its owner should write in it; a move to another store locks it, though."""
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.3)

    async def story():
        ledger = OwnedLedger.open(prepared, now=NOW)
        other = apsw.Connection(str(prepared))
        other.execute("BEGIN IMMEDIATE")
        assert (await light(ledger, order("s1", "l1")))[0].outcome == "held"
        with pytest.raises(Unavailable, match="it takes too long"):
            await ledger.settle(RECEIVER, [settle_of(order("s1", "l1"))], now=NOW)
        with pytest.raises(Unavailable, match="nothing is held"):
            await light(ledger, order("s2", "l2"))
        other.execute("COMMIT")
        assert await ledger.settle(RECEIVER, [settle_of(order("s1", "l1"))], now=NOW) == ["settled"]
        assert (await light(ledger, order("s2", "l2")))[0].outcome == "held"
        other.close()
        await ledger.close()

    asyncio.run(story())


def test_the_process_ends_with_the_sentence_on_its_log():
    ending = "from pennyred.office.ledger.owned.flushing import end_process; end_process('gone'); print('on')"
    ended = subprocess.run([sys.executable, "-c", ending], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (os.EX_IOERR, "", "pennyred: gone\n")


def test_quick_flushes_are_done_in_the_loop_and_a_slow_one_sends_the_next_to_a_thread(prepared, monkeypatch):
    where, flush = [], os.fdatasync

    def noted(descriptor):
        where.append(threading.current_thread() is threading.main_thread())
        flush(descriptor)

    async def story():
        ledger = OwnedLedger.open(prepared, now=NOW)
        monkeypatch.setattr(os, "fdatasync", noted)
        monkeypatch.setattr(flushing, "QUICK_SECONDS", 3600.0)
        for number in range(flushing.QUICK_ONES + 2):
            await ledger.settle_stamps(RECEIVER, [order(f"q{number}", f"q{number}")], now=NOW)
        assert where == [False] * flushing.QUICK_ONES + [True] * 2
        monkeypatch.setattr(flushing, "QUICK_SECONDS", 0.0)
        for number in range(2):
            await ledger.settle_stamps(RECEIVER, [order(f"s{number}", f"s{number}")], now=NOW)
        assert where[-2:] == [True, False]
        await ledger.close()

    asyncio.run(story())
    del where[:]


def test_an_owner_killed_in_the_middle_leaves_books_that_balance_and_keeps_every_promise(prepared):
    """Round after round a process owns the ledger and is killed after some promises; whatever was printed holds."""
    source = Path(sys.modules["pennyred.office.ledger.owned"].__file__).parents[4]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(source), str(SUPPORT.parents[1])])}
    promised = []
    for lines in (1, 40, 7, 90):
        command = [sys.executable, str(SUPPORT / "ledger_worker.py"), "own", str(prepared), f"round {lines}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        promised += [process.stdout.readline().strip() for _ in range(lines)]
        process.kill()
        promised += [line for line in process.communicate(timeout=60)[0].split("\n")[:-1] if line]

    async def after():
        ledger = OwnedLedger.open(prepared, now=NOW)
        audit = await ledger.audit()
        assert audit.balanced, audit.differences
        assert audit.settled >= len(promised) > 130
        assert audit.held <= 4 * 4, "at most one open hold for each caller killed"
        again = [settle_of(order(line, f"letter {line.split()[-1]}")) for line in promised]
        assert set(await ledger.settle(RECEIVER, again, now=NOW)) == {"already-settled"}
        await ledger.close()

    asyncio.run(after())

"""One SQLite file under many threads and processes, some of which die."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support import ledger_worker
from tests.support.ledgerworld import NOW, RECEIVER, SENDER, LedgerWorld, order, settle_of

from pennyred.office.ledger.sqlite import SqliteLedger

BALANCE = 10**6
SUPPORT = Path(ledger_worker.__file__).parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A prepared ledger file."""

    async def prepare() -> None:
        ledger = SqliteLedger.open(tmp_path / "ledger.db", now=NOW)
        await LedgerWorld(ledger).prepare(balance=BALANCE, daily_cap=BALANCE)
        await ledger.close()

    asyncio.run(prepare())
    return tmp_path / "ledger.db"


def worker(what: str, path: Path, name: str) -> subprocess.Popen[str]:
    source = Path(sys.modules["pennyred.office.ledger.sqlite"].__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(source), str(SUPPORT.parents[1])])}
    command = [sys.executable, str(SUPPORT / "ledger_worker.py"), what, str(path), name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


async def audit_of(path: Path):
    ledger = SqliteLedger.open(path, now=NOW)
    try:
        return await ledger.audit(), await ledger.account(SENDER)
    finally:
        await ledger.close()


def test_of_many_threads_with_the_same_stamp_one_wins(path):
    """Each thread has an event loop and an own ledger on the file; another eight share one ledger."""
    shared = SqliteLedger.open(path, now=NOW)

    def present(number: int) -> list[str]:
        async def in_own_loop() -> list[str]:
            ledger = shared if number % 2 else SqliteLedger.open(path, now=NOW, busy_timeout_seconds=30)
            asked = [order("the stamp", f"letter {number} {n}", f"{number} {n}") for n in range(5)]
            told = await asyncio.gather(*(ledger.hold(RECEIVER, [one], now=NOW) for one in asked))
            if ledger is not shared:
                await ledger.close()
            return [answer.outcome.value for (answer,) in told]

        return asyncio.run(in_own_loop())

    with ThreadPoolExecutor(16) as pool:
        told = [outcome for outcomes in pool.map(present, range(16)) for outcome in outcomes]

    asyncio.run(shared.close())
    assert sorted(told) == ["held"] + ["in-progress"] * 79
    audit, account = asyncio.run(audit_of(path))
    assert audit.balanced, audit.differences
    assert account.held == 1


def test_of_many_processes_with_the_same_stamps_one_wins_each(path):
    workers = [worker("race", path, f"process {number}") for number in range(4)]
    for process in workers:
        assert process.stdout.readline() == "ready\n"
    for process in workers:
        process.stdin.write("go\n")
        process.stdin.flush()

    won = [serial for process in workers for serial in process.communicate(timeout=60)[0].split()]

    assert [process.returncode for process in workers] == [0] * 4
    assert len(won) == len(set(won)) == ledger_worker.RACED
    audit, account = asyncio.run(audit_of(path))
    assert audit.balanced, audit.differences
    assert account.held == ledger_worker.RACED


def test_processes_killed_in_the_middle_leave_books_that_balance_and_keep_every_promise(path):
    """Three rounds of two processes at once, each killed by SIGKILL after some promises; whatever was printed holds."""
    promised = []
    for first, second in ((1, 30), (60, 7), (17, 90)):
        workers = {name: worker("loop", path, f"{first} {name}") for name in ("a", "b")}
        for process, lines in zip(workers.values(), (first, second), strict=True):
            promised += [process.stdout.readline().strip() for _ in range(lines)]
        for process in workers.values():
            process.kill()
            promised += [line for line in process.communicate(timeout=60)[0].split("\n")[:-1] if line]

    audit, account = asyncio.run(audit_of(path))

    assert audit.balanced, audit.differences
    assert audit.settled >= len(promised) > 200
    assert account.balance == BALANCE - audit.settled
    assert account.held == audit.held <= 3 * 2 * 4, "at most one open hold for each caller killed"
    assert set(asyncio.run(settle_again(path, promised))) == {"already-settled"}


async def settle_again(path: Path, promised: list[str]) -> list[str]:
    ledger = SqliteLedger.open(path, now=NOW)
    again = [settle_of(order(line, f"letter {line.split()[-1]}")) for line in promised]
    outcomes = await ledger.settle(RECEIVER, again, now=NOW)
    await ledger.close()
    return [outcome.value for outcome in outcomes]

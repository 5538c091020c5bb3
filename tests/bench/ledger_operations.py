"""Ledger operations a second on this machine: hold and settle, on disk, synchronous=FULL.

    python tests/bench/ledger_operations.py [--seconds 3] [--folder DIR]

A pair is one stamp held and settled. "batch" is the number of stamps in one call. "callers" many run at once and share
transactions. Prints a table; figures belong in the commit that claims them.
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

from pennyred.ledger.sqlite import SqliteLedger
from pennyred.postage.ledger_rules import HoldOrder
from pennyred.postage.redemption import HoldOutcome, Settle, SettleOutcome

NOW = 1_790_000_000
ACCOUNTS = 20
CASES = ((1, 1), (16, 1), (100, 1), (500, 1), (1, 16), (4, 16), (100, 16))


def order(number: int, receiver_domain: str) -> HoldOrder:
    account = f"sender{number % ACCOUNTS:010}"
    day = NOW // 86_400 + 1 + number % 14
    return HoldOrder(
        os.urandom(16), number, account, os.urandom(16), day, 1, account.encode() * 2, receiver_domain,
        os.urandom(32), NOW + 1200,
    )  # fmt: skip


async def prepared(path: Path) -> SqliteLedger:
    ledger = SqliteLedger.open(path, now=NOW)
    await ledger.add_receiver("mx", ["example.org"], os.urandom(32), now=NOW)
    for number in range(ACCOUNTS):
        account = f"sender{number:010}"
        await ledger.open_account(account, "a@example.com", account.encode() * 2, 10**9, now=NOW)
        await ledger.credit(account, 10**9, "bench", now=NOW)
    return ledger


async def call_again(ledger: SqliteLedger, batch: int, deadline: float) -> int:
    pairs = 0
    while time.perf_counter() < deadline:
        orders = [order(number, "example.org") for number in range(batch)]
        answers = await ledger.hold("mx", orders, now=NOW)
        assert all(answer.outcome is HoldOutcome.HELD for answer in answers)
        settles = [Settle("post.example.org", o.account, o.expiry_day, o.serial, o.letter) for o in orders]
        outcomes = await ledger.settle("mx", settles, now=NOW)
        assert all(outcome is SettleOutcome.SETTLED for outcome in outcomes)
        pairs += batch
    return pairs


async def measured(folder: Path, batch: int, callers: int, seconds: float) -> float:
    ledger = await prepared(folder / f"ledger-{batch}-{callers}.db")
    begun = time.perf_counter()
    done = await asyncio.gather(*(call_again(ledger, batch, begun + seconds) for _ in range(callers)))
    rate = sum(done) / (time.perf_counter() - begun)
    audit = await ledger.audit()
    assert audit.balanced, audit.differences
    assert audit.settled == sum(done)
    await ledger.close()
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each case")
    parser.add_argument("--folder", type=Path, default=None, help="where the files are made (default: a temporary one)")
    arguments = parser.parse_args()
    print(f"{'batch':>6} {'callers':>8} {'pairs/s':>10}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for batch, callers in CASES:
            rate = asyncio.run(measured(Path(folder), batch, callers, arguments.seconds))
            print(f"{batch:>6} {callers:>8} {rate:>10,.0f}", flush=True)


if __name__ == "__main__":
    main()

"""The ledger alone: pairs of hold and settle a second, durable, on both back ends; with one account that everybody
uses; with millions of stamps remembered. In turns, in one run: only the ratios mean anything.

    python -m tests.bench.ledger [--back-end sqlite] [--rows 10000000] [--rounds 3] [--short]

No signature is checked here, and what is asked is made before the clock starts: it is the ledger's rate, not that of
who asks. PostgreSQL is a server of the bench's own, with fsync and synchronous_commit as they are
by default. Figures belong in the commit that claims them.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from pennyred.office.ledger.postgresql import PostgresLedger
from pennyred.office.ledger.protocol import Ledger
from pennyred.office.ledger.sqlite import SqliteLedger
from pennyred.postage.ledger_rules import HoldOrder, StampState
from pennyred.postage.redemption import HoldOutcome, Settle, SettleOutcome
from pennyred.programs.serve import collect_seldom
from tests.support.postgres import PostgresServer, binaries

from . import preloading

NOW = 1_790_000_000
DAYS = 14
PROCESSES = 2
BACK_ENDS = ("sqlite", "postgresql")
PAIRS_A_SECOND_MAX = 20_000
"""Of one process: so many are made before the clock starts."""

Request = tuple[str, list[HoldOrder], list[Settle]]


@dataclass(frozen=True)
class Shape:
    """Whose stamps go to whom."""

    name: str
    senders: int
    receivers: int


SPREAD = Shape("spread", 1000, 20)
SHAPES = (SPREAD, Shape("one sender", 1, 20), Shape("one receiver", 1000, 1))


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    back_end: str
    shape: Shape
    rows: int = 0
    """Stamps that the ledger remembers already."""

    def __str__(self) -> str:
        return f"{self.back_end}, {self.shape.name}" + (f", {self.rows:,} remembered" if self.rows else "")


async def opened(place: str) -> Ledger:
    """The ledger of a file, or of a URL."""
    if place.startswith("postgresql:"):
        return await PostgresLedger.open(place, now=NOW)
    return SqliteLedger.open(Path(place), now=NOW)


async def furnish(place: str) -> None:
    """Accounts and receivers for every shape."""
    ledger = await opened(place)
    for number in range(SPREAD.receivers):
        await ledger.add_receiver(f"mx{number}", ["example.org"], os.urandom(32), now=NOW)

    async def open_account(number: int) -> None:
        name = preloading.sender(number)
        await ledger.open_account(name, "a@example.com", name.encode() * 2, 10**9, now=NOW)
        await ledger.credit(name, 10**9, "bench", now=NOW)

    for first in range(0, SPREAD.senders, 100):
        await asyncio.gather(*(open_account(first + number) for number in range(100)))
    await ledger.close()


async def pairs_of_one(place: str, shape: Shape, batch: int, callers: int, seconds: float) -> tuple[int, float]:
    """How many pairs one process did, in how many seconds."""
    calls = int(seconds * PAIRS_A_SECOND_MAX / batch) + callers
    stock = iter([_request(shape, batch, number) for number in range(calls)])
    collect_seldom()  # as the service does
    ledger = await opened(place)
    begun = time.perf_counter()
    done = await asyncio.gather(*(_call_again(ledger, stock, begun + seconds) for _ in range(callers)))
    took = time.perf_counter() - begun
    await ledger.close()
    return sum(done), took


async def _call_again(ledger: Ledger, stock: Iterator[Request], deadline: float) -> int:
    pairs = 0
    while time.perf_counter() < deadline and (request := next(stock, None)):
        receiver, orders, settles = request
        answers = await ledger.hold(receiver, orders, now=NOW)
        assert all(answer.outcome is HoldOutcome.HELD for answer in answers), answers[0]
        outcomes = await ledger.settle(receiver, settles, now=NOW)
        assert all(outcome is SettleOutcome.SETTLED for outcome in outcomes)
        pairs += len(orders)
    return pairs


def _request(shape: Shape, batch: int, number: int) -> Request:
    """The holds and settles of one call, and whose they are."""
    orders = [_order(shape, number * batch + index) for index in range(batch)]
    settles = [Settle("post.example.org", *one.key, one.letter) for one in orders]
    return f"mx{number % shape.receivers}", orders, settles


def _order(shape: Shape, number: int) -> HoldOrder:
    account = preloading.sender(number * 7919 % shape.senders)
    day = NOW // 86_400 + 1 + number % DAYS
    return HoldOrder(
        os.urandom(16), number, account, os.urandom(16), day, 1, account.encode() * 2, "example.org",
        os.urandom(32), NOW + 1200,
    )  # fmt: skip


def _in_process(arguments: tuple[str, Shape, int, int, float]) -> tuple[int, float]:
    return asyncio.run(pairs_of_one(*arguments))


def rate(pool: ProcessPoolExecutor, place: str, shape: Shape, batch: int, callers: int, seconds: float) -> float:
    """Pairs a second of all processes together."""
    of_each = pool.map(_in_process, [(place, shape, batch, callers, seconds)] * PROCESSES)
    return sum(pairs / took for pairs, took in of_each)


async def audited(place: str) -> None:
    ledger = await opened(place)
    audit = await ledger.audit()
    assert audit.balanced, audit.differences
    await ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, metavar="N", help="stamps remembered (default: 10^7)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=float, default=4, metavar="N", help="a turn (default: 4)")
    parser.add_argument("--batch", type=int, default=500, metavar="N", help="stamps a call (default: 500)")
    parser.add_argument("--callers", type=int, default=4, metavar="N", help="at once in each process (default: 4)")
    parser.add_argument(
        "--back-end", choices=BACK_ENDS, help="only this one: its server's own work is then not beside it"
    )
    parser.add_argument("--short", action="store_true", help="whether it works at all")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on a real disk (default: /var/tmp)")
    wanted = parser.parse_args()
    if wanted.short:
        wanted.rows, wanted.rounds, wanted.seconds, wanted.batch = 40_000, 1, 0.5, 100
    few = min(wanted.rows // 2, 100_000)
    console = Console()
    back_ends = (wanted.back_end,) if wanted.back_end else BACK_ENDS
    server = None
    if "postgresql" in back_ends:
        server = PostgresServer(min(binaries()), {"fsync": "on", "shared_buffers": "1GB", "max_wal_size": "4GB"})
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        cases = [Case(back_end, shape) for back_end in back_ends for shape in SHAPES]
        cases += [Case(back_end, SPREAD, rows) for back_end in back_ends for rows in (few, wanted.rows)]
        places: dict[Case, str] = {}
        rates: dict[Case, list[float]] = defaultdict(list)
        with Progress(console=console) as progress, ProcessPoolExecutor(PROCESSES) as pool:
            task = progress.add_task("filling", total=len(cases) * (1 + wanted.rounds))
            for place, case in enumerate(cases):
                url = server.new_database() if server and case.back_end == "postgresql" else f"{folder}/{place}.db"
                places[case] = url
                asyncio.run(furnish(url))
                asyncio.run(preloading.fill(url, case.rows, NOW, DAYS, int(StampState.SETTLED)))
                progress.advance(task)
            for _ in range(wanted.rounds):
                for case in cases:
                    progress.update(task, description=str(case))
                    done = rate(pool, places[case], case.shape, wanted.batch, wanted.callers, wanted.seconds)
                    rates[case].append(done)
                    progress.advance(task)
        for case in cases:
            if not case.rows:
                asyncio.run(audited(places[case]))
        _print(console, cases, rates)
    if server:
        server.end()


def _print(console: Console, cases: list[Case], rates: dict[Case, list[float]]) -> None:
    """Each beside the first of its back end, or beside the one that remembers little: medians of the rounds' ratios."""
    table = Table("case", "pairs/s", "ratio", title=f"hold and settle, {PROCESSES} processes, {os.cpu_count()} cores")
    for case in cases:
        base = next(
            one
            for one in cases
            if one.back_end == case.back_end and one.shape == SPREAD and bool(one.rows) == bool(case.rows)
        )
        ratio = statistics.median(mine / its for mine, its in zip(rates[case], rates[base], strict=True))
        table.add_row(str(case), f"{statistics.median(rates[case]):,.0f}", f"{ratio:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()

"""The ledger alone: pairs of hold and settle a second, on both back ends; with one account that everybody uses; with
millions of stamps remembered; and by way of the process that owns the file. In turns, in one run: only the ratios mean
anything.

    python -m tests.bench.ledger [--back-end sqlite] [--stamps 10000000] [--rounds 3] [--short]

Holds need not last and settlements are durable, as those of a gate. No signature is checked here, and what is asked is
made before the clock starts: it is the ledger's rate, not that of who asks. SQLite's file is asked by the one process
that owns it, or by two others through its socket; PostgreSQL, by two. Its server is the bench's own, with fsync and
synchronous_commit as they are by default. The CPU is that of a pair, without PostgreSQL's server. Figures belong in the
commit that claims them.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from pennyred.postage.ledger_rules import StampState
from tests.support.postgres import PostgresServer, binaries

from . import preloading
from .pairs import DAYS, NOW, Owner, Shape, Turn, done_by_one, opened

PROCESSES = 2
BACK_ENDS = ("sqlite", "postgresql")
FEW_STAMPS = 100_000
LETTERS_AT_ONCE = 50
"""In each process, where each call has one stamp."""

SPREAD = Shape("spread", 1000, 20)
SHAPES = (SPREAD, Shape("one sender", 1, 20), Shape("one receiver", 1000, 1))


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    back_end: str
    shape: Shape = SPREAD
    stamps: int = 0
    """That the ledger remembers already."""
    is_served: bool = False
    """Whether other processes ask the owner of the file."""
    is_single: bool = False
    """Whether each call has one stamp."""

    def __str__(self) -> str:
        more = f", {self.stamps:,} remembered" * bool(self.stamps) + ", served" * self.is_served
        return f"{self.back_end}, {self.shape.name}{more}" + ", one a call" * self.is_single

    @property
    def is_first_of_its_kind(self) -> bool:
        """Whether others are compared with it."""
        return self == Case(self.back_end, stamps=self.stamps) and self.stamps <= FEW_STAMPS


def cases_of(back_end: str, stamps: int) -> list[Case]:
    """The rows of one back end."""
    few = min(stamps // 2, FEW_STAMPS)
    cases = [Case(back_end, shape) for shape in SHAPES]
    if back_end == "sqlite":
        cases += [Case(back_end, is_served=True), Case(back_end, is_served=True, is_single=True)]
    cases.append(Case(back_end, is_single=True))
    return [*cases, Case(back_end, stamps=few), Case(back_end, stamps=stamps)]


async def furnish(where: str) -> None:
    """Accounts and receivers for every shape."""
    ledger = await opened(where)
    for number in range(SPREAD.receivers):
        await ledger.add_receiver(f"mx{number}", ["example.org"], os.urandom(32), now=NOW)

    async def open_account(number: int) -> None:
        name = preloading.sender(number)
        await ledger.open_account(name, "a@example.com", name.encode() * 2, 10**9, now=NOW)
        await ledger.credit(name, 10**9, "bench", now=NOW)

    for first in range(0, SPREAD.senders, 100):
        await asyncio.gather(*(open_account(first + number) for number in range(100)))
    await ledger.close()


def measured(
    pool: ProcessPoolExecutor, where: str, case: Case, batch: int, callers: int, seconds: float
) -> tuple[float, float]:
    """Pairs a second of all processes together, and their work in seconds a pair."""
    processes = 1 if case.back_end == "sqlite" and not case.is_served else PROCESSES
    if case.is_single:
        batch, callers = 1, LETTERS_AT_ONCE
    callers *= PROCESSES // processes
    owner = Owner(where) if case.is_served else None
    turn = Turn(owner.socket if owner else where, case.shape, batch, callers, seconds)
    of_each = list(pool.map(done_by_one, [turn] * processes))
    worked = sum(one.cpu for one in of_each) + (owner.end() if owner else 0)
    return sum(one.pairs / one.took for one in of_each), worked / sum(one.pairs for one in of_each)


async def audited(where: str) -> None:
    ledger = await opened(where)
    audit = await ledger.audit()
    assert audit.balanced, audit.differences
    await ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stamps", type=int, default=10_000_000, metavar="N", help="remembered (default: 10^7)")
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
        wanted.stamps, wanted.rounds, wanted.seconds, wanted.batch = 40_000, 1, 0.5, 100
    console = Console()
    back_ends = (wanted.back_end,) if wanted.back_end else BACK_ENDS
    server = None
    if "postgresql" in back_ends:
        server = PostgresServer(min(binaries()), {"fsync": "on", "shared_buffers": "1GB", "max_wal_size": "4GB"})
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        cases = [case for back_end in back_ends for case in cases_of(back_end, wanted.stamps)]
        places: dict[Case, str] = {}
        results: dict[Case, list[tuple[float, float]]] = defaultdict(list)
        with Progress(console=console) as progress, ProcessPoolExecutor(PROCESSES) as pool:
            task = progress.add_task("filling", total=len(cases) * (1 + wanted.rounds))
            for place, case in enumerate(cases):
                url = server.new_database() if server and case.back_end == "postgresql" else f"{folder}/{place}.db"
                places[case] = url
                asyncio.run(furnish(url))
                asyncio.run(preloading.fill(url, case.stamps, NOW, DAYS, int(StampState.SETTLED)))
                progress.advance(task)
            for _ in range(wanted.rounds):
                for case in cases:
                    progress.update(task, description=str(case))
                    result = measured(pool, places[case], case, wanted.batch, wanted.callers, wanted.seconds)
                    results[case].append(result)
                    progress.advance(task)
        for case in cases:
            if not case.stamps:
                asyncio.run(audited(places[case]))
        _print(console, cases, results)
    if server:
        server.end()


def _print(console: Console, cases: list[Case], results: dict[Case, list[tuple[float, float]]]) -> None:
    """Each beside the first of its back end, or beside the one that remembers little: medians of the rounds' ratios."""
    table = Table("case", "pairs/s", "ratio", "CPU us", title=f"hold and settle, {os.cpu_count()} cores")
    base = cases[0]
    for case in cases:
        base = case if case.is_first_of_its_kind else base
        ratio = statistics.median(mine / its for (mine, _), (its, _) in zip(results[case], results[base], strict=True))
        rate, worked = (statistics.median(one) for one in zip(*results[case], strict=True))
        table.add_row(str(case), f"{rate:,.0f}", f"{ratio:.2f}", f"{worked * 1e6:.0f}")
    console.print(table)


if __name__ == "__main__":
    main()

"""The office by HTTP: pairs of hold and settle a second through two office processes, every stamp verified, beside how
many signatures one core checks alone. In turns, in one run: only the ratio means anything.

    python -m tests.bench.office [--rounds 3] [--back-end sqlite|postgresql] [--short]

Letters come as gates send them: many at once, what they want gathered by the gate's own client. Each stamp costs the
office two signatures when it is held, of which the licence's is remembered.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from pennyred.config import OfficeSettings
from pennyred.gate.issuers.asking import Asker, Patience
from pennyred.gate.issuers.http import HttpRedeemer
from pennyred.office.keys import add_key
from pennyred.postage.redemption import Hold, HoldOutcome, SettleOutcome
from pennyred.postage.signing import CONTEXT_STAMP, verify
from pennyred.programs.log import make_log
from pennyred.programs.office import open_office
from tests.support.postgres import PostgresServer, binaries
from tests.support.real_postfix import free_port
from tests.support.stationery import LETTER, Stationery

from .processes import tree_cpu_ms
from .sink import wait_for_port

OFFICE_PROCESSES = 2
GATE_PROCESSES = 2
LETTERS_AT_ONCE = 200
OFFICE_SEED = b"\x01" * 32  # Stationery's


def make_holds(paper: Stationery, count: int) -> list[Hold]:
    """Letters of one recipient each, with stamps of now."""
    stamps = (paper.stamp(LETTER, "bob@example.org", now=int(time.time())) for _ in range(count))
    return [Hold(os.urandom(16), 0, stamp, "example.org", os.urandom(32)) for stamp in stamps]


def bring(work: tuple[str, str, list[Hold]]) -> float:
    """One gate's: all of these held and settled; in how many seconds."""
    url, token, holds = work

    async def run() -> float:
        way = HttpRedeemer(Asker(url, token, make_log(), patience=Patience(deadline_seconds=60, attempt_seconds=60)))
        way.start()
        waiting = iter(holds)

        async def deliver() -> None:
            for hold in waiting:
                [answer] = await way.hold([hold], lease_seconds=600)
                assert answer.outcome is HoldOutcome.HELD, answer
                assert await way.settle([hold.settle()]) == [SettleOutcome.SETTLED]

        begun = time.perf_counter()
        await asyncio.gather(*(deliver() for _ in range(LETTERS_AT_ONCE)))
        took = time.perf_counter() - begun
        await way.close()
        return took

    return asyncio.run(run())


def signatures(holds: list[Hold]) -> float:
    """How many a second one core checks, and does nothing else."""
    begun = time.perf_counter()
    for hold in holds:
        stamp = hold.stamp
        assert verify(stamp.licence.public_key, CONTEXT_STAMP, stamp.signed_bytes, stamp.signature)
    return len(holds) / (time.perf_counter() - begun)


async def furnish(settings: OfficeSettings) -> str:
    """The sender's account and a receiver; its token."""
    paper = Stationery()
    async with open_office(settings) as office:
        await office.ledger.open_account(
            paper.account, "ann@sender.example", paper.sender_key.public, 10**9, now=office.now
        )
        await office.ledger.credit(paper.account, 10**9, "bench", now=office.now)
        return (await office.add_receiver("mx", ["example.org"])).token


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--back-end", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--letters", type=int, default=8000, metavar="N", help="a round (default: 8000)")
    parser.add_argument("--short", action="store_true", help="whether it works at all")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on a real disk (default: /var/tmp)")
    wanted = parser.parse_args()
    if wanted.short:
        wanted.rounds, wanted.letters = 1, 400
    server = PostgresServer(min(binaries()), {"fsync": "on"}) if wanted.back_end == "postgresql" else None
    with tempfile.TemporaryDirectory(dir=wanted.folder) as name:
        folder = Path(name)
        database = server.new_database() if server else folder / "ledger.db"
        add_key(folder / "office.key", OFFICE_SEED)
        port = free_port()
        (folder / "pennyred.toml").write_text(
            f'[office]\ndomain = "post.example.org"\nlisten = "127.0.0.1:{port}"\nworkers = {OFFICE_PROCESSES}\n'
            f'ledger = "{database if server else "sqlite:///ledger.db"}"\nsigning_key = "office.key"\n'
        )
        subprocess.run(
            [sys.executable, "-m", "pennyred", "--config", folder / "pennyred.toml", "ledger", "migrate"], check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        settings = OfficeSettings("post.example.org", ledger=database, signing_key=folder / "office.key")
        token = asyncio.run(furnish(settings))
        serving = subprocess.Popen(
            [sys.executable, "-m", "pennyred", "--config", folder / "pennyred.toml", "serve"], stderr=subprocess.DEVNULL
        )
        try:
            wait_for_port(port, serving, is_greeting=False)
            url = f"http://127.0.0.1:{port}"
            pairs, bare, cpu_ms = _rounds(url, token, serving.pid, wanted.rounds, wanted.letters)
        finally:
            serving.terminate()
            serving.wait()
    if server:
        server.end()
    table = Table(
        "", "a second", title=f"{OFFICE_PROCESSES} office processes, {wanted.back_end}, {os.cpu_count()} cores"
    )
    table.add_row("hold and settle by HTTP", f"{statistics.median(pairs):,.0f}")
    table.add_row("CPU ms a pair, of the offices", f"{statistics.median(cpu_ms):.2f}")
    table.add_row("signatures, one core alone", f"{statistics.median(bare):,.0f}")
    ratio = statistics.median(mine / its for mine, its in zip(pairs, bare, strict=True))
    table.add_row("of what one core could check", f"{ratio:.2f}")
    Console().print(table)


def _rounds(
    url: str, token: str, office: int, rounds: int, letters: int
) -> tuple[list[float], list[float], list[float]]:
    pairs, bare, cpu_ms, paper = [], [], [], Stationery()
    with Progress() as progress, ProcessPoolExecutor(GATE_PROCESSES) as pool:
        task = progress.add_task("letters", total=rounds)
        for _ in range(rounds):
            holds = make_holds(paper, letters)
            bare.append(signatures(holds[:2000]))
            shares = [holds[place::GATE_PROCESSES] for place in range(GATE_PROCESSES)]
            before = tree_cpu_ms(office)
            took = max(pool.map(bring, [(url, token, share) for share in shares]))
            pairs.append(letters / took)
            cpu_ms.append((tree_cpu_ms(office) - before) / letters)
            progress.advance(task)
    return pairs, bare, cpu_ms


if __name__ == "__main__":
    main()

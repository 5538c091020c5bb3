"""Pairs of hold and settle, asked of a ledger as a gate asks: what one process does, and the process it may ask."""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from pennyred.office.ledger.owned import OwnedLedger
from pennyred.office.ledger.postgresql import PostgresLedger
from pennyred.office.ledger.protocol import Ledger
from pennyred.office.ledger.remote import place
from pennyred.office.ledger.remote.ledger import RemoteLedger
from pennyred.office.ledger.remote.server import LedgerServer
from pennyred.postage.ledger_rules import HoldOrder
from pennyred.postage.redemption import HoldOutcome, Settle, SettleOutcome
from pennyred.programs.serve import collect_seldom
from tests.support.served_ledger import Log

from . import preloading

NOW = 1_790_000_000
DAYS = 14
PAIRS_A_SECOND_MAX = 50_000
"""Of one process: so many are made before the clock starts."""

Request = tuple[str, list[HoldOrder], list[Settle]]


@dataclass(frozen=True)
class Shape:
    """Whose stamps go to whom."""

    name: str
    senders: int
    receivers: int


@dataclass(frozen=True)
class Turn:
    """What one process does for so many seconds."""

    where: str
    """A file, the socket of a file's owner, or a URL."""
    shape: Shape
    batch: int
    """Stamps a call."""
    callers: int
    """Calls at once."""
    seconds: float


@dataclass(frozen=True)
class Done:
    """What came of a turn."""

    pairs: int
    took: float
    """Seconds by the clock."""
    cpu: float
    """Seconds of work of this process, all its threads."""


async def opened(where: str) -> Ledger:
    """The ledger of a file, behind a socket, or of a URL."""
    if where.startswith("postgresql:"):
        return await PostgresLedger.open(where, now=NOW)
    if where.endswith(".socket"):
        return await RemoteLedger.open(Path(where), worker=0)
    return OwnedLedger.open(Path(where), now=NOW)


def done_by_one(turn: Turn) -> Done:
    """What one process does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_pairs(turn))


async def _pairs(turn: Turn) -> Done:
    calls = int(turn.seconds * PAIRS_A_SECOND_MAX / turn.batch) + turn.callers
    stock = iter([_request(turn.shape, turn.batch, number) for number in range(calls)])
    collect_seldom()  # as the service does
    ledger = await opened(turn.where)
    begun, worked = time.perf_counter(), time.process_time()
    deadline = begun + turn.seconds
    pairs = await asyncio.gather(*(_call_again(ledger, stock, deadline) for _ in range(turn.callers)))
    done = Done(sum(pairs), time.perf_counter() - begun, time.process_time() - worked)
    await ledger.close()
    return done


async def _call_again(ledger: Ledger, stock: Iterator[Request], deadline: float) -> int:
    pairs = 0
    while time.perf_counter() < deadline and (request := next(stock, None)):
        receiver, orders, settles = request
        answers = await ledger.hold(receiver, orders, now=NOW, is_lasting=False)
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


class Owner:
    """A process that owns a file, and answers others through its socket."""

    def __init__(self, path: str) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._pipe, its = spawning.Pipe()
        self._process = spawning.Process(target=_serve, args=(path, its))
        self._process.start()
        self.socket: str = self._pipe.recv()

    def end(self) -> float:
        """End it; how many seconds it has worked since it began to serve."""
        self._pipe.send("enough")
        worked: float = self._pipe.recv()
        self._process.join()
        return worked


def _serve(path: str, asker: Connection) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_until_told(Path(path), asker))


async def _serve_until_told(path: Path, asker: Connection) -> None:
    ledger = OwnedLedger.open(path, now=NOW)
    listener = place.listen(place.socket_of(path))
    server = LedgerServer(ledger, listener.socket, Log())
    server.start()
    collect_seldom()  # as the service does
    asker.send(str(listener.place))
    worked = time.process_time()
    await asyncio.to_thread(asker.recv)
    asker.send(time.process_time() - worked)
    await server.stop()
    listener.remove()
    await ledger.close()

"""A process that works on a ledger file, for tests of several processes; prints a line for each thing it was promised.

python ledger_worker.py race FILE NAME    holds the same 20 stamps for its own letters; prints the serials it won
python ledger_worker.py loop FILE NAME    holds, then settles or voids, for ever; prints each serial settled
python ledger_worker.py own FILE NAME     the same by the owner of the file, whose holds need not last
"""

import asyncio
import itertools
import sys
from pathlib import Path

from pennyred.office.ledger.owned import OwnedLedger
from pennyred.office.ledger.protocol import Ledger
from pennyred.office.ledger.sqlite import SqliteLedger
from tests.support.ledgerworld import NOW, RECEIVER, order, settle_of, void_of

RACED = 20


async def race(ledger: SqliteLedger, name: str) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    orders = [order(f"raced {number}", f"letter of {name}", name, group=number) for number in range(RACED)]
    told = await asyncio.gather(*(ledger.hold(RECEIVER, [one], now=NOW) for one in orders))
    won = [one.serial.hex() for one, (answer,) in zip(orders, told, strict=True) if answer.outcome.is_held]
    print(*won, flush=True)


async def loop(ledger: Ledger, name: str, *, is_lasting: bool = True) -> None:
    async def one_caller(caller: int) -> None:
        for number in itertools.count():
            mine = order(f"{name} {caller} {number}", f"letter {number}", f"tx {number}")
            (answer,) = await ledger.hold(RECEIVER, [mine], now=NOW, is_lasting=is_lasting)
            assert answer.outcome == "held", answer
            if number % 4 == 3:
                await ledger.void(RECEIVER, [void_of(mine)], now=NOW)
            else:
                await ledger.settle(RECEIVER, [settle_of(mine)], now=NOW)
                print(f"{name} {caller} {number}", flush=True)

    await asyncio.gather(*(one_caller(caller) for caller in range(4)))


async def main(what: str, path: str, name: str) -> None:
    if what == "own":
        await loop(OwnedLedger.open(Path(path), now=NOW), name, is_lasting=False)
    ledger = SqliteLedger.open(Path(path), now=NOW, busy_timeout_seconds=30)
    await (race if what == "race" else loop)(ledger, name)
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""Commands for a sender's account: buy, balance, statement."""

import os
import time
from pathlib import Path
from typing import Any

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import json_option, print_json, print_table, run_async
from pennyred.postage.signing import SigningKey
from pennyred.sender.client import OfficeClient
from pennyred.sender.wallet import Wallet, default_home, load_wallet


def home() -> Path:
    """The folder of this sender's wallet."""
    return default_home(os.environ)


def client_of(wallet: Wallet) -> OfficeClient:
    """A client of the wallet's office."""
    return client_at(wallet.office, wallet.key)


def client_at(url: str, key: SigningKey) -> OfficeClient:
    """A client of the office at this URL; raises `Malformed` if it cannot be an office's URL."""
    return OfficeClient(url, key, clock=lambda: int(time.time()), random_bytes=os.urandom)


@click.command()
@click.argument("stamps", type=click.IntRange(1, 1_000_000_000))
@click.option("--voucher", type=typed.plain, metavar="CODE", help="A prepaid code of the office.")
@click.option("--pay", type=typed.plain, metavar="METHOD", help="Another way to pay, where the office has one.")
@json_option
def buy(stamps: int, voucher: str | None, pay: str | None, as_json: bool) -> None:
    """Buy postage; prints what was credited and the new balance.

    A voucher is credited whole, whatever STAMPS says, and once, however often this is repeated.

    Example:  pennyred buy 100 --voucher PENNY-XXXXX-XXXXX-XXXXX-XXXXX
    """
    if pay is not None or voucher is None:
        raise click.UsageError("this version takes vouchers: --voucher CODE (the office's administrator has them)")
    said = run_async(_buy(load_wallet(home()), stamps, voucher))
    if as_json:
        print_json(said)
        return
    if said["credited"]:
        asked = "" if said["bought"] == stamps else f", not {stamps:,} of it: a voucher is credited whole"
        told = f"a voucher of {said['bought']:,} stamps is credited{asked}"
    else:
        told = f"this account has had that voucher of {said['bought']:,} stamps before; nothing more is credited"
    click.echo(f"{told}; {said['available']:,} available")


async def _buy(wallet: Wallet, stamps: int, voucher: str) -> dict[str, int]:
    """Redeem a voucher; returns what it is worth, what was credited now, and what is available, in stamps."""
    async with client_of(wallet) as client:
        before = await client.account()
        purchase = await client.redeem_voucher(voucher, stamps)
        after = await client.account()
    # Letters under way move stamps between these three, but do not change their sum.
    credited = sum((after.available, after.held, after.spent)) - sum((before.available, before.held, before.spent))
    return {"bought": purchase.bought, "credited": credited, "available": after.available}


@click.command()
@json_option
def balance(as_json: bool) -> None:
    """Show the account's stamps: how many are available. Also those held for letters under way, and those spent.

    Example:  pennyred balance
    """
    shown = run_async(_balance(load_wallet(home())))
    if as_json:
        print_json(shown)
    else:
        print_table("", ["", "stamps"], [[key, shown[key]] for key in ("available", "held", "spent")])


async def _balance(wallet: Wallet) -> dict[str, Any]:
    async with client_of(wallet) as client:
        view = await client.account()
    return {"account": view.account, "available": view.available, "held": view.held, "spent": view.spent}


@click.command()
@json_option
def statement(as_json: bool) -> None:
    """List every entry of the account, oldest first.

    What letters have cost is summed by UTC day, and not said by receiver: the office keeps for ever what was paid, and
    only for some days to whom (see `pennyred verify --receipt`).

    Example:  pennyred statement --json
    """
    entries = run_async(_statement(load_wallet(home())))
    if as_json:
        print_json({"entries": entries})
    else:
        columns = ["at", "kind", "stamps", "balance", "detail"]
        print_table("", columns, [[one[column] for column in columns] for one in entries])


async def _statement(wallet: Wallet) -> list[dict[str, Any]]:
    async with client_of(wallet) as client:
        entries = await client.entries()
    return [
        {"at": one.at, "kind": one.kind, "stamps": one.stamps, "balance": one.balance, "detail": one.detail}
        for one in entries
    ]

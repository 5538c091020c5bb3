"""The command that asks an office for its receipts of a sender's own stamps: receipts."""

from pathlib import Path
from typing import Any

import click

from pennyred.cli.common import RuleRefused, json_option, print_json, read_letter, run_async
from pennyred.cli.sender import client_of, home
from pennyred.postage.errors import MalformedStamp
from pennyred.postage.letter import STAMP_FIELD, parse_header, split_letter
from pennyred.postage.lineends import file_with_crlf
from pennyred.postage.stamp import Stamp, parse_stamp
from pennyred.sender.wallet import Wallet, load_wallet

STAMPS_MAX = 1000
"""How many stamps of one letter are looked at."""


@click.command()
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@json_option
def receipts(file: Path | None, as_json: bool) -> None:
    """Ask the office for its receipts of a letter's stamps. One a line: for which letter, when, and at which
    receiver.

    FILE is the stamped letter, as `pennyred stamp` has printed it. Exit status 1 if there is no receipt for one of its
    stamps: it has not been used yet, or a week has passed since its expiry. `pennyred verify --receipt receipts.txt
    stamped.eml` tells what they say, and checks it.

    Example:  pennyred receipts stamped.eml > receipts.txt
    """
    wallet = load_wallet(home())
    stamps = _own_stamps(file_with_crlf(read_letter(file)), wallet)
    if not stamps:
        raise RuleRefused("no-stamp", f"the letter has no stamp of the account {wallet.account} at {wallet.issuer}")
    found = run_async(_asked(wallet, stamps))
    there = [receipt for receipt in found if receipt]
    document: dict[str, Any] = {"receipts": there}
    if not as_json:
        for receipt in there:
            click.echo(receipt)
    if missing := [one.serial.hex() for one, receipt in zip(stamps, found, strict=True) if not receipt]:
        raise RuleRefused(
            "not-settled", f"no receipt for the stamp {', '.join(missing)}: not used, or forgotten", document
        )
    if as_json:
        print_json(document)


def _own_stamps(letter: bytes, wallet: Wallet) -> list[Stamp]:
    """The letter's stamps that were made with this wallet's account, each once."""
    stamps: dict[bytes, Stamp] = {}
    for field in parse_header(split_letter(letter)[0]).named(STAMP_FIELD.lower())[:STAMPS_MAX]:
        try:
            stamp = parse_stamp(field.value)
        except MalformedStamp:
            continue
        if (stamp.issuer, stamp.account) == (wallet.issuer, wallet.account):
            stamps.setdefault(stamp.text, stamp)
    return list(stamps.values())


async def _asked(wallet: Wallet, stamps: list[Stamp]) -> list[str]:
    async with client_of(wallet) as client:
        return await client.receipts([(one.expiry_day, one.serial) for one in stamps])

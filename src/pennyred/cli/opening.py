"""The command that opens a sender's account, or recovers it: open. It never overwrites what cannot be recovered."""

import os
from pathlib import Path

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import RuleRefused, json_option, print_json, run_async
from pennyred.cli.sender import client_at, home
from pennyred.postage.address import canonical_sender
from pennyred.postage.encoding import encode_base64
from pennyred.postage.errors import Unavailable
from pennyred.postage.licence import Licence, parse_licence
from pennyred.postage.reasons import Reason
from pennyred.postage.signing import SigningKey
from pennyred.sender.client import OfficeClient, OfficeRefused
from pennyred.sender.wallet import (
    KEY_FILE,
    StoredAccount,
    Wallet,
    load_account,
    load_key,
    load_wallet,
    locked,
    recovery,
    save_key,
    save_wallet,
)


@click.command("open")
@click.option("--office", type=typed.plain, metavar="URL", help="The post office, like https://post.example.org.")
@click.option("--address", type=typed.own_address, metavar="ADDR", help="Your e-mail address.")
@click.option("--account", type=typed.line, metavar="ACCOUNT", help="The account you had, whose key is lost or stolen.")
@json_option
def open_(office: str | None, address: str | None, account: str | None, as_json: bool) -> None:
    """Make a key pair, open an account, store the licence. Harmless when repeated: then `pennyred open` is enough.

    The key stays on this machine, in $PENNYRED_HOME or your user data folder; keep a copy, the postage is bound to it.
    Where it is lost, add --account: it makes a new key and prints it for the office's administrator, and once the
    account has it, the same command makes it yours again. Where somebody else may have it, do that in an empty folder.

    Example:  pennyred open --office https://post.example.org --address ann@sender.example
    """
    office, address = _whose(home(), office, address)
    client_at(office, SigningKey.from_seed(bytes(32)))  # a wrong URL must fail before anything is made
    with locked(home()):
        wallet = run_async(_open(home(), office.rstrip("/"), address, account))
    if as_json:
        print_json({"account": wallet.account, "address": wallet.address, "office": wallet.office})
    else:
        click.echo(f"account {wallet.account} of {wallet.address} at {wallet.issuer}; next: pennyred buy")


def _whose(folder: Path, office: str | None, address: str | None) -> tuple[str, str]:
    """The office's URL and the address; what was left out is taken from the account stored in `folder`.

    Raises `UsageError` if there is none.
    """
    if office is None or address is None:
        there = load_account(folder)
        if there is None:
            raise click.UsageError(
                f"there is no account in {folder} yet: name the office and your address,"
                " --office https://post.example.org --address ann@sender.example"
            )
        return office or there.office, address or there.address
    return office, address


async def _open(folder: Path, office: str, address: str, account: str | None) -> Wallet:
    there = load_account(folder)
    if there is not None:
        _require_same(folder, there, office, address, account)
        if account is None:
            load_wallet(folder)  # its key must exist: a new key would open another account
    kept = load_key(folder)
    key = kept or SigningKey.from_seed(os.urandom(32))
    async with client_at(office, key) as client:
        info = await client.info()
        if there is not None and info.issuer != there.issuer:
            raise RuleRefused(
                "another-office", f"{office} is {info.issuer} now; {folder} has an account at {there.issuer}"
            )
        if kept is None:
            save_key(folder, key)  # before the office hears of it: an account whose key is lost cannot be used
        if there is None and account is None:
            licence = await _opened(client, folder, address)
        else:
            licence = await _licence(client, folder, there, account, key)
            await _require_address(client, address)
    if licence.public_key != key.public:
        raise Unavailable(Reason.OFFICE_UNREACHABLE, f"{office}: not a post office's answer: a licence for another key")
    wallet = Wallet(office, info.issuer, licence.account, address, key, licence, info.keys)
    save_wallet(folder, wallet)
    return wallet


def _require_same(folder: Path, there: StoredAccount, office: str, address: str, account: str | None) -> None:
    """Raise `RuleRefused` if the account stored in the folder is not the one that is meant."""
    if there.office != office:
        raise RuleRefused("account-exists", f"{folder} holds an account at {there.office} already{_ELSEWHERE}")
    if account is not None and account != there.account:
        raise RuleRefused("another-account", f"{folder} holds the account {there.account}{_ELSEWHERE}")
    if canonical_sender(there.address) != canonical_sender(address):
        raise RuleRefused("another-address", f"{folder} holds the account of {there.address}{_ELSEWHERE}")


_ELSEWHERE = "; for another one name another folder: PENNYRED_HOME=FOLDER pennyred open ..."


async def _opened(client: OfficeClient, folder: Path, address: str) -> Licence:
    """Open a new account, or find the one that this key has; raises `RuleRefused` if that has another address."""
    opened = await client.open_account(address)
    if not _is_same(address, opened.address):
        raise RuleRefused(
            "another-address",
            f"the key in {folder} has the account {opened.account} of {opened.address} there: repeat this with that"
            f" address{_ELSEWHERE}",
        )
    return parse_licence(opened.licence.encode())


async def _licence(
    client: OfficeClient, folder: Path, there: StoredAccount | None, account: str | None, key: SigningKey
) -> Licence:
    """A fresh licence for a known account; raises `RuleRefused` while the office does not know the key in `folder`."""
    try:
        licence = parse_licence(await client.renew_licence())
    except OfficeRefused as error:
        if error.reason != "bad-token":
            raise
        if account is None and there is not None:
            said = (
                f"the office does not know the key of the account {there.account} any more: it has another one now, or"
            )
            said += (
                f" the office was set up anew; with a new key it is had again in an empty folder:  {recovery(there)}"
            )
        else:
            public = encode_base64(key.public).decode()
            said = "the office does not know the new key yet; ask the office's administrator for:"
            said += f"  pennyred account rekey {account} {public}  and repeat this"
        raise RuleRefused("key-unknown", said) from error
    wanted = account if there is None else there.account
    if licence.account != wanted:
        raise RuleRefused(
            "another-account", f"{folder / KEY_FILE} is the key of the account {licence.account}{_ELSEWHERE}"
        )
    return licence


async def _require_address(client: OfficeClient, address: str) -> None:
    """Raise `RuleRefused` if the office knows the account under another address."""
    known = (await client.account()).address
    if not _is_same(address, known):
        raise RuleRefused("another-address", f"at the office this account is of {known}: repeat this with that address")


def _is_same(address: str, known: str) -> bool:
    """Whether `known`, the office's form of an address, is the typed address or its canonical form."""
    return known in (canonical_sender(address).canonical, address)

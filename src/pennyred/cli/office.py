"""Commands for an office's administrator: accounts, vouchers, receivers, keys. They work on the ledger directly."""

import os
from typing import Any

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import (
    RuleRefused,
    json_option,
    office_settings,
    print_json,
    print_table,
    require_output,
    run_async,
    telling,
)
from pennyred.config import OfficeSettings
from pennyred.office.keys import add_key
from pennyred.office.ledger.protocol import Account, AccountOutcome, CreditOutcome
from pennyred.office.office import VOUCHERS_MAX
from pennyred.postage.encoding import decode_base64
from pennyred.postage.errors import Malformed, OutcomeUnknown, Unavailable
from pennyred.postage.signing import is_sound
from pennyred.programs.office import open_office

STAMPS = click.IntRange(1, 1_000_000_000)


@click.group()
def account() -> None:
    """The office's accounts: list, show, credit, close, rekey."""


@account.command("list")
@json_option
@click.pass_context
def account_list(context: click.Context, as_json: bool) -> None:
    """List all accounts.

    Example:  pennyred account list --json
    """
    accounts = run_async(_accounts(office_settings(context)))
    rows = [[one.id, one.address, one.state.value, one.available, one.held] for one in accounts]
    columns = ["account", "address", "state", "available", "held"]
    if as_json:
        print_json({"accounts": [dict(zip(columns, row, strict=True)) for row in rows]})
    else:
        print_table("", columns, rows)


async def _accounts(settings: OfficeSettings) -> list[Account]:
    async with open_office(settings) as office:
        accounts: list[Account] = []
        while page := await office.ledger.accounts(after=accounts[-1].id if accounts else "", limit=1000):
            accounts += page
        return accounts


@account.command("show")
@click.argument("account_id", type=typed.line, metavar="ACCOUNT")
@json_option
@click.pass_context
def account_show(context: click.Context, account_id: str, as_json: bool) -> None:
    """Show one account.

    Example:  pennyred account show k3v2mzq7p4xw5abc
    """
    found = run_async(_show(office_settings(context), account_id))
    if as_json:
        print_json(found)
    else:
        print_table("", ["", account_id], [[key, value] for key, value in found.items() if key != "account"])


async def _show(settings: OfficeSettings, account_id: str) -> dict[str, Any]:
    async with open_office(settings) as office:
        one = await office.account(account_id)
        shown = {"account": one.id, "address": one.address, "state": one.state.value, "daily_cap": one.daily_cap}
        return shown | {"balance": one.balance, "available": one.available, "held": one.held, "spent": one.spent}


@account.command("credit")
@click.argument("account_id", type=typed.line, metavar="ACCOUNT")
@click.argument("stamps", type=STAMPS)
@click.option("--reason", type=typed.line, required=True, metavar="TEXT", help="Stands in the account's statement.")
@json_option
@click.pass_context
def account_credit(context: click.Context, account_id: str, stamps: int, reason: str, as_json: bool) -> None:
    """Credit STAMPS to somebody who has paid you.

    Example:  pennyred account credit k3v2mzq7p4xw5abc 500 --reason "invoice 17"
    """
    available = run_async(_credit(office_settings(context), account_id, stamps, reason))
    with telling():
        if as_json:
            print_json({"account": account_id, "credited": stamps, "available": available})
        else:
            rest = "the balance cannot be read just now" if available is None else f"{available:,} available"
            click.echo(f"{stamps:,} stamps credited; {rest}")


async def _credit(settings: OfficeSettings, account_id: str, stamps: int, reason: str) -> int | None:
    """What is available then; None where that cannot be read any more: they are credited all the same."""
    async with open_office(settings) as office:
        found = await office.ledger.account(account_id)
        before = 0 if found is None else found.balance
        try:
            outcome = await office.ledger.credit(account_id, stamps, reason, now=office.now)
        except OutcomeUnknown as unknown:
            what = f"it is not known whether {stamps:,} stamps were credited; the balance was {before:,}"
            where = f"see `pennyred account show {account_id}` before you repeat it"
            raise OutcomeUnknown(unknown.reason, f"{what}; {where} ({unknown})") from unknown
        if outcome is not CreditOutcome.CREDITED:
            raise _not_so(outcome.value, account_id)
        try:
            return (await office.account(account_id)).available
        except Unavailable:
            return None


@account.command("close")
@click.argument("account_id", type=typed.line, metavar="ACCOUNT")
@json_option
@click.pass_context
def account_close(context: click.Context, account_id: str, as_json: bool) -> None:
    """Close an account: no new letters are paid from it. Those under way are settled.

    Example:  pennyred account close k3v2mzq7p4xw5abc
    """
    run_async(_close(office_settings(context), account_id))
    if as_json:
        print_json({"account": account_id, "state": "closed"})
    else:
        click.echo(f"account {account_id} is closed")


async def _close(settings: OfficeSettings, account_id: str) -> None:
    async with open_office(settings) as office:
        outcome = await office.ledger.close_account(account_id)
        if outcome is not AccountOutcome.DONE:
            raise _not_so(outcome.value, account_id)


@account.command("rekey")
@click.argument("account_id", type=typed.line, metavar="ACCOUNT")
@click.argument("key", type=typed.plain)
@json_option
@click.pass_context
def account_rekey(context: click.Context, account_id: str, key: str, as_json: bool) -> None:
    """Give an account a new KEY; the old one counts no more at once. KEY is what `pennyred open --account` has
    printed.

    Make sure first that it is the account's owner who asks: whoever has the key has the postage.

    Example:  pennyred account rekey k3v2mzq7p4xw5abc 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
    """
    try:
        public = decode_base64(key.encode("ascii", "replace"), length=32)
    except Malformed as error:
        raise click.BadParameter(f"{key[:80]!r}: expected 32 bytes in base64", param_hint="KEY") from error
    if not is_sound(public):
        raise click.BadParameter("not a key that a signature could be trusted under", param_hint="KEY")
    run_async(_rekey(office_settings(context), account_id, public))
    if as_json:
        print_json({"account": account_id, "key": key})
    else:
        click.echo(f"account {account_id} has a new key; stamps made with the old one are refused from now on")


async def _rekey(settings: OfficeSettings, account_id: str, public: bytes) -> None:
    async with open_office(settings) as office:
        outcome = await office.ledger.replace_key(account_id, public)
        if outcome is not AccountOutcome.DONE:
            raise _not_so(outcome.value, account_id)


def _not_so(outcome: str, account_id: str) -> RuleRefused:
    """The error for an account that is unknown or closed, with the outcome's name and where to look."""
    return RuleRefused(outcome, f"account {account_id}: {outcome.replace('-', ' ')}; see  pennyred account list")


@click.group()
def voucher() -> None:
    """Vouchers: prepaid codes to sell or give away."""


@voucher.command("create")
@click.option("--stamps", type=STAMPS, required=True, help="What each is worth.")
@click.option("--count", type=click.IntRange(1, VOUCHERS_MAX), default=1, show_default=True, help="How many.")
@json_option
@click.pass_context
def voucher_create(context: click.Context, stamps: int, count: int, as_json: bool) -> None:
    """Make voucher codes. They are printed once and stored hashed: nobody can show them again.

    Example:  pennyred voucher create --stamps 100 --count 10
    """
    require_output("the codes are")
    codes = run_async(_vouchers(office_settings(context), stamps, count))
    with telling("those codes are lost, and nobody can use them: repeat it"):
        if as_json:
            print_json({"vouchers": [{"code": code, "stamps": stamps} for code in codes]})
        else:
            click.echo("\n".join(codes))


async def _vouchers(settings: OfficeSettings, stamps: int, count: int) -> list[str]:
    async with open_office(settings) as office:
        return await office.create_vouchers(stamps, count)


@click.group()
def receiver() -> None:
    """Receivers: who else may redeem stamps at this office."""


@receiver.command("add")
@click.argument("name")
@click.option(
    "--domain",
    "domains",
    type=typed.domain,
    multiple=True,
    required=True,
    metavar="D",
    help="May be given several times.",
)
@json_option
@click.pass_context
def receiver_add(context: click.Context, name: str, domains: tuple[str, ...], as_json: bool) -> None:
    """Add a receiver, and print its token, this once. It gets an account, and the domains it may redeem stamps for.

    Example:  pennyred receiver add acme --domain acme.example --domain acme.test
    """
    require_output("the token is")
    added = run_async(_receiver(office_settings(context), name, domains))
    with telling("that token is lost: add it under another name"):
        if as_json:
            print_json(added)
        else:
            click.echo(f"receiver {added['receiver']} for {', '.join(added['domains'])}; its token, shown only now:")
            click.echo(added["token"])


async def _receiver(settings: OfficeSettings, name: str, domains: tuple[str, ...]) -> dict[str, Any]:
    async with open_office(settings) as office:
        added = await office.add_receiver(name, domains)
        return {"receiver": added.name, "domains": list(added.domains), "token": added.token}


@click.group()
def key() -> None:
    """The office's signing keys."""


@key.command("rotate")
@json_option
@click.pass_context
def key_rotate(context: click.Context, as_json: bool) -> None:
    """Make a new key beside the old ones. It signs from the next start or SIGHUP on; the old ones still verify.

    Publish its record first (pennyred dns).

    Example:  pennyred key rotate
    """
    settings = office_settings(context)
    selector, path = add_key(settings.signing_key, os.urandom(32))
    with telling():
        if as_json:
            print_json({"selector": selector, "file": str(path)})
        else:
            click.echo(f"new key {selector} in {path}; publish it (pennyred dns), then send the server SIGHUP")

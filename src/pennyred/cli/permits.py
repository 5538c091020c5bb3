"""Commands for a gate's administrator: lists and senders that recipients have approved, and mail they expect."""

from typing import Any

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import (
    RuleRefused,
    gate_settings,
    json_option,
    note_if_foreign,
    print_json,
    print_table,
    run_async,
)
from pennyred.cli.correspondents import open_state
from pennyred.config import BadSettings, Complaint, GateSettings
from pennyred.days import date_of, utc_day
from pennyred.gate.memory.permits import Kind, Permit, TooMany
from pennyred.gate.rules.grants import ANYBODY, users_of
from pennyred.gate.rules.permitaddress import mint_tag
from pennyred.postage.address import Recipient, canonical_domain, canonical_recipient
from pennyred.postage.errors import Malformed
from pennyred.postage.networks import parse_network
from pennyred.programs.clock import clock
from pennyred.programs.policy import read_pass_key

DAYS_MAX = 3_650


@click.group()
def permit() -> None:
    """Permits: mail that recipients have approved is free. It is free to them, and to nobody else.

    USER is an address, a domain of ours, or everybody.
    """


@permit.command("add")
@click.argument("user", type=typed.name)
@click.option(
    "--list", "lists", type=typed.plain, multiple=True, metavar="ID", help="What stands in its List-Id field."
)
@click.option(
    "--domain",
    "domains",
    type=typed.domain,
    multiple=True,
    metavar="D",
    help="All that is authenticated as this domain's.",
)
@click.option("--address", "addresses", type=typed.address, multiple=True, metavar="ADDR", help="One sender.")
@click.option(
    "--proof", type=typed.plain, default="", metavar="D|NET", help="Believe this domain (of a list) or network instead."
)
@click.option("--days", type=click.IntRange(1, DAYS_MAX), help="Default: until it is removed.")
@json_option
@click.pass_context
def add(
    context: click.Context,
    user: str,
    lists: tuple[str, ...],
    domains: tuple[str, ...],
    addresses: tuple[str, ...],
    proof: str,
    days: int | None,
    as_json: bool,
) -> None:
    """Approve lists, domains or senders for USER.

    Anybody can claim a name: a list counts where a domain it stands under vouches for it (SPF or DKIM), a domain where
    it is authenticated, an address where From is aligned as DMARC asks. What has no such proof needs --proof.

    Example:  pennyred permit add bob@example.org --list announce.lists.example.net
    """
    gate = gate_settings(context)
    owner = _owner(gate, user)
    named = [(Kind.LIST, _list_id(one)) for one in lists]
    named += [(Kind.DOMAIN, canonical_domain(one)) for one in domains]
    named += [(Kind.ADDRESS, canonical_recipient(one).canonical) for one in addresses]
    if not named:
        raise click.UsageError("name a --list, a --domain or an --address")
    today = utc_day(clock())
    last_day = today + days if days else None
    known = [Permit(owner, kind, name, _proof(proof, kind), today, last_day) for kind, name in named]
    run_async(_add(gate, known))
    _note(gate, owner)
    if as_json:
        print_json({"permits": [_shown(one) for one in known]})
    else:
        click.echo("\n".join(f"{one.kind} {one.name} comes free to {_named(one.user)}" for one in known))


async def _add(gate: GateSettings, permits: list[Permit]) -> None:
    async with open_state(gate) as state:
        for one in permits:
            try:
                await state.permits.add(one)
            except TooMany as error:
                raise RuleRefused("too-many", str(error)) from error


@permit.command("list")
@click.argument("user", type=typed.name, required=False)
@json_option
@click.pass_context
def list_(context: click.Context, user: str | None, as_json: bool) -> None:
    """List the permits of all users, or of USER.

    Example:  pennyred permit list bob@example.org
    """
    gate = gate_settings(context)
    found = run_async(_listed(gate, _owner(gate, user) if user else ""))
    if as_json:
        print_json({"permits": [_shown(one) for one in found]})
    else:
        columns = ["user", "kind", "name", "proof", "until"]
        print_table(
            "", columns, [[_named(one.user), one.kind.value, one.name, one.proof, _until(one)] for one in found]
        )


async def _listed(gate: GateSettings, user: str) -> list[Permit]:
    async with open_state(gate) as state:
        return await state.permits.listed(user, day=utc_day(clock()))


@permit.command("remove")
@click.argument("user", type=typed.name)
@click.argument("name", type=typed.plain)
@json_option
@click.pass_context
def remove(context: click.Context, user: str, name: str, as_json: bool) -> None:
    """Take back what was approved for USER under NAME.

    Example:  pennyred permit remove bob@example.org announce.lists.example.net
    """
    gate = gate_settings(context)
    owner = _owner(gate, user)
    removed = run_async(_remove(gate, owner, _list_id(name)))
    if not removed:
        raise RuleRefused(
            "unknown", f"{_named(owner)} has no permit for {name}; see  pennyred permit list {_named(owner)}"
        )
    if as_json:
        print_json({"user": owner, "removed": removed})
    else:
        click.echo(f"{name} needs a stamp for {_named(owner)} again")


async def _remove(gate: GateSettings, user: str, name: str) -> int:
    async with open_state(gate) as state:
        return await state.permits.remove(user, name)


@permit.command("address")
@click.argument("user", type=typed.address, metavar="ADDR")
@click.option(
    "--domain", type=typed.domain, default="", metavar="D", help="Good only for mail that this domain vouches for."
)
@click.option("--days", type=click.IntRange(1, DAYS_MAX), default=365, show_default=True)
@json_option
@click.pass_context
def address(context: click.Context, user: str, domain: str, days: int, as_json: bool) -> None:
    """Make an address that carries its own permission, to sign up with.

    It works as long as your mail server delivers user+tag@ to user@. With --domain it is worth nothing to anybody it
    is passed on to.

    Example:  pennyred permit address bob@example.org --domain news.example --days 365
    """
    gate = gate_settings(context)
    owner = canonical_recipient(user)
    if gate.pass_key is None or not gate.recipient_delimiter:
        key = "gate.recipient_delimiter" if gate.pass_key else "gate.pass_key"
        raise BadSettings([Complaint("pennyred.toml", key, "missing", "a value: tagged addresses need it")])
    bound = canonical_domain(domain) if domain else ""
    last_day = utc_day(clock()) + days
    tag = mint_tag(read_pass_key(gate.pass_key), owner, last_day, bound)
    note_if_foreign(gate, owner.canonical)
    made = Recipient(f"{owner.local}{gate.recipient_delimiter}{tag}", owner.domain).canonical
    if as_json:
        print_json({"address": made, "domain": bound, "until": date_of(last_day)})
    else:
        click.echo(made)


@permit.command("expect")
@click.argument("user", type=typed.name)
@click.option(
    "--domain",
    type=typed.domain,
    default="",
    metavar="D",
    help="Only mail that this domain vouches for; default: anybody's.",
)
@click.option("--minutes", type=click.IntRange(1, 14 * 1440), default=60, show_default=True)
@json_option
@click.pass_context
def expect(context: click.Context, user: str, domain: str, minutes: int, as_json: bool) -> None:
    """Open a window: mail to USER within it is free. At most 20 letters are; it is for sign-up codes and receipts.

    Example:  pennyred permit expect bob@example.org --domain shop.example --minutes 60
    """
    gate = gate_settings(context)
    owner, now = _owner(gate, user), clock()
    bound = canonical_domain(domain) if domain else ""
    run_async(_expect(gate, owner, bound, now, now + 60 * minutes))
    _note(gate, owner)
    if as_json:
        print_json({"user": owner, "domain": bound, "minutes": minutes})
    else:
        click.echo(f"mail of {bound or 'anybody'} comes free to {_named(owner)} for {minutes} minutes")


async def _expect(gate: GateSettings, user: str, domain: str, now: int, until: int) -> None:
    async with open_state(gate) as state:
        try:
            await state.permits.expect(user, domain, until=until, now=now)
        except TooMany as error:
            raise RuleRefused("too-many", str(error)) from error


def _owner(gate: GateSettings, text: str) -> str:
    if text in (ANYBODY, "everybody"):
        return ANYBODY
    if "@" not in text:
        return canonical_domain(text)
    return users_of(canonical_recipient(text), gate.recipient_delimiter)[-1]


def _note(gate: GateSettings, owner: str) -> None:
    if owner != ANYBODY:
        note_if_foreign(gate, owner)


def _named(user: str) -> str:
    return "everybody" if user == ANYBODY else user


def _list_id(text: str) -> str:
    return text.strip().removeprefix("<").removesuffix(">").lower()


def _proof(text: str, kind: Kind) -> str:
    """The proof in canonical form: a list's domain, or a network. Raises `Malformed` if it does not suit the kind."""
    if not text:
        return ""
    if kind is Kind.LIST:
        return canonical_domain(text)
    try:
        network = parse_network(text)
    except ValueError as error:
        raise Malformed(f"--proof of a {kind} is a network like 192.0.2.0/24, without host bits") from error
    return str(network)


def _shown(one: Permit) -> dict[str, Any]:
    return {
        "user": one.user,
        "kind": one.kind.value,
        "name": one.name,
        "proof": one.proof,
        "until": _until(one) or None,
    }


def _until(one: Permit) -> str:
    return date_of(one.last_day) if one.last_day is not None else ""

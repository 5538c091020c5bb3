"""Commands for a gate's administrator: rules for single recipients or domains."""

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
from pennyred.config import GateSettings
from pennyred.gate.memory.recipientrules import StoredRule
from pennyred.gate.rules.exemptions import Mode
from pennyred.postage.address import canonical_domain, canonical_recipient


@click.group()
def recipient() -> None:
    """Price, mode and exemption of single recipients. Also of domains; all are kept in the gate's state.

    The file that [gate] recipient_rules names has precedence. A running gate reads both again on SIGHUP.
    """


@recipient.command("set")
@click.argument("name", type=typed.name, metavar="ADDR|DOMAIN")
@click.option("--price", type=click.IntRange(1, 1000), help="Stamps.")
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]))
@click.option("--free", is_flag=True, help="Takes unstamped mail.")
@json_option
@click.pass_context
def set_(context: click.Context, name: str, price: int | None, mode: str | None, free: bool, as_json: bool) -> None:
    """Set the rule for an address or domain. For what is not named, the general settings count.

    Example:  pennyred recipient set ceo@example.org --price 10 --mode require
    """
    rule = StoredRule(_name(name), price, mode, free)
    gate = gate_settings(context)
    run_async(_set(gate, rule))
    note_if_foreign(gate, rule.name)
    if as_json:
        print_json(_shown(rule))
    else:
        click.echo(f"set for {rule.name}; it counts after a reload (SIGHUP)")


async def _set(gate: GateSettings, rule: StoredRule) -> None:
    async with open_state(gate) as state:
        await state.recipient_rules.set(rule)


@recipient.command("list")
@json_option
@click.pass_context
def list_(context: click.Context, as_json: bool) -> None:
    """List the rules that were set by command.

    Example:  pennyred recipient list
    """
    rules = run_async(_all(gate_settings(context)))
    if as_json:
        print_json({"recipients": [_shown(one) for one in rules]})
    else:
        rows = [[one.name, one.price or "", one.mode or "", "free" if one.is_free else ""] for one in rules]
        print_table("", ["recipient", "price", "mode", ""], rows)


async def _all(gate: GateSettings) -> list[StoredRule]:
    async with open_state(gate) as state:
        return await state.recipient_rules.all()


@recipient.command("remove")
@click.argument("name", type=typed.name, metavar="ADDR|DOMAIN")
@json_option
@click.pass_context
def remove(context: click.Context, name: str, as_json: bool) -> None:
    """Remove the rule that was set for an address or domain.

    Example:  pennyred recipient remove ceo@example.org
    """
    canonical = _name(name)
    if not run_async(_remove(gate_settings(context), canonical)):
        raise RuleRefused("unknown", f"nothing was set for {canonical}; see  pennyred recipient list")
    if as_json:
        print_json({"removed": canonical})
    else:
        click.echo(f"{canonical} is as all others; it counts after a reload (SIGHUP)")


async def _remove(gate: GateSettings, name: str) -> bool:
    async with open_state(gate) as state:
        return await state.recipient_rules.remove(name)


def _name(text: str) -> str:
    return canonical_recipient(text).canonical if "@" in text else canonical_domain(text)


def _shown(rule: StoredRule) -> dict[str, Any]:
    return {"recipient": rule.name, "price": rule.price, "mode": rule.mode, "free": rule.is_free}

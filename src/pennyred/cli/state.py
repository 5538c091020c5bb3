"""Commands for a gate's administrator: the gate's state."""

import click

from pennyred.cli.arguments import typed
from pennyred.cli.arguments.databases import from_and_to
from pennyred.cli.common import RuleRefused, json_option, print_json, run_async
from pennyred.gate.memory.moving import InUse, NotAState, NotEmpty, move
from pennyred.programs.clock import clock


@click.group()
def state() -> None:
    """The state of gates: move it to a database. It is correspondents, permits, allowances, settlements that wait."""


@state.command("copy")
@click.argument("source", type=typed.plain, metavar="FROM")
@click.argument("target", type=typed.plain, metavar="TO")
@json_option
def state_copy(source: str, target: str, *, as_json: bool) -> None:
    """Copy a gate's state from SQLite to PostgreSQL. FROM is a file of SQLite's, TO a new database of PostgreSQL's
    that gates will share.

    Stop the gates first. FROM is left as it is. When it says so, set gate.state to TO and start them again. Of several
    gates that had a file each, one can be copied: take the one that knows most.

    Example:  pennyred state copy sqlite:///gate.db postgresql://pennyred@db.example.org/gates
    """
    path, url = from_and_to(source, target, "state")
    try:
        rows = run_async(move(path, url, now=clock()))
    except NotAState as error:
        raise click.BadParameter(str(error)) from error
    except NotEmpty as error:
        raise RuleRefused("not-empty", str(error)) from error
    except InUse as error:
        raise RuleRefused("in-use", str(error)) from error
    if as_json:
        print_json({"copied": True, "rows": rows})
    else:
        known = f"{rows.get('permit', 0):,} permits and {rows.get('correspondent', 0):,} correspondents"
        click.echo(f"copied, with {known}: set gate.state to the address of TO and start the gates")

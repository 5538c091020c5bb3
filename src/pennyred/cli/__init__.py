"""The command line: arguments and printing. Each command's module, named in `_COMMANDS`, is imported when it runs.

::

    common      what all commands share: settings, --json, exit statuses
    setup       init, check, dns
    examples    examples; papers: help
    running     serve, demo
    report      report; reporting: shows it as text or picture, and what a probe has found
    refused     refused
    office      account, voucher, receiver, key
    ledger      ledger
    state       state
    correspondents, permits, recipients
                who comes free, and rules for single recipients
    opening     open
    sender      buy, balance, statement
    letters     stamp, send; paying: how much to pay at a server
    verifying   verify; proving: whether a letter's author is proven; receipts: --receipt
    probe       probe
    proofs      receipts
    arguments   types of arguments, checked before a command runs
"""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

import pennyred

_COMMANDS = {
    "demo": "running",
    "init": "setup",
    "serve": "running",
    "report": "report",
    "check": "setup",
    "examples": "examples",
    "help": "papers",
    "dns": "setup",
    "refused": "refused",
    "account": "office",
    "voucher": "office",
    "receiver": "office",
    "ledger": "ledger",
    "key": "office",
    "state": "state",
    "correspondents": "correspondents",
    "permit": "permits",
    "recipient": "recipients",
    "open": "opening",
    "buy": "sender",
    "balance": "sender",
    "statement": "sender",
    "stamp": "letters",
    "send": "letters",
    "verify": "verifying",
    "probe": "probe",
    "receipts": "proofs",
}
_PYTHON_NAMES = {"open": "open_", "help": "help_"}
INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ended, as shells have it."""
EX_TEMPFAIL = 75


class _LazyGroup(click.Group):
    """Imports a command's module only when it runs: `pennyred stamp` must not wait for a web server's code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All commands, in the order in which a newcomer needs them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, from its module."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"pennyred.cli.{_COMMANDS[cmd_name]}")
        command: Any = getattr(module, _PYTHON_NAMES.get(cmd_name, cmd_name))
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; it names similar commands only where they are imported, so here they are named."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415 - only where it is needed, like the commands

            if meant := get_close_matches(name, _COMMANDS):
                ctx.fail(f"No such command {name!r}. Did you mean {' or '.join(map(repr, meant))}?")
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit. Wrong usage is also printed as JSON where --json is given, though no command runs."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        words = list(sys.argv[1:] if args is None else args)
        _show_whatever_comes()
        try:
            done = super().main(words, prog_name, complete_var, standalone_mode=False, **extra)
            status = done if isinstance(done, int) else 0
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else int(left.code is not None)
        except click.Abort:
            status = INTERRUPTED
        except click.ClickException as error:
            _tell_usage(error, as_json="--json" in words)
            status = error.exit_code
        except OSError as error:
            status = _told_of_output(error)
        sys.exit(_shown(status))


def _shown(status: int) -> int:
    """Flush standard output and return the exit status: when Python flushes at its end, an error could not be told."""
    try:
        if sys.stdout is not None:  # closed by whoever started this
            sys.stdout.flush()
    except OSError as error:
        status = status or _told_of_output(error)
        # Else Python would try to write the rest once more, and fail with its own text and exit status.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _told_of_output(error: OSError) -> int:
    """Tell that standard output could not be written; returns the exit status."""
    from pennyred.failures import told  # noqa: PLC0415 - only where it is needed, like the commands

    sys.stderr.write(f"pennyred: standard output: {told(error)} (system)\n")
    return EX_TEMPFAIL


def _show_whatever_comes() -> None:
    """Show characters that the terminal's charset lacks by number; without this, they would end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _tell_usage(error: click.ClickException, *, as_json: bool) -> None:
    if not as_json:
        error.show()
        return
    from pennyred.cli.common import print_json  # noqa: PLC0415 - only where it is needed, like the commands

    print_json({"error": {"reason": getattr(error, "reason", "usage"), "message": error.format_message()}})


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(pennyred.__version__, prog_name="pennyred")
@click.option(
    "--config",
    type=click.Path(path_type=Path, readable=False),  # our own message names the file's owner
    metavar="FILE",
    help="The settings; else $PENNYRED_CONFIG, ./pennyred.toml, /etc/pennyred/pennyred.toml.",
)
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """Penny Red makes spam cost a cent: a gate in front of a mail server, and stamps for those who write to it.

    See it work, in one minute, on this machine alone:  pennyred demo

    To run a gate:  pennyred init, pennyred check, pennyred serve.

    To write to somebody behind one:  pennyred open, pennyred buy, pennyred send.

    To read on:  pennyred help.
    """
    context.obj = config

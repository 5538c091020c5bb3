"""Arguments and printing: each command in the module that `_COMMANDS` names, imported when it is asked for.

::

    common      settings, --json, errors to exit statuses
    setup       init, check, dns
    examples    examples; papers: help
    running     serve, demo
    report      report; reporting: how it is shown
    refused     refused
    office      account, voucher, receiver, key
    ledger      ledger
    state       state
    correspondents, permits, recipients
                who comes free, and what single recipients have of their own
    opening     open
    sender      buy, balance, statement
    letters     stamp, send; paying: what a server asks, and what of it is paid
    verifying   verify; receipts: --receipt
    proofs      receipts
    arguments   what is typed, read before a command runs
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
    "receipts": "proofs",
}
_PYTHON_NAMES = {"open": "open_", "help": "help_"}
INTERRUPTED = 130
"""What shells say of a program that Ctrl-C ended."""
EX_TEMPFAIL = 75


class _LazyGroup(click.Group):
    """Imports a command's module only when it runs: `pennyred stamp` must not wait for a web server's code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order of a life with Penny Red, not of the alphabet."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, from its module."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"pennyred.cli.{_COMMANDS[cmd_name]}")
        command: Any = getattr(module, _PYTHON_NAMES.get(cmd_name, cmd_name))
        return command if isinstance(command, click.Command) else None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run and leave; wrong usage is told as a document where that is asked for, before a command can tell it."""
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
    """The exit status, once all is shown: at the very end it could not be told that there was no room."""
    try:
        if sys.stdout is not None:  # closed by whoever started this
            sys.stdout.flush()
    except OSError as error:
        status = status or _told_of_output(error)
        # What is left of it would be tried once more by Python, and fail with its words and a status of its own.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _told_of_output(error: OSError) -> int:
    """What was to be shown found no room, or nobody who reads; the exit status."""
    from pennyred.failures import told  # noqa: PLC0415 - only where it is needed, like the commands

    sys.stderr.write(f"pennyred: standard output: {told(error)} (system)\n")
    return EX_TEMPFAIL


def _show_whatever_comes() -> None:
    """A letter that this terminal has not is shown by its number, instead of ending the command."""
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
    type=click.Path(path_type=Path, readable=False),  # who may read it is told with the file's owner
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

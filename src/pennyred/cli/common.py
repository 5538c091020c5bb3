"""What all commands share: where the settings are, `--json`, and the exit status of each error.

0: done. 1: refused by a rule, whose name is printed. 2: wrong usage or settings. 70 (EX_SOFTWARE): a mistake of ours.
74 (EX_IOERR): done, but the result could not be printed; or perhaps done (`outcome-unknown`): to repeat it might do it
twice. 75 (EX_TEMPFAIL): something outside did not answer; try again later.
"""

import asyncio
import functools
import inspect
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from pennyred.config import BadSettings, Complaint, GateSettings, OfficeSettings, Settings, find_settings, read_settings
from pennyred.failures import lasts, told, what
from pennyred.postage.errors import Malformed, OutcomeUnknown, PennyRedError, Unavailable
from pennyred.postage.reasons import Reason

REFUSED = 1
USAGE = 2
INTERNAL = 70
UNTOLD = 74
TEMPFAIL = 75
DOMAINS_SHOWN_MAX = 5
P = ParamSpec("P")
T = TypeVar("T")


class RuleRefused(PennyRedError):  # noqa: N818 - a refusal, with its name
    """A rule refuses; `reason` is the rule's name, `document` is printed with --json in place of an error."""

    def __init__(self, reason: str, text: str, document: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.document = document


class NotAll(Unavailable):
    """Something does not answer, or not yet; `document` says what is done, and is printed with --json."""

    def __init__(self, text: str, document: dict[str, Any]) -> None:
        super().__init__(Reason.UPSTREAM_UNAVAILABLE, text)
        self.document = document


class Untold(PennyRedError):  # noqa: N818 - the work is done
    """The command has done its work, but standard output has no room for the result, or no reader."""

    reason = "untold"

    def __init__(self, error: OSError, consequence: str) -> None:
        why = "nobody reads it" if isinstance(error, BrokenPipeError) else what(error)
        super().__init__(f"done, but it could not be told on standard output: {why}; {consequence}")


@contextmanager
def telling(consequence: str = "do not repeat it, or it is done twice") -> Iterator[None]:
    """Wraps the printing of work that must not be repeated; raises `Untold` if it cannot be printed."""
    try:
        yield
    except OSError as error:
        raise Untold(error, consequence) from error


def require_output(what_is_shown: str) -> None:
    """Raise `UsageError` if standard output is closed; call it before something is made that is shown only once."""
    if sys.stdout is None:
        raise click.UsageError(f"standard output is closed, and {what_is_shown} shown only once")


def json_option(command: Callable[P, T]) -> Callable[P, T]:
    """Decorate a command: add `--json`, print errors as text or JSON, and exit with the right status."""
    option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
    command.__doc__ = _example_first(command.__doc__ or "")

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except BrokenPipeError:
            raise  # nobody reads our output any more; click ends quietly
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - Python's own status, 1, would mean that a rule refused
            sys.exit(_report(error, as_json=bool(kwargs.get("as_json"))))

    return option(run)


def _example_first(text: str) -> str:
    """A command's help with its example moved behind the first paragraph: most people need no more."""
    summary, *rest = re.split(r"\n\s*\n", inspect.cleandoc(text))
    examples = [one for one in rest if one.startswith("Example:")]
    return "\n\n".join([summary, *examples, *(one for one in rest if one not in examples)])


def _report(error: Exception, *, as_json: bool) -> int:
    status, reason = _status(error)
    message = told(error) if isinstance(error, OSError) else str(error)
    if status == INTERNAL:
        traceback.print_exception(error)
        message = f"a mistake of ours, please report it with the lines above: {type(error).__name__}: {error}"
    if as_json and not isinstance(error, Untold):
        document = getattr(error, "document", None)
        try:
            print_json(document or {"error": {"reason": reason, "message": message}})
        except OSError as untold:
            if document is None or status != TEMPFAIL:
                raise
            # "Try again" would be wrong: part of the work is done, and the lost document says which part.
            return _report(Untold(untold, "some of it is done: do not repeat all of it"), as_json=as_json)
    else:
        shown = message if isinstance(error, BadSettings) else f"pennyred: {message} ({reason})"
        click.echo(printable(shown), err=True)
    return status


def _status(error: Exception) -> tuple[int, str]:
    """The exit status for an error, and the error's name."""
    from pennyred.sender.wallet import DamagedWallet, LostKey, NoWallet  # noqa: PLC0415 - only where something is wrong
    from pennyred.storage.migrations import SchemaError  # noqa: PLC0415 - brings SQLite, which few commands need

    own_reason = getattr(error, "reason", "refused")
    by_kind: list[tuple[type[Exception], int, str]] = [
        (BadSettings, USAGE, "settings"),
        (SchemaError, USAGE, "schema"),
        (NoWallet, USAGE, "no-account"),
        (LostKey, USAGE, "lost-key"),
        (DamagedWallet, USAGE, "damaged-account"),
        (Malformed, USAGE, "malformed"),
        (Untold, UNTOLD, str(own_reason)),
        (OutcomeUnknown, UNTOLD, "outcome-unknown"),
        (Unavailable, TEMPFAIL, str(own_reason)),
        (PennyRedError, REFUSED, str(own_reason)),
        (OSError, *((USAGE, "file") if lasts(error) else (TEMPFAIL, "system"))),
    ]
    return next(((status, name) for kind, status, name in by_kind if isinstance(error, kind)), (INTERNAL, "internal"))


def settings_of(context: click.Context) -> Settings:
    """Read the settings for this command; raises `BadSettings`."""
    return read_settings(find_settings(context.obj, os.environ))


def office_settings(context: click.Context) -> OfficeSettings:
    """The settings of the office; raises `BadSettings` if there is no [office] table."""
    settings = settings_of(context)
    if settings.office is None:
        raise BadSettings([Complaint(str(settings.file), "office", "missing", "an [office] table with a domain")])
    return settings.office


def gate_settings(context: click.Context) -> GateSettings:
    """The settings of the gate; raises `BadSettings` if there is no [gate] table."""
    settings = settings_of(context)
    if settings.gate is None:
        raise BadSettings([Complaint(str(settings.file), "gate", "missing", "a [gate] table")])
    return settings.gate


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; returns its result."""
    return asyncio.run(coroutine)


def note_if_foreign(gate: GateSettings, user: str) -> None:
    """Print a note if `user` (a canonical address or domain) is in none of our domains: it may be misspelt.

    It is only a note, because we may have mail in domains that the list does not name.
    """
    domain = user.rpartition("@")[2]
    if gate.domains and domain not in gate.domains:
        known = ", ".join(gate.domains[:DOMAINS_SHOWN_MAX])
        click.echo(f"note: {domain} is none of the domains whose mail this is ([gate] domains: {known})", err=True)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(document, indent=2))


def printable(text: str) -> str:
    """A stranger's text with "?" for what could control a terminal; line ends stay."""
    return "".join(one if one.isprintable() or one == "\n" else "?" for one in text)


def print_table(title: str, columns: list[str], rows: list[list[Any]], *, err: bool = False) -> None:
    """Print a table for people, with numbers at the right of their columns; "none" where there is no row.

    `err`: on standard error, as standard output is for something else.
    """
    if not rows:
        click.echo("none", err=err)
        return
    from rich.console import Console  # noqa: PLC0415 - slow to load, and not for --json
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415 - cells are never read as markup: strangers have written some of them

    table = Table(title=title or None, title_justify="left")
    for place, column in enumerate(columns):
        is_number = all(isinstance(row[place], int) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row))
    Console(stderr=err).print(table)


@contextmanager
def progress(what: str, total: int, *, is_quiet: bool) -> Iterator[Callable[[float], object]]:
    """Show a progress bar on standard error; yields a function to call with how much of `total` is done."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=is_quiet or not console.is_terminal) as shown:
        task = shown.add_task(what, total=total or 1)
        yield lambda done: shown.update(task, completed=done)


def read_letter(file: Path | None) -> bytes:
    """Read a letter from a file, or from standard input for None or "-"; raises `Malformed` if too long or empty."""
    if file is None or str(file) == "-":
        if sys.stdin.isatty():
            click.echo("reading the letter from the keyboard; it ends with Control-D", err=True)
        letter = sys.stdin.buffer.read(LETTER_BYTES_MAX + 1)
    else:
        with file.open("rb") as opened:
            letter = opened.read(LETTER_BYTES_MAX + 1)
    if len(letter) > LETTER_BYTES_MAX:
        raise Malformed(f"the letter has more than {LETTER_BYTES_MAX:,} bytes")
    if not letter.strip():
        emptied = f": {file} is where the output goes, too, and your shell's > has emptied it; name another file there"
        raise Malformed("the letter is empty" + (emptied if file is not None and _is_output(file) else ""))
    return letter


def _is_output(file: Path) -> bool:
    """Whether standard output is written into this same file."""
    try:
        return os.path.samestat(os.fstat(sys.stdout.fileno()), file.stat())
    except (OSError, ValueError):  # standard output has no descriptor, or the file is gone
        return False


LETTER_BYTES_MAX = 100 * 10**6

"""Commands for a gate's administrator: to whom our users write, and who may therefore write back free."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pennyred.cli.arguments import typed
from pennyred.cli.arguments.logfiles import log_lines
from pennyred.cli.common import (
    RuleRefused,
    gate_settings,
    json_option,
    note_if_foreign,
    print_json,
    print_table,
    run_async,
)
from pennyred.config import BadSettings, Complaint, GateSettings
from pennyred.days import date_of, utc_day
from pennyred.gate.maillogs.reading import MailLog, Wrote, read_pairs
from pennyred.gate.memory.correspondents import Learned, UserTotal
from pennyred.gate.memory.store import GateState
from pennyred.gate.rules.grants import users_of
from pennyred.postage.address import canonical_domain, canonical_recipient
from pennyred.postage.errors import Malformed
from pennyred.programs.clock import clock

LINES_MAX_WITHOUT_SENSE = 9
"""How many lines a file may have without one from a mail server: a new log may have a few others, more is a mistake."""

_BATCH = 1_000
_PAGE = 1_000


@asynccontextmanager
async def open_state(gate: GateSettings) -> AsyncIterator[GateState]:
    """Open the gate's state, and close it in the end; the gate may be running."""
    state = GateState.open(gate.state, now=clock())
    try:
        yield state
    finally:
        await state.close()


@click.group()
def correspondents() -> None:
    """Whom our users write to: they may write back free. Their mail must be authenticated (DMARC's alignment).

    They are learned from outgoing mail ([gate.outgoing]), imported from a mail log, or added here. Who writes to whom
    is stored as a hash: you can ask for a pair, but not list the pairs.
    """


@correspondents.command("list")
@click.option("--user", type=typed.address, metavar="ADDR", help="One of our users.")
@click.option("--with", "other", type=typed.address, metavar="ADDR", help="Ask whether they write to each other.")
@json_option
@click.pass_context
def list_(context: click.Context, user: str | None, other: str | None, as_json: bool) -> None:
    """List how many correspondents each user has. With --user and --with, when that user last wrote to them.

    Example:  pennyred correspondents list --user ann@example.org --with bob@friends.example
    """
    gate = gate_settings(context)
    if other is not None:
        if user is None:
            raise click.UsageError("--with needs --user")
        _show_pair(gate, _user(gate, user), canonical_recipient(other).canonical, as_json=as_json)
        return
    totals = run_async(_totals(gate, _user(gate, user) if user else ""))
    rows: list[list[Any]] = [[one.user, one.count, date_of(one.last_day)] for one in totals]
    columns = ["user", "correspondents", "last"]
    if as_json:
        print_json({"users": [dict(zip(columns, row, strict=True)) for row in rows]})
    else:
        print_table("", columns, rows)


def _show_pair(gate: GateSettings, user: str, other: str, *, as_json: bool) -> None:
    found = run_async(_pair(gate, user, other))
    if as_json:
        print_json({"user": user, "with": other, "last": date_of(found[0]) if found else None})
    elif found:
        click.echo(f"{user} last wrote to {other} on {date_of(found[0])} ({found[1]})")
    if not found:
        raise RuleRefused("unknown", f"{user} has not written to {other}", {} if as_json else None)


async def _pair(gate: GateSettings, user: str, other: str) -> tuple[int, str] | None:
    async with open_state(gate) as state:
        return await state.correspondents.of(user, other)


async def _totals(gate: GateSettings, user: str) -> list[UserTotal]:
    async with open_state(gate) as state:
        totals: list[UserTotal] = []
        while page := await state.correspondents.totals(after=totals[-1].user if totals else "", limit=_PAGE):
            totals += page
        return [one for one in totals if user in ("", one.user)]


@correspondents.command("add")
@click.argument("user", type=typed.address)
@click.argument("others", type=typed.address, metavar="ADDR...", nargs=-1, required=True)
@json_option
@click.pass_context
def add(context: click.Context, user: str, others: tuple[str, ...], as_json: bool) -> None:
    """Let these addresses write to USER free for a year.

    Example:  pennyred correspondents add ann@example.org bob@friends.example carol@club.example
    """
    gate = gate_settings(context)
    name, known = _user(gate, user), tuple(canonical_recipient(other).canonical for other in others)
    run_async(_learn(gate, [Learned(_today(), (name,), known, origin="command")]))
    note_if_foreign(gate, name)
    if as_json:
        print_json({"user": name, "added": list(known)})
    else:
        click.echo(f"{', '.join(known)} may write to {name} free until {date_of(_today() + 365)}")


@correspondents.command("remove")
@click.argument("user", type=typed.address)
@click.argument("others", type=typed.address, metavar="[ADDR]...", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="All of this user's.")
@json_option
@click.pass_context
def remove(context: click.Context, user: str, others: tuple[str, ...], everybody: bool, as_json: bool) -> None:
    """Forget correspondents: these addresses need a stamp again. Those that were learned, and those that were
    added.

    Example:  pennyred correspondents remove ann@example.org bob@friends.example
    """
    if bool(others) == everybody:
        raise click.UsageError("name the addresses, or give --all")
    gate = gate_settings(context)
    name = _user(gate, user)
    removed = run_async(_remove(gate, name, [canonical_recipient(other).canonical for other in others]))
    if as_json:
        print_json({"user": name, "removed": removed})
    else:
        click.echo(f"{removed} removed")


async def _remove(gate: GateSettings, user: str, others: list[str]) -> int:
    async with open_state(gate) as state:
        return await state.correspondents.remove(user, others)


@correspondents.command("import")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
)
@click.option(
    "--user", type=typed.address, metavar="ADDR", help="FILE has an address a line: this user's correspondents."
)
@click.option("--pairs", is_flag=True, help="FILE has two addresses a line: ours, theirs. Default: a mail log.")
@click.option(
    "--domain", "domains", type=typed.domain, multiple=True, metavar="D", help="Ours; default: [gate] domains."
)
@json_option
@click.pass_context
def import_(
    context: click.Context,
    files: tuple[Path, ...],
    user: str | None,
    pairs: bool,
    domains: tuple[str, ...],
    as_json: bool,
) -> None:
    """Learn from a log of Postfix or Exim, or a list of addresses. Also packed (.gz, .xz, .bz2); - is standard
    input.

    A log is read as the mail server, a syslog daemon, journalctl (-o short, short-iso, short-full and the like) or
    docker writes it. What was sent to others by the addresses of your domains counts; who was addressed, not whom an
    alias of yours led to.

    Example:  pennyred correspondents import /var/log/mail.log.1 /var/log/mail.log

    Example:  journalctl -u "postfix*" | pennyred correspondents import -
    """
    gate = gate_settings(context)
    ours = frozenset(canonical_domain(domain) for domain in domains if domain) or frozenset(gate.domains)
    if not ours and not pairs and user is None:
        what = "whose mail is outgoing cannot be told"
        raise BadSettings([Complaint("pennyred.toml", "gate.domains", what, "your domains, or --domain D")])
    owner = canonical_recipient(user) if user else None
    book, logs = _Book(gate), {file: MailLog(ours, datetime.now(UTC).date()) for file in files}
    is_list = pairs or owner is not None
    try:
        for file, log in logs.items():
            with log_lines(file, is_quiet=as_json) as lines:
                told = (wrote for line in lines if (wrote := log.read(line)) is not None)
                book.note_all(read_pairs(lines, owner, _today()) if is_list else told)
    finally:
        book.close()
    if is_list:
        logs = {}
    _check_sense(logs)
    _show_import(book, list(logs.values()), as_json=as_json)


class _Book:
    """Collects pairs and writes them to the state, many at a time."""

    def __init__(self, gate: GateSettings) -> None:
        self._gate = gate
        self._waiting: list[Learned] = []
        self.known: set[tuple[str, str]] = set()

    def note_all(self, pairs: Iterable[Wrote]) -> None:
        for wrote in pairs:
            name = users_of(wrote.user, self._gate.recipient_delimiter)[-1]
            self.known.add((name, wrote.other.canonical))
            self._waiting.append(Learned(wrote.day, (name,), (wrote.other.canonical,), origin="import"))
            if len(self._waiting) >= _BATCH:
                self.close()

    def close(self) -> None:
        """Write the pairs that are not written yet."""
        if self._waiting:
            run_async(_learn(self._gate, self._waiting))
        self._waiting = []


def _check_sense(logs: dict[Path, MailLog]) -> None:
    """Raise `Malformed` for files that are no mail log; the pairs of the other files are stored all the same."""
    senseless = [
        (file, log) for file, log in logs.items() if not log.understood and log.lines > LINES_MAX_WITHOUT_SENSE
    ]
    if senseless:
        expected = (
            "expected: a log of Postfix or Exim, as it is or as a syslog daemon, journalctl (-o short, short-iso, "
            "short-full) or docker writes it; or a list, with --pairs or --user"
        )
        seen = (
            f"{file}: none of {log.lines:,} lines is understood, the first: {log.stranger[:120]}"
            for file, log in senseless
        )
        raise Malformed("\n".join([*seen, expected]))


def _show_import(book: _Book, logs: list[MailLog], *, as_json: bool) -> None:
    users = len({user for user, _ in book.known})
    document: dict[str, Any] = {"pairs": len(book.known), "users": users}
    skipped = sum((log.skipped for log in logs), Counter())
    if logs:
        document |= {"lines": sum(log.lines for log in logs), "understood": sum(log.understood for log in logs)}
        document["skipped"] = {why.name.lower(): count for why, count in skipped.items()}
    if as_json:
        print_json(document)
        return
    click.echo(f"{len(book.known):,} pairs of {users:,} users")
    if logs:
        click.echo(f"{document['understood']:,} of {document['lines']:,} lines are a mail server's")
    for why, count in skipped.most_common():
        click.echo(f"{count:,} sent letters passed over: {why.value}")


async def _learn(gate: GateSettings, learned: list[Learned]) -> None:
    async with open_state(gate) as state:
        await state.correspondents.learn(learned)


def _user(gate: GateSettings, text: str) -> str:
    return users_of(canonical_recipient(text), gate.recipient_delimiter)[-1]


def _today() -> int:
    return utc_day(clock())

"""Commands for an office's administrator: the ledger."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from pennyred.cli.arguments import typed
from pennyred.cli.arguments.databases import from_and_to
from pennyred.cli.common import (
    RuleRefused,
    json_option,
    office_settings,
    print_json,
    print_table,
    progress,
    run_async,
    telling,
)
from pennyred.office.ledger.moving import Note, NotEmpty, NotTheSame, move
from pennyred.office.ledger.protocol import Audit
from pennyred.office.ledger.sqlite import begin_anew
from pennyred.office.ledger.sqlite.backup import back_up
from pennyred.postage.proofs.chain import EPOCH_ID_BYTES, BatchHead
from pennyred.programs.clock import clock
from pennyred.programs.ledger.opening import at_rest, open_ledger, owned, spill
from pennyred.programs.ledger.opening import audit as audit_ledger
from pennyred.programs.ledger.opening import migrate as migrate_ledger


@click.group()
def ledger() -> None:
    """The books: audit, migrate, back up, restore, copy."""


@ledger.command("audit")
@json_option
@click.pass_context
def ledger_audit(context: click.Context, as_json: bool) -> None:
    """Recompute every balance from the journal. Exit status 1 if anything differs.

    Example:  pennyred ledger audit
    """
    audit = asdict(run_async(audit_ledger(office_settings(context).ledger)))
    differences = audit.pop("differences")
    document = {**audit, "differences": list(differences)} if differences else audit
    if not audit["balanced"]:
        raise RuleRefused("unbalanced", "the ledger does not balance:\n" + "\n".join(differences), document)
    if as_json:
        print_json(document)
    else:
        print_table("balanced", ["", "stamps"], [[key, audit[key]] for key in audit if key != "balanced"])


@ledger.command("migrate")
@json_option
@click.pass_context
def ledger_migrate(context: click.Context, as_json: bool) -> None:
    """Bring the ledger's schema up to date. Harmless when it is.

    Example:  pennyred ledger migrate
    """
    applied = run_async(migrate_ledger(office_settings(context).ledger))
    if as_json:
        print_json({"applied": applied})
    else:
        click.echo(f"applied: {', '.join(map(str, applied))}" if applied else "up to date")


@ledger.command("copy")
@click.argument("source", type=typed.plain, metavar="FROM")
@click.argument("target", type=typed.plain, metavar="TO")
@click.option("--trial", is_flag=True, help="Copy and compare only: FROM goes on being the ledger.")
@json_option
def ledger_copy(source: str, target: str, *, trial: bool, as_json: bool) -> None:
    """Move a ledger from SQLite to PostgreSQL. FROM is a file of SQLite's, TO an empty database of PostgreSQL's.

    Mail waits meanwhile. Both are audited and compared; then FROM is sealed, and nobody can write in it any more. When
    it says so, set office.ledger to TO and start the services again.

    Example:  pennyred ledger copy sqlite:///ledger.db postgresql://pennyred@db.example.org/pennyred
    """
    path, url = from_and_to(source, target, "ledger")
    try:
        with progress("copying", 1, is_quiet=as_json) as show:
            run_async(_moved(path, url, note=show, is_trial=trial))
    except NotEmpty as error:
        raise RuleRefused("not-empty", str(error)) from error
    except NotTheSame as error:
        raise RuleRefused("not-the-same", f"the copy differs; FROM is still the ledger\n{error}") from error
    if as_json:
        print_json({"copied": True, "sealed": not trial})
    elif trial:
        click.echo("the copy is the same to the stamp; FROM is still the ledger")
    else:
        click.echo(
            f"the copy is the same to the stamp; {path} is sealed: set office.ledger to the address of TO, as you have"
            " typed it, and start the services"
        )


async def _moved(path: Path, url: str, *, note: Note, is_trial: bool) -> None:
    async with at_rest(path):
        await move(path, url, now=clock(), note=note, is_trial=is_trial)


@ledger.command("backup")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_context
def ledger_backup(context: click.Context, target: Path, *, as_json: bool) -> None:
    """Copy the ledger into FILE while it is used, and audit the copy. FILE must not exist.

    For a ledger in SQLite; PostgreSQL has its own: pg_basebackup and WAL archiving, or pg_dump.

    Example:  pennyred ledger backup /var/backups/ledger-2026-11-23.db
    """
    source = _file_of(context)
    with _copying(as_json=as_json) as show:
        run_async(spill(source))
        back_up(source, target, note=show)
    _told(target, run_async(audit_ledger(target)), "saved", as_json=as_json)


@ledger.command("restore")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@click.pass_context
def ledger_restore(context: click.Context, source: Path, *, as_json: bool) -> None:
    """Put a backup where the settings have the ledger, and audit it. Stop `serve`, and move what is there away, first.

    The ledger is then as it was at the backup: vouchers redeemed and stamps settled since may be used again, accounts
    closed since are open. Restore only where the ledger itself is lost. What the office signs from then on says so.

    Example:  pennyred ledger restore /var/backups/ledger-2026-11-23.db
    """
    target = _file_of(context)
    with _copying(as_json=as_json) as show, owned(target):
        back_up(source, target, note=show, prepare=lambda copy: _begin_anew(copy, source))
    _told(target, run_async(audit_ledger(target)), "restored", as_json=as_json)


def _begin_anew(copy: Path, source: Path) -> None:
    """Raise `RuleRefused` if the backup does not balance."""
    found = begin_anew(copy, os.urandom(EPOCH_ID_BYTES), now=clock())
    if not found.balanced:
        raise RuleRefused("unbalanced", f"{source} does not balance; nothing was restored", asdict(found))


@ledger.command("restored")
@json_option
@click.pass_context
def ledger_restored(context: click.Context, *, as_json: bool) -> None:
    """Say that the ledger was put back to an earlier moment. This is for other means than `ledger restore`.

    After PostgreSQL's point-in-time recovery, a dump or a snapshot that was put back: run it once, before `serve`.
    What was signed since that moment is lost, and its numbers come again; so a new epoch begins, which receipts and
    totals name.

    Example:  pennyred ledger restored
    """
    head = run_async(_begun(office_settings(context).ledger))
    epoch = head.epochs[-1]
    with telling():
        if as_json:
            print_json({"epoch": len(head.epochs), "follows": epoch.follows, "id": epoch.id.hex()})
        else:
            click.echo(f"epoch {len(head.epochs)} begins behind batch {epoch.follows}; start the services")


async def _begun(database: Path | str) -> BatchHead:
    ledger = await open_ledger(database)
    try:
        return await ledger.begin_epoch(os.urandom(EPOCH_ID_BYTES), now=clock())
    finally:
        await ledger.close()


@contextmanager
def _copying(*, as_json: bool) -> Iterator[Callable[[float], object]]:
    """Show a progress bar while copying; raises `RuleRefused` if the target file exists."""
    try:
        with progress("copying", 1, is_quiet=as_json) as show:
            yield show
    except FileExistsError as error:
        raise RuleRefused("exists", str(error)) from error


def _told(path: Path, audit: Audit, verb: str, *, as_json: bool) -> None:
    if not audit.balanced:
        raise RuleRefused("unbalanced", f"{verb}, but {path} does not balance", asdict(audit))
    if as_json:
        print_json({verb: str(path), "balanced": True})
    else:
        click.echo(f"{verb}: {path}, {audit.outstanding} stamps outstanding; its books balance")


def _file_of(context: click.Context) -> Path:
    """The ledger's file by the settings; raises `UsageError` if the ledger is in PostgreSQL."""
    database = office_settings(context).ledger
    if not isinstance(database, Path):
        raise click.UsageError(
            "the ledger is PostgreSQL's: use pg_basebackup with WAL archiving, or pg_dump, and after a recovery"
            " `pennyred ledger restored` (pennyred help offices)"
        )
    return database

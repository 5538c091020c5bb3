"""Commands that set up an installation and check it: init, check, dns."""

import os
from pathlib import Path
from typing import Any

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import TEMPFAIL, USAGE, json_option, office_settings, print_json, run_async, settings_of
from pennyred.config import BadSettings, Complaint, parse_settings
from pennyred.office.keys import add_key
from pennyred.office.ledger.sqlite.backup import companions
from pennyred.programs.checks.hints import all_hints
from pennyred.programs.checks.probes import all_complaints
from pennyred.programs.ledger.opening import migrate
from pennyred.programs.published import gate_records, office_records, zone_line
from pennyred.programs.template import settings_text
from pennyred.storage import private


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--domain",
    type=typed.plain,
    default="post.example.org",
    show_default=True,
    help="The office's domain: the issuer's name.",
)
@click.option(
    "--hostname",
    type=typed.plain,
    default="mx.example.org",
    show_default=True,
    help="What the gate calls itself: the MX.",
)
@click.option(
    "--upstream",
    type=typed.plain,
    default="smtp://127.0.0.1:10025",
    show_default=True,
    help="The mail server behind the gate.",
)
@click.option(
    "--mail-for",
    "mail_for",
    type=typed.plain,
    multiple=True,
    metavar="D",
    help="A domain whose mail this is; may be given several times.",
)
@json_option
def init(folder: Path, domain: str, hostname: str, upstream: str, mail_for: tuple[str, ...], as_json: bool) -> None:
    """Begin: write settings, keys and a ledger into DIR. That is pennyred.toml, the keys of office and gates and an
    empty ledger; nothing is overwritten.

    Example:  pennyred init /etc/pennyred --domain post.example.org --hostname mx.example.org --mail-for example.org
    """
    file = folder / "pennyred.toml"
    text = settings_text(domain=domain, hostname=hostname, upstream=upstream, mail_for=mail_for)
    settings = parse_settings(text, file)
    assert settings.office is not None
    assert settings.gate is not None
    assert settings.gate.pass_key is not None
    ledger = settings.office.ledger
    assert isinstance(ledger, Path)
    paths = [file, settings.office.signing_key, settings.gate.pass_key, ledger]
    # SQLite's files beside a ledger may be all that is left of an old one: a new ledger would absorb or delete them.
    if existing := [path for path in (*paths, *companions(ledger)) if os.path.lexists(path)]:
        raise BadSettings(
            [Complaint(str(path), "", "exists already", "nothing there: init overwrites nothing") for path in existing]
        )
    private.make_folder(folder)
    add_key(settings.office.signing_key, os.urandom(32))
    private.write_new(settings.gate.pass_key, os.urandom(32).hex().encode() + b"\n")
    run_async(migrate(ledger))
    private.write_new(file, text.encode())
    if as_json:
        print_json({"files": [str(path) for path in paths]})
        return
    click.echo("written: " + ", ".join(str(path) for path in paths))
    click.echo(f"next: edit {file}, then  pennyred --config {file} check")


@click.command()
@json_option
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Check the settings, and probe what they name. Files, ledger, mail server and DNS are asked; all complaints
    come at once.

    The mail server is asked for a foreign recipient as a stranger would, and nothing is sent: behind a gate that tells
    it nothing, it would take everybody for a neighbour and be an open relay. A hint is no complaint: think of it once.

    Exit status 2 if something is wrong that somebody has to mend, 75 if only what is asked does not answer just now
    (with --json: "later"), 0 if all is well.

    Example:  pennyred --config /etc/pennyred/pennyred.toml check
    """
    hints: list[Complaint] = []
    try:
        settings = settings_of(context)
        complaints = run_async(all_complaints(settings))
        hints = run_async(all_hints(settings))
    except BadSettings as bad:
        complaints = bad.complaints
    if as_json:
        print_json({"complaints": _shown(complaints), "hints": _shown(hints)})
    else:
        click.echo("\n".join(map(str, complaints)) or "all is well")
        for hint in hints:
            click.echo(f"hint: {hint}")
    if complaints:
        context.exit(TEMPFAIL if all(one.is_later for one in complaints) else USAGE)


def _shown(complaints: list[Complaint]) -> list[dict[str, Any]]:
    return [
        {"file": one.file, "key": one.key, "what": one.what, "expected": one.expected, "later": one.is_later}
        for one in complaints
    ]


@click.command()
@json_option
@click.pass_context
def dns(context: click.Context, as_json: bool) -> None:
    """Print the TXT records to publish in DNS. By an office's, others can verify its stamps; by a gate's, senders know
    before they send which postage its domains ask for. There is a record for each of `[gate] domains`; where none are
    set, DOMAIN stands for each domain whose mail this is.

    Example:  pennyred dns
    """
    settings = settings_of(context)
    records = gate_records(settings.gate) if settings.gate else []
    if settings.office or not records:
        records = office_records(office_settings(context)) + records
    if as_json:
        print_json({"records": [{"name": name, "type": "TXT", "text": text} for name, text in records]})
    else:
        for name, text in records:
            click.echo(zone_line(name, text))

"""The command that tells what passed, what was refused, and what would have been, by rule: report."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import click

from pennyred.cli.common import RuleRefused, json_option, print_json, printable, settings_of
from pennyred.config import BadSettings, Complaint, GateSettings
from pennyred.days import utc_day
from pennyred.gate.memory.figures import DAYS_KEPT, read_database
from pennyred.gate.reporting import Report, report_of
from pennyred.gate.rules.figures import Recorded
from pennyred.programs.clock import clock

PLOT_FORMATS = (".svg", ".png")


@click.command()
@click.option(
    "--days", type=click.IntRange(1, DAYS_KEPT), default=7, show_default=True, help="UTC days, today the last of them."
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw it, too, as FILE.svg or FILE.png; needs matplotlib.",
)
@json_option
@click.pass_context
def report(context: click.Context, days: int, plot: Path | None, as_json: bool) -> None:
    """Tell what passed the gate and what was refused. Also what would have been refused; by rule, day and source.

    Read it in mode "monitor" before you refuse anything: it says what modes "bulk" and "require" would have turned
    away, and whose mail that was. All numbers are recipients, and a letter that comes again counts again. Needs no
    running gate and disturbs none; the last seconds may be missing.

    Example:  pennyred report --days 30 --plot july.svg
    """
    if plot is not None:
        _require_plotting(plot)
    told = report_of(_recorded(_gate(context), days))
    if plot is not None:
        from pennyred.cli.reporting.plot import draw  # noqa: PLC0415 - brings matplotlib, which is large and may not be there

        draw(told, plot)
    if as_json:
        print_json(_document(told))
        return
    from pennyred.cli.reporting.text import print_report  # noqa: PLC0415 - brings rich, slow to load and not for --json

    print_report(told)
    if plot is not None:
        click.echo(f"drawn: {printable(str(plot))}")


_DRAWN = b"Penny Red"
"""Stands near the beginning of each picture that `reporting.plot` draws."""
_DRAWN_WITHIN_BYTES = 4096


def _require_plotting(plot: Path) -> None:
    if plot.suffix.lower() not in PLOT_FORMATS:
        raise click.UsageError(f"--plot draws FILE.svg or FILE.png, not {printable(str(plot))!r}")
    if importlib.util.find_spec("matplotlib") is None:
        pip = Path(sys.executable).with_name("pip")
        raise click.UsageError(f"--plot needs matplotlib, which is not installed:  {pip} install matplotlib")
    if plot.is_file() and not _is_drawn_here(plot):
        raise RuleRefused("exists", f"{printable(str(plot))} is there already, and was not drawn by this command")


def _is_drawn_here(plot: Path) -> bool:
    """Whether a picture may be overwritten: an empty file, or one that this command has drawn."""
    with plot.open("rb") as opened:
        head = opened.read(_DRAWN_WITHIN_BYTES)
    return not head or _DRAWN in head


def _gate(context: click.Context) -> GateSettings:
    settings = settings_of(context)
    if settings.gate is None:
        raise BadSettings([Complaint(str(settings.file), "gate", "missing", "a [gate] table: only a gate counts mail")])
    return settings.gate


def _recorded(gate: GateSettings, days: int) -> Recorded:
    today = utc_day(clock())
    return read_database(gate.state, today - days + 1, today)


def _document(told: Report) -> dict[str, Any]:
    """The report as a JSON document."""
    return {
        "from": told.since,
        "to": told.until,
        "modes": [mode.value for mode in told.modes],
        "letters": told.letters,
        "recipients": told.recipients,
        "outcomes": [
            {"outcome": outcome.value, "reason": reason.value, "recipients": number}
            for outcome, reason, number in told.outcomes
        ],
        "would_refuse": {judged.mode.value: judged.refused for judged in (told.bulk, told.require)},
        "not_known": {judged.mode.value: judged.unknown for judged in (told.bulk, told.require)},
        "altered": {
            "recipients": told.altered.recipients,
            "refused_by_reject": told.altered.refused_by_reject,
            "rows": [
                {
                    "row": row.value,
                    "accept": row.reason.value,
                    "reject": row.strict_reason.value,
                    "outcome": outcome.value,
                    "recipients": number,
                }
                for row, outcome, number in told.altered.outcomes
            ],
        },
        "sources": [one._asdict() for one in told.recorded.sources],
        "days": [
            {
                "day": day.date,
                "accepted": day.accepted,
                "refused": day.refused,
                "deferred": day.deferred,
                "would_refuse_bulk": day.would_refuse_bulk,
                "would_refuse_require": day.would_refuse_require,
            }
            for day in told.days
        ],
    }

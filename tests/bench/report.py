"""What was measured, as tables for people and as JSON for programs."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .contestants import Gate, Nothing, PostfixProxy
from .figures import MEASURES, Figures

OURS, PEER, LIMIT = Gate.name, PostfixProxy.name, Nothing.name


def machine() -> dict[str, str | int]:
    """What it was measured on, as far as that can be told."""
    return {"cores": os.cpu_count() or 0, "kernel": platform.release(), "python": platform.python_version()}


def loads_table(console: Console, figures: Figures, name: str) -> None:
    """One measure: a line a load, a column a contestant, and the gate beside each of the others."""
    measure = MEASURES[name]
    others = [one for one in figures.contestants if one not in (OURS, LIMIT)]
    shown = figures.contestants if name == "letters a second" else [*others, OURS]
    table = Table("", *shown, *(f"gate / {one}" for one in others), title=name)
    for column in table.columns[1:]:
        column.justify = "right"
    for load in figures.loads:
        medians = [_short(figures.median(measure, one, load)) for one in shown]
        ratios = [f"{figures.ratio(measure, OURS, one, load):.2f}" for one in others]
        table.add_row(str(load), *medians, *ratios)
    console.print(table)


def shares_table(console: Console, figures: Figures) -> None:
    """How much of the machine's time the measuring itself took: CPU milliseconds a letter, through nothing."""
    table = Table("", "generator", "sink", title="CPU ms a letter of what is around all contestants")
    for load in figures.loads:
        generator = figures.median(lambda turn: turn.sent.generator_cpu_ms / turn.sent.letters, LIMIT, load)
        sink = figures.median(lambda turn: turn.sink_cpu_ms / turn.sent.letters, LIMIT, load)
        table.add_row(str(load), _short(generator), _short(sink))
    console.print(table)


def write_json(path: Path, figures: Figures, crowd: Figures, added: Sequence[Any], left_out: dict[str, str]) -> None:
    """Every turn as it was, and where."""
    document = {
        "machine": machine(),
        "left_out": left_out,
        "turns": [asdict(turn) for turn in (*figures.turns, *crowd.turns)],
        "latency": [asdict(one) for one in added],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"

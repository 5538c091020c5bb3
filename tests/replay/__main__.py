"""`python -m tests.replay [--letters]`: the week in each mode, and what `pennyred report` says of it."""

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from .cast import cast
from .stage import Stage
from .week import Decision, make_rules, replay

RUNS = (("monitor", False), ("monitor", True), ("bulk", True), ("require", True))
"""In the order of an administrator who is careful: first nothing is known of what is wanted."""


def main() -> None:
    """Print the reports."""
    parts = cast()
    for mode, has_rules in RUNS:
        with tempfile.TemporaryDirectory() as folder, Stage(Path(folder) / "stage", mode, parts) as stage:
            if has_rules:
                make_rules(stage)
            decisions = replay(stage)
            print(f"\n{mode}, {'with' if has_rules else 'without'} rules for what is wanted\n")
            print("\n".join(letter_by_letter(decisions) if "--letters" in sys.argv else decided(decisions)), flush=True)
            stage.close_for_the_day()
            subprocess.run(
                [sys.executable, "-m", "pennyred", "--config", str(stage.town.settings), "report"], check=True
            )


def letter_by_letter(decisions: list[Decision]) -> list[str]:
    """Every decision with its rule."""
    return [
        f"{one.part.day} {one.part.name} {one.part.role}: {one.part.sender} to {one.part.recipient}: {one.code} {one.reason}"
        for one in decisions
    ]


def decided(decisions: list[Decision]) -> list[str]:
    """Who was let in or refused, and by which rule."""
    counted = Counter((one.part.role.value, one.code, one.reason) for one in decisions)
    return [f"{role:14} {code} {reason:18} {count:4}" for (role, code, reason), count in sorted(counted.items())]


if __name__ == "__main__":
    main()

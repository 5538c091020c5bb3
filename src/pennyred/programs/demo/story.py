"""What the demo prints: each step with what was expected and what was seen, and a table at the end."""

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

_MARKS, _PLAIN_MARKS = ("✓", "✗"), ("ok", "NOT SO")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the demo: what was done, expected and seen."""

    what: str
    expected: str
    seen: str
    has_held: bool
    letters: int
    """How many letters this step has delivered."""
    cents: int
    """How many cents were charged for it."""


@dataclass(slots=True)
class Story:
    """The steps so far; each is printed when it happens."""

    console: Console
    steps: list[Step] = field(default_factory=list)

    @property
    def has_held(self) -> bool:
        """Whether all steps went as expected."""
        return bool(self.steps) and all(step.has_held for step in self.steps)

    def say(self, text: str) -> None:
        """Print a line between steps."""
        self.console.print(f"[dim]{text}[/dim]")

    def tell(self, step: Step) -> None:
        """Add a step and print it."""
        self.steps.append(step)
        held, failed = _MARKS if self.console.encoding.startswith("utf") else _PLAIN_MARKS
        mark = f"[green]{held}[/green]" if step.has_held else f"[bold red]{failed}[/bold red]"
        self.console.print(f"{mark} [bold]{step.what}[/bold]")
        self.console.print(f"    expected  {step.expected}", markup=False, highlight=False, style="dim")
        self.console.print(f"    seen      {step.seen}", markup=False, highlight=False)

    def end(self, totals: dict[str, Any]) -> None:
        """Print the table of what happened and what it cost."""
        table = Table(title="What happened, and what it cost", title_justify="left")
        table.add_column("step")
        table.add_column("delivered", justify="right")
        table.add_column("cents", justify="right")
        for step in self.steps:
            table.add_row(step.what, str(step.letters) if step.letters else "-", str(step.cents) if step.cents else "-")
        self.console.print()
        self.console.print(table)
        self.console.print("  ".join(f"{key} {value}" for key, value in totals.items()), highlight=False)
        verdict = "[green]everything held[/green]" if self.has_held else "[bold red]something did not hold[/bold red]"
        self.console.print(verdict)

    def document(self) -> dict[str, Any]:
        """The story as a document, for --json."""
        steps = [
            {
                "step": step.what,
                "expected": step.expected,
                "seen": step.seen,
                "held": step.has_held,
                "delivered": step.letters,
                "cents": step.cents,
            }
            for step in self.steps
        ]
        return {"held": self.has_held, "steps": steps}

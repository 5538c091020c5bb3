"""How the rate holds from one client to hundreds at once: each with a kept connection, letters of 4 KiB."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from .figures import MEASURES, Figures
from .load import Load
from .turns import Field

CLIENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_KIB = 4


def measure(
    everybody: Field, clients: Sequence[int], rounds: int, letters: int, seconds: float, done: Callable[[], None]
) -> Figures:
    """Rounds of all contestants with so many clients each."""
    figures = Figures()
    for _ in range(rounds):
        for count in clients:
            figures.turns += everybody.round(Load(_KIB, True, count), letters, seconds, done)
    return figures


def show(console: Console, figures: Figures) -> None:
    """A line for each number of clients."""
    table = Table("clients", *figures.contestants, title="letters a second, 4 KiB, kept connections")
    for load in figures.loads:
        rates = [figures.median(MEASURES["letters a second"], one, load) for one in figures.contestants]
        table.add_row(str(load.clients), *(f"{rate:.0f}" for rate in rates))
    console.print(table)

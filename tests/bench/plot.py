"""The figures as one picture, for people who would rather look than read."""

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

from .figures import MEASURES, Figures
from .latency import PERCENTS, Added


def draw(path: Path, figures: Figures, crowd: Figures, added: list[Added]) -> None:
    """Rates of all loads, rates by clients, milliseconds added; the file's ending says the format."""
    picture, (loads, clients, waits) = plt.subplots(1, 3, figsize=(16, 5), layout="constrained")
    rate = MEASURES["letters a second"]
    width = 0.8 / max(1, len(figures.contestants))
    for place, name in enumerate(figures.contestants):
        heights = [figures.median(rate, name, load) for load in figures.loads]
        loads.bar([number + place * width for number in range(len(heights))], heights, width, label=name)
    loads.set_xticks(range(len(figures.loads)), [str(load) for load in figures.loads], rotation=20)
    loads.set(title="letters a second", yscale="log")
    loads.legend()
    for name in crowd.contestants:
        by_clients = [(load.clients, crowd.median(rate, name, load)) for load in crowd.loads]
        clients.plot(*zip(*by_clients, strict=True), marker="o", label=name)
    clients.set(title="letters a second, 4 KiB", xlabel="clients at once", xscale="log", ylim=(0, None))
    clients.legend()
    for percent in PERCENTS:
        names = [f"{one.contestant}\n{one.load.kib} KiB" for one in added]
        waits.plot(names, [one.added[percent] for one in added], "o", label=f"p{percent}")
    waits.set(title="milliseconds added at half of the limit")
    waits.tick_params("x", rotation=60)
    waits.legend()
    picture.savefig(path)

"""Draw a report as one picture: mail by outcome for each day, the most refused sources, and what stricter modes refuse.

The same figures make the same file, octet for octet, with the same version of matplotlib.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pennyred.cli.reporting.text import SOURCES_SHOWN, number, percent, title, would_refuse
from pennyred.gate.reporting import Group, Judged, Report

# Okabe and Ito's colours, which people with any kind of colour blindness can tell apart.
_BLUE, _SKY, _GREEN, _ORANGE, _VERMILION, _PURPLE = "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7"
_GREY, _LIGHT_GREY = "#7F7F7F", "#C8C8C8"
_COLOURS = {
    Group.FREE: _BLUE,
    Group.STAMPED: _GREEN,
    Group.DUE: _ORANGE,
    Group.UNJUDGED: _LIGHT_GREY,
    Group.DUPLICATE: _SKY,
    Group.REFUSED: _VERMILION,
    Group.DEFERRED: _GREY,
    Group.REFUSED_UPSTREAM: _PURPLE,
    Group.DEFERRED_UPSTREAM: "#3F3F3F",
}
_OF_MODES = (_BLUE, _VERMILION, _LIGHT_GREY)
"""The colours for what passes, what is refused, and what is not known."""
_STYLE: Any = {
    "svg.hashsalt": "pennyred",  # else the ids inside an SVG are random
    "svg.fonttype": "none",  # text stays text, which can be searched and read aloud
    "text.parse_math": False,  # a dollar in a stranger's name is no formula
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
_DAYS_NAMED_MAX = 9
_NAME_SHOWN_MAX = 40


def draw(told: Report, file: Path) -> None:
    """Draw a report into a file; its ending (.svg, .png) is the format. Raises OSError if it cannot be written."""
    with mpl.rc_context(_STYLE):
        picture = Figure(figsize=(12, 8.5), layout=ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.15), facecolor="white")
        picture.suptitle(title(told), fontsize=14, fontweight="bold", x=0.012, ha="left")
        panels = picture.subplot_mosaic([["days", "days"], ["sources", "modes"]], height_ratios=(1.15, 1))
        _days(panels["days"], told)
        _sources(panels["sources"], told)
        _modes(panels["modes"], told)
        picture.savefig(file, format=file.suffix[1:].lower(), dpi=120, metadata=_metadata(told, file))


def _metadata(told: Report, file: Path) -> dict[str, Any]:
    """The picture's metadata: a description for those who cannot see it, and no date."""
    words = f"{number(told.letters, 'letter')} to {number(told.recipients, 'recipient')}."
    if told.recipients:
        words += f" {would_refuse(told, told.require)} {would_refuse(told, told.bulk)}"
    if file.suffix.lower() == ".png":
        return {"Title": title(told), "Description": words, "Software": "Penny Red"}
    return {"Title": title(told), "Description": words, "Creator": "Penny Red", "Date": None}


def _days(axes: Axes, told: Report) -> None:
    """Draw the recipients by outcome: a stacked bar for each day."""
    axes.set_title("Recipients by outcome, day by day")
    days = told.days_counted
    if not days:
        _say_nothing(axes)
        return
    places = range(len(days))
    floor = [0] * len(days)
    for group, total, _ in told.groups:
        heights = [day.groups.get(group, 0) for day in days]
        axes.bar(places, heights, 0.8, bottom=floor, color=_COLOURS[group], label=f"{group.value}: {total:,}")
        floor = [low + height for low, height in zip(floor, heights, strict=True)]
    step = -(-len(days) // _DAYS_NAMED_MAX)
    axes.set_xticks(places[::step], [day.date for day in days[::step]])
    # Else a single bar would be as wide as the whole picture.
    axes.set_xlim(-0.6, max(len(days), 4) - 0.4)
    axes.set_ylabel("recipients")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_formatter(_thousands())
    axes.grid(axis="y", color="#E5E5E5")
    axes.legend(loc="upper left", bbox_to_anchor=(-0.01, -0.08), ncols=3)


def _sources(axes: Axes, told: Report) -> None:
    """Draw the sources that were refused most, or would have been."""
    axes.set_title("Most refused sources")
    shown = told.recorded.sources[:SOURCES_SHOWN]
    if not shown:
        _say_nothing(axes, "nobody was refused, nor would have been")
        return
    places = range(len(shown))
    refused = [one.refused for one in shown]
    would = [one.would_refuse for one in shown]
    axes.barh(places, refused, color=_VERMILION)
    axes.barh(places, would, left=refused, color=_ORANGE)
    for place, one in enumerate(shown):
        axes.annotate(f"{one.refused + one.would_refuse:,}", (one.refused + one.would_refuse, place), **_BESIDE)
    axes.set_yticks(places, [_shown(one.source) for one in shown])
    axes.set_ylim(max(len(shown), 5) - 0.4, -0.6)  # the first on top
    _bare_numbers(axes, max(one.refused + one.would_refuse for one in shown))
    colours = [(_VERMILION, "refused")] * any(refused) + [(_ORANGE, 'would be in mode "require"')] * any(would)
    axes.legend(handles=[Patch(color=colour, label=label) for colour, label in colours], loc="lower right")


def _modes(axes: Axes, told: Report) -> None:
    """Draw what the two stricter modes would have refused, beside what passed."""
    axes.set_title("What each mode refuses, or would have refused")
    both = (told.bulk, told.require)
    if not told.recipients:
        _say_nothing(axes)
        return
    for place, judged in enumerate(both):
        left = 0
        for width, colour in zip(_widths(judged), _OF_MODES, strict=True):
            axes.barh(place, width, 0.5, left=left, color=colour)
            left += width
        axes.text(0, place - 0.32, _share(judged), va="bottom")
    axes.set_yticks(range(len(both)), [judged.mode.value for judged in both])
    axes.set_ylim(2.0, -0.75)
    _bare_numbers(axes, told.recipients)
    sums = (sum(numbers) for numbers in zip(*map(_widths, both), strict=True))
    named = zip(("passes", "refused", "not known"), _OF_MODES, sums, strict=True)
    handles = [Patch(color=colour, label=name) for name, colour, total in named if total]
    axes.legend(handles=handles, loc="lower left", ncols=3)


_BESIDE: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}


def _widths(judged: Judged) -> tuple[int, int, int]:
    return judged.passed, judged.refused, judged.unknown


def _share(judged: Judged) -> str:
    if not judged.known:
        return "not known"
    said = f"{judged.refused:,} of {judged.known:,} refused ({percent(judged.refused, judged.known)})"
    return said + (f", {judged.unknown:,} not known" if judged.unknown else "")


def _bare_numbers(axes: Axes, longest: int) -> None:
    """Label the x axis with numbers of recipients, with room for the text beside the longest bar."""
    axes.set_xlabel("recipients")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(_thousands())
    axes.set_xlim(0, 1.15 * max(1, longest))
    axes.grid(axis="x", color="#E5E5E5")


def _thousands() -> FuncFormatter:
    return FuncFormatter(lambda value, _: f"{value:,.0f}")


def _say_nothing(axes: Axes, words: str = "nothing was recorded") -> None:
    axes.text(0.5, 0.5, words, ha="center", va="center", color=_GREY, transform=axes.transAxes)
    axes.set_axis_off()


def _shown(name: str) -> str:
    """A name in ASCII, which every font has, cut to the width of the panel."""
    plain = name.encode("ascii", "backslashreplace").decode()
    return plain if len(plain) <= _NAME_SHOWN_MAX else plain[: _NAME_SHOWN_MAX - 3] + "..."

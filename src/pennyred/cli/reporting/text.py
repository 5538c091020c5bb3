"""Print a report for people, in a terminal or a mail from cron."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pennyred.cli.common import printable
from pennyred.gate.reporting import Altered, DayFigures, Group, Judged, Report
from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.figures import SourceTotal
from pennyred.postage.alteration import Row

SOURCES_SHOWN = 10
REASONS_SHOWN = 3
BAR_WIDTH = 24
_COLOURS = {
    Group.FREE: "green",
    Group.STAMPED: "green",
    Group.DUPLICATE: "green",
    Group.DUE: "yellow",
    Group.REFUSED: "red",
    Group.REFUSED_UPSTREAM: "magenta",
}
# Shapes differ as well as colours: not everybody sees colours, and a mail has none.
_SHAPES, _PLAIN_SHAPES = "█▓░·", "#=-."
_SEGMENTS = (("green", "passed"), ("yellow", 'passed, but not in mode "require"'), ("red", "refused"), ("", "deferred"))


_ROWS = {
    Row.OTHER_AUTHOR: "another author, or not exactly one",
    Row.UNALTERED: "nothing altered",
    Row.SAME_TEXT: "the same text; altered in nothing that a thief could use",
    Row.SUBJECT_PROVEN: "another Subject or Reply-To, author proven",
    Row.SUBJECT_UNKNOWN: "the same, but DNS could not say of whom",
    Row.SUBJECT_UNPROVEN: "the same, author not proven",
    Row.OTHER_LETTER: "another letter by all signs",
    Row.BODY_PROVEN: "another text, author proven",
    Row.BODY_UNKNOWN: "the same, but DNS could not say of whom",
    Row.BODY_UNPROVEN: "the same, author not proven",
}


def print_report(told: Report) -> None:
    """Print the whole report on standard output."""
    # The names that strangers give themselves must not be read as markup or emoji.
    console = Console(markup=False, emoji=False, highlight=False)
    if not told.recipients:
        console.print(_nothing(told))
        return
    console.print(_heading(told), end="\n\n")
    console.print(_outcomes(told))
    for judged in (told.require, told.bulk):
        console.print(would_refuse(told, judged), end="\n\n")
    if Mode.MONITOR in told.modes and any(group is Group.STAMPED for group, _, _ in told.groups):
        console.print(
            'In mode "monitor" no post office is asked: a stamp counts here if it holds by itself, though it may have'
            " been spent, or its sender's balance be empty.",
            end="\n\n",
        )
    if told.altered.rows:
        console.print(_altered(told.altered))
        console.print(altered_by_reject(told.altered), end="\n\n")
    if told.recorded.sources:
        console.print(_sources(told.recorded.sources, console.encoding))
    console.print(_days(told, console))


def _nothing(told: Report) -> str:
    return (
        f"Nothing was recorded from {told.since} to {told.until} (UTC).\n"
        "A running gate counts the mail that passes it: start one (pennyred serve), let some mail come, look again.\n"
        "If one was running earlier, look further back: pennyred report --days 92"
    )


def _heading(told: Report) -> Text:
    counted = told.days_counted[0].date
    heading = Text(f"{title(told)}\n", style="bold")
    heading.append(f"{number(told.letters, 'letter')} to {number(told.recipients, 'recipient')}", style="not bold")
    heading.append("; a letter that comes again counts again", style="not bold")
    if counted != told.since:
        heading.append(f"\nNothing was counted before {counted}.", style="not bold")
    return heading


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def _outcomes(told: Report) -> Table:
    table = _table("What became of it, by rule")
    table.add_column("rule", no_wrap=True)
    table.add_column("in words")
    table.add_column("recipients", justify="right")
    table.add_column("share", justify="right")
    for group, total, rules in told.groups:
        share = percent(total, told.recipients)
        table.add_row(Text(group.value), "", f"{total:,}", share, style=f"bold {_COLOURS.get(group, '')}".strip())
        for place, (reason, recipients) in enumerate(rules):
            cells = f"  {reason.value}", reason.sentence, f"{recipients:,}", percent(recipients, told.recipients)
            table.add_row(*cells, end_section=place == len(rules) - 1)
    return table


def would_refuse(told: Report, judged: Judged) -> str:
    """One sentence about what a mode has refused, or would have refused."""
    mode = judged.mode.value
    if not judged.known:
        return f"Had the mode been {mode}: what it would have refused is not known."
    share = f"{judged.refused:,} of {number(judged.known, 'recipient')} ({percent(judged.refused, judged.known)})"
    if told.modes == (judged.mode,):
        said = f"As the mode was {mode}: {share} {_were(judged.refused)} refused"
    else:
        said = f"Had the mode been {mode}: {share} would have been refused"
    if judged.reasons:
        shown = [f"{reason.value} {recipients:,}" for reason, recipients in judged.reasons[:REASONS_SHOWN]]
        said += f": {', '.join(shown)}" + (", ..." if len(judged.reasons) > REASONS_SHOWN else "")
    if judged.refused_upstream:
        said += f"; the mail server refused {judged.refused_upstream:,} of them by itself"
    return said + (f"; of {judged.unknown:,} more it is not known." if judged.unknown else ".")


def _altered(told: Altered) -> Table:
    table = _table("Stamped letters, by what was altered on the way")
    table.add_column("row", no_wrap=True)
    table.add_column("in words")
    table.add_column('by "accept"')
    table.add_column('by "reject"')
    table.add_column("recipients", justify="right")
    for row, recipients in told.rows:
        table.add_row(row.value, _ROWS[row], row.reason.value, row.strict_reason.value, f"{recipients:,}")
    return table


def altered_by_reject(told: Altered) -> str:
    """One sentence about what `altered_body = "reject"` refuses, or would have refused."""
    cost, whole = told.refused_by_reject, told.recipients
    share = f"{cost:,} of {number(whole, 'recipient')} ({percent(cost, whole)})"
    return f'altered_body = "reject" refuses {share} of them that "accept" lets in.'


def _sources(sources: tuple[SourceTotal, ...], encoding: str) -> Table:
    table = _table("Who was refused most, or would have been")
    table.add_column("source", overflow="fold")
    table.add_column("says it is", overflow="fold")
    table.add_column("refused", justify="right")
    table.add_column('would be by "require"', justify="right")
    for one in sources[:SOURCES_SHOWN]:
        names = _shown(one.source, encoding), _shown(one.sender_domain, encoding) or "-"
        table.add_row(*names, f"{one.refused:,}", f"{one.would_refuse:,}")
    return table


def _shown(name: str, encoding: str) -> str:
    """A stranger's name in characters that this terminal can show."""
    return printable(name).encode(encoding, "backslashreplace").decode(encoding)


def _days(told: Report, console: Console) -> Table:
    shapes = _SHAPES if console.encoding.startswith("utf") else _PLAIN_SHAPES
    days = told.days_counted
    longest = max(day.accepted + day.refused + day.deferred for day in days)
    table = _table("Day by day")
    table.caption, table.caption_justify = _legend(shapes), "left"
    for column in ("day (UTC)", "passed", "refused", "deferred"):
        table.add_column(column, justify="left" if column.startswith("day") else "right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for day in days:
        numbers = (f"{recipients:,}" for recipients in (day.accepted, day.refused, day.deferred))
        table.add_row(day.date, *numbers, _bar(day, longest, shapes))
    return table


def _bar(day: DayFigures, longest: int, shapes: str) -> Text:
    """The bar of one day, its length in proportion to the day with the most recipients (`longest`)."""
    bar = Text()
    sum_so_far = drawn = 0
    segments = (day.accepted - day.accepted_due, day.accepted_due, day.refused, day.deferred)
    for recipients, shape, (style, _) in zip(segments, shapes, _SEGMENTS, strict=True):
        sum_so_far += recipients
        until = round(BAR_WIDTH * sum_so_far / longest)
        bar.append(shape * (until - drawn), style=style)
        drawn = until
    return bar


def _legend(shapes: str) -> Text:
    legend = Text(style="not italic not dim")
    for shape, (style, words) in zip(shapes, _SEGMENTS, strict=True):
        legend.append(f"{shape} ", style=style).append(f"{words}  ")
    return legend


def title(told: Report) -> str:
    """The report's title: which days, and in which modes the gate was."""
    days = f"of {told.since}" if told.since == told.until else f"from {told.since} to {told.until}"
    modes = " and ".join(mode.value for mode in told.modes)
    return f"Mail {days} (UTC)" + (f", mode {modes}" if modes else "")


def number(count: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is 1."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def percent(part: int, whole: int) -> str:
    """A share in percent with one decimal; it is 0 or 100 only if that is exact."""
    if not part:
        return "0 %"
    share = 100 * part / whole
    if share < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if part < whole and share > 99.9 else f"{share:.1f} %"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"

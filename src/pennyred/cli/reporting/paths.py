"""Shows what a path has made of a probe: as a table and words, or as JSON."""

from dataclasses import asdict
from typing import Any

import click

from pennyred.cli.common import print_table, printable
from pennyred.http.probes import Advice, Arrival
from pennyred.sender.parsedletter import ParsedLetter
from pennyred.sender.probing import compared

NOT_ARRIVED = "not-arrived"


def document_of(base: dict[str, Any], letter: ParsedLetter | None, arrival: Arrival | None) -> dict[str, Any]:
    """What is told of one letter, for --json: `base` and what the mirror has found, compared with what was sent."""
    if arrival is None or letter is None:
        return base | {"verdict": NOT_ARRIVED, "reason": NOT_ARRIVED, "altered": [], "fields": [], "advice": []}
    parts = compared(letter, arrival)
    advice = list(arrival.advice)
    altered = [part.part for part in parts if part.finding == "altered"]
    if altered and not arrival.altered:
        advice.append(Advice("altered", f"Besides, the path alters: {', '.join(altered)}."))
    return base | {
        "verdict": arrival.verdict,
        "reason": arrival.reason,
        "sentence": arrival.sentence,
        "strict": arrival.strict,
        "row": arrival.row,
        "proven": arrival.proven,
        "proofs": arrival.proofs,
        "altered": arrival.altered or altered,
        "stamp": {"fields": arrival.stamp.fields, "stamps": arrival.stamp.stamps, "form": arrival.stamp.form},
        "at": arrival.at,
        "source": arrival.source,
        "fields": [asdict(part) for part in parts],
        "advice": [{"about": item.about, "text": item.text} for item in advice],
        "header": arrival.header,
    }


def show(told_of: dict[str, Any], *, err: bool) -> None:
    """Print what is told of one letter, for people."""

    def say(text: str) -> None:
        click.echo(printable(text), err=err)

    if told_of["verdict"] == NOT_ARRIVED:
        said = f" ({told_of['handed']})" if told_of["handed"] else ""
        say(f"{told_of['shape']}: not arrived{said}; its page: {told_of['page']}")
        return
    columns = ["part", "sent", "arrived", "finding"]
    rows = [[printable(part[column]) for column in columns] for part in told_of["fields"]]
    print_table(f"{told_of['shape']}, arrived from {printable(told_of['source'])}", columns, rows, err=err)
    takes = {"paid": "takes it", "later": "lets it wait"}.get(told_of["verdict"], "refuses it")
    strict = "" if told_of["strict"] == told_of["reason"] else f"; a strict one says {told_of['strict']}"
    say(f"A gate {takes}: {told_of['sentence']} ({told_of['reason']}){strict}")
    say(f"Author proven: {told_of['proven']} ({'; '.join(told_of['proofs'])})")
    for item in told_of["advice"]:
        about = f"{item['about']}: " if item["about"] else ""
        say(f"  {about}{item['text']}")
    say(f"  The header as received: {told_of['page']}")

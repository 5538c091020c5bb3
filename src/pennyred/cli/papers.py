"""The papers that are installed with the package: help."""

import sys

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import json_option, print_json, print_table
from pennyred.programs import papers


@click.command("help")
@click.argument("topic", type=typed.plain, required=False)
@json_option
def help_(topic: str | None, as_json: bool) -> None:
    """List the papers; with TOPIC, show one. They say how to run a gate, to send, to sell postage.

    What a single command does is told by  pennyred COMMAND --help.

    Example:  pennyred help running-a-gate
    """
    if topic is not None:
        text = papers.read(topic)
        if as_json:
            print_json({"topic": topic, "text": text})
        elif sys.stdout.isatty():
            click.echo_via_pager(text)
        else:
            click.echo(text, nl=False)
        return
    rows = [[one, papers.title(one)] for one in papers.topics()]
    if as_json:
        print_json({"topics": [{"topic": one, "title": title} for one, title in rows]})
    else:
        print_table("", ["topic", "what it tells"], rows)

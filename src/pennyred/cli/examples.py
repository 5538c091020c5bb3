"""The files that are installed with the package: examples."""

from pathlib import Path

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import json_option, print_json, print_table
from pennyred.programs import examples as files


@click.command()
@click.argument("name", type=typed.plain, required=False)
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="Write it there; nothing is overwritten.")
@json_option
def examples(name: str | None, to: Path | None, as_json: bool) -> None:
    """List the example files of config/; with NAME, print one. There are all settings, recipes for mail servers,
    services, alerts.

    Example:  pennyred examples postfix/gate-in-front.master.cf >> /etc/postfix/master.cf
    """
    if to is not None and name is None:
        raise click.UsageError("--to needs the NAME of a file; see  pennyred examples")
    if name is not None:
        text = files.read(name)
        if to is not None:
            with to.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
        if as_json:
            print_json({"name": name, "text": text})
        else:
            click.echo(text.encode(), nl=False)  # byte for byte, whatever charset the terminal has
        return
    rows = [[one, files.about(one)] for one in files.names()]
    if as_json:
        print_json({"examples": [{"name": one, "about": about} for one, about in rows]})
    else:
        print_table("", ["name", "what it is"], rows)

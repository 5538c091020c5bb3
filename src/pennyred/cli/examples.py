"""The files that are installed with the package: examples."""

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import json_option, print_json, print_table
from pennyred.programs import examples as files


@click.command()
@click.argument("name", type=typed.plain, required=False)
@json_option
def examples(name: str | None, as_json: bool) -> None:
    """List the files of config/: every setting, recipes for mail servers, services, alerts; with NAME, print one.

    Example:  pennyred examples postfix/gate-in-front.master.cf >> /etc/postfix/master.cf
    """
    if name is not None:
        text = files.read(name)
        if as_json:
            print_json({"name": name, "text": text})
        else:
            click.echo(text.encode(), nl=False)  # as the file is, whatever letters a terminal has
        return
    rows = [[one, files.about(one)] for one in files.names()]
    if as_json:
        print_json({"examples": [{"name": one, "about": about} for one, about in rows]})
    else:
        print_table("", ["name", "what it is"], rows)

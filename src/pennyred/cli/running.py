"""Commands that run the programs: serve, demo."""

import sys

import click

from pennyred.cli.common import json_option, print_json, settings_of


@click.command()
@click.option("--workers", type=click.IntRange(1, 64), help="Processes; before the setting [gate] workers.")
@json_option
@click.pass_context
def serve(context: click.Context, workers: int | None, as_json: bool) -> None:  # noqa: ARG001 - its log is JSON anyway
    """Run what the settings enable: gate, office, or both. On SIGTERM it finishes the letters in hand; on SIGHUP it
    rereads the settings.

    The log goes to standard error, a JSON line for each letter.

    Example:  pennyred --config /etc/pennyred/pennyred.toml serve
    """
    from pennyred.programs.serve import serve as run  # noqa: PLC0415 - only this command needs it

    sys.exit(run(settings_of(context), workers))


@click.command()
@json_option
def demo(as_json: bool) -> None:
    """Play the whole story on this machine, in seconds. Office, gate, mail server and sender run here; nothing is
    left behind.

    Example:  pennyred demo
    """
    from pennyred.programs.demo.demo import run_demo  # noqa: PLC0415

    story = run_demo(is_quiet=as_json)
    if as_json:
        print_json(story.document())
    sys.exit(0 if story.has_held else 1)

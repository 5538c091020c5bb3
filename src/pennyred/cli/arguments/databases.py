"""Read the arguments that name a database: an existing SQLite file, or a PostgreSQL URL."""

from pathlib import Path
from typing import TypeVar

import click

from pennyred.config.values import database_url

T = TypeVar("T")


def database(text: str, kind: type[T], expected: str) -> T:
    """The database that a URL names; `kind` is `Path` for an SQLite file, `str` for PostgreSQL.

    Raises `BadParameter` for another kind.
    """
    try:
        found = database_url(text, Path.cwd())
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected {error}") from error
    if not isinstance(found, kind):
        raise click.BadParameter(f"{text!r}: expected {expected}")
    return found


def from_and_to(source: str, target: str, what: str) -> tuple[Path, str]:
    """FROM and TO of a copy: an existing SQLite file, and a PostgreSQL URL. Raises `BadParameter`."""
    path, url = database(source, Path, "sqlite:///FILE"), database(target, str, "postgresql://HOST/DATABASE")
    if not path.exists():
        raise click.BadParameter(f"{path} does not exist; FROM is the {what} that there is")
    return path, url

"""Databases as they are typed: one of two kinds, and a file of the first has to be there."""

from pathlib import Path
from typing import TypeVar

import click

from pennyred.config.values import database_url

T = TypeVar("T")


def database(text: str, kind: type[T], expected: str) -> T:
    """A database of this kind by its URL: `Path` for a file of SQLite's, `str` for PostgreSQL's address."""
    try:
        found = database_url(text, Path.cwd())
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected {error}") from error
    if not isinstance(found, kind):
        raise click.BadParameter(f"{text!r}: expected {expected}")
    return found


def from_and_to(source: str, target: str, what: str) -> tuple[Path, str]:
    """Of a copy: the file that there is, and PostgreSQL's address. Raises `BadParameter`."""
    path, url = database(source, Path, "sqlite:///FILE"), database(target, str, "postgresql://HOST/DATABASE")
    if not path.exists():
        raise click.BadParameter(f"{path} does not exist; FROM is the {what} that there is")
    return path, url

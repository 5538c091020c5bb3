"""Numbered SQL files that build a schema: each is applied once, in order, as a whole or not at all.

The files are data of a package, named `0001_what.sql` without gaps. Each applied file is recorded with its checksum. So
a file altered afterwards, or a database of a later version, is noticed before anything is changed::

    SchemaError
    ├── SchemaTooOld        migrations are missing: run `pennyred ledger migrate`
    ├── SchemaTooNew        a later version of this program has written it
    └── MigrationAltered    an applied migration is not the one this program has

It does not help to try again, so none of them is `Unavailable`.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import apsw

from pennyred.postage.errors import PennyRedError

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql\Z")
_RECORD_TABLE = """CREATE TABLE IF NOT EXISTS schema_migration (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
) STRICT"""


class SchemaError(PennyRedError):
    """A database that this version of the program cannot use as it is; never raised itself."""


class SchemaTooOld(SchemaError):  # noqa: N818 - a state of the file
    """The database lacks migrations that this program has."""


class SchemaTooNew(SchemaError):  # noqa: N818
    """The database has migrations that this program does not have."""


class MigrationAltered(SchemaError):  # noqa: N818
    """An applied migration has another checksum than the file with the same number."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file: a step of the schema."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hexadecimal; CRLF counts as LF, as git may change line ends."""
        return hashlib.sha256(self.sql.replace("\r\n", "\n").encode()).hexdigest()


def load_migrations(package: str, folder: str) -> tuple[Migration, ...]:
    """Read the migrations in `folder` of `package`, in order; raises ValueError if the numbers have a gap."""
    found = [
        Migration(int(match[1]), match[2], file.read_text("utf-8"))
        for file in resources.files(package).joinpath(*folder.split("/")).iterdir()
        if (match := _FILE_NAME.match(file.name))
    ]
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"{package}/{folder}: migrations must be numbered 1, 2, 3 without a gap")
    return tuple(found)


def migrate(connection: apsw.Connection, migrations: Sequence[Migration], *, now: int) -> list[int]:
    """Apply the missing migrations in one transaction, and return their numbers.

    Programs that migrate at the same time take turns; the later ones find nothing to do. If it raises `SchemaTooNew` or
    `MigrationAltered`, nothing was done.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_RECORD_TABLE)
        applied = _applied(connection)
        refuse_strangers(applied, migrations)
        missing = [migration for migration in migrations if migration.number not in applied]
        for migration in missing:
            connection.execute(migration.sql).fetchall()
            connection.execute(
                "INSERT INTO schema_migration (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
                (migration.number, migration.name, migration.checksum, now),
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return [migration.number for migration in missing]


def require_current(connection: apsw.Connection, migrations: Sequence[Migration]) -> None:
    """Raise the right `SchemaError` unless exactly these migrations have been applied."""
    applied = _applied(connection)
    refuse_strangers(applied, migrations)
    if missing := [migration.number for migration in migrations if migration.number not in applied]:
        raise SchemaTooOld(
            f"{connection.filename}: the schema lacks migration {missing[0]:04} of {migrations[-1].number:04};"
            " run `pennyred ledger migrate`"
        )


def is_empty(connection: apsw.Connection) -> bool:
    """Whether the database has no table at all: then it is a new file, which gets its schema without a command."""
    return not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()


def has_table(connection: apsw.Connection, name: str) -> bool:
    """Whether there is such a table now. It uses a statement, because `table_exists` may use an outdated schema."""
    return bool(connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (name,)).fetchall())


def _applied(connection: apsw.Connection) -> dict[int, str]:
    """The checksums of the applied migrations, by number."""
    if not has_table(connection, "schema_migration"):
        return {}
    rows = connection.execute("SELECT number, checksum FROM schema_migration")
    return {int(number): str(checksum) for number, checksum in rows}


def refuse_strangers(applied: dict[int, str], migrations: Sequence[Migration]) -> None:
    """Raise `SchemaTooNew` or `MigrationAltered` if the applied migrations (checksums by number) are not ours."""
    ours = {migration.number: migration for migration in migrations}
    for number, checksum in sorted(applied.items()):
        if number not in ours:
            raise SchemaTooNew(
                f"the database has migration {number:04}, this program knows up to {len(ours):04}: use a newer pennyred"
            )
        if ours[number].checksum != checksum:
            raise MigrationAltered(
                f"migration {number:04}_{ours[number].name} is not the one this database was built with"
            )

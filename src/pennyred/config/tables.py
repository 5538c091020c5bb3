"""Read one table of a settings file into its struct, and collect complaints for unknown keys and wrong values."""

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pennyred.config import kinds, values
from pennyred.config.complaints import COMPLAINTS_MAX, Complaint
from pennyred.config.kinds import Convert
from pennyred.failures import what

FILE_BYTES_MAX = 64 * 2**20
"""The longest file that the settings may name: room for more than 100,000 recipients or aliases."""
T = TypeVar("T", bound=msgspec.Struct)


@dataclass(slots=True)
class Tables:
    """Reads tables of one file. What is wrong goes to `complaints`, and reading goes on with the default."""

    file: Path
    folder: Path
    complaints: list[Complaint] = field(default_factory=list)

    def path(self, value: Any) -> Path | None:
        """A path relative to the settings file's folder; None for an empty text. Raises ValueError."""
        text = kinds.text()(value)
        if "\0" in text:
            raise ValueError("a path")
        return self.folder / text if text else None

    def text_of(self, value: Any) -> str:
        """The text of the file that `value` names; raises ValueError if it cannot be read."""
        path = self.path(value)
        expected = f"a readable file in UTF-8, of at most {FILE_BYTES_MAX} bytes"
        if path is None:
            raise ValueError(expected)
        try:
            with path.open("rb") as opened:
                content = opened.read(FILE_BYTES_MAX + 1)
            text = content.decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{expected} ({path}: {what(error)})") from None
        if len(content) > FILE_BYTES_MAX:
            raise ValueError(expected)
        return text

    def database(self, value: Any) -> Path | str:
        """A database: the path of an SQLite file, or the URL of PostgreSQL. Raises ValueError."""
        return values.database_url(kinds.text()(value), self.folder)

    def table(
        self,
        document: dict[str, Any],
        key: str,
        kind: type[T],
        known: dict[str, Convert],
        required: tuple[str, ...] = (),
    ) -> T | None:
        """The struct of a top-level table; None if the table is missing."""
        return self.struct(key, document[key], kind, known, required) if key in document else None

    def struct(
        self, name: str, table: Any, kind: type[T], known: dict[str, Convert], required: tuple[str, ...] = ()
    ) -> T:
        """The struct of one table; keys that are wrong get their default, and a complaint is noted."""
        if not isinstance(table, dict):
            self.complain(name, "not a table", f"[{name}]")
            return kind(**dict.fromkeys(required, ""))
        self.unknown(name, table, tuple(known))
        given = self._default_paths(kind) | dict.fromkeys(required, "")
        for key, convert in known.items():
            if key in table:
                given |= self._converted(name, key, table[key], convert)
            elif key in required:
                self.complain(f"{name}.{key}", "missing", "a value")
        return kind(**given)

    def _converted(self, name: str, key: str, value: Any, convert: Convert) -> dict[str, Any]:
        """The key with its converted value; {} if the value is wrong, and then a complaint is noted."""
        try:
            return {key: convert(value)}
        except kinds.WrongItems as error:
            for place, item, expected in error.items:
                self.complain(f"{name}.{key}{place}", f"{_shown(item)} will not do", expected)
        except ValueError as error:
            self.complain(f"{name}.{key}", f"{_shown(value)} will not do", str(error))
        return {}

    def _default_paths(self, kind: type[msgspec.Struct]) -> dict[str, Any]:
        """The default paths, relative to the settings file's folder, like paths that are written in the file."""
        return {
            one.name: self.folder / one.default for one in msgspec.structs.fields(kind) if isinstance(one.default, Path)
        }

    def unknown(self, name: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
        """Complain of unknown keys, and name for each the key that was probably meant."""
        for key in table:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                expected = f'"{close[0]}"?' if close else "one of " + ", ".join(known)
                self.complain(f"{name}.{key}" if name else key, "unknown key", expected)

    def complain(self, key: str, what: str, expected: str) -> None:
        """Note a complaint: what is wrong with a key, and what was expected."""
        if len(self.complaints) < COMPLAINTS_MAX:
            self.complaints.append(Complaint(str(self.file), _printable(key), _printable(what), expected))


_PASSWORD = re.compile(r"://[^@/\s]*@")
"""User and password in a database's URL; complaints are shown and logged, so this is cut out of them."""


def _shown(value: Any) -> str:
    """A value about as it is written in TOML, without passwords, at most 80 characters."""
    match value:
        case bool():
            text = str(value).lower()
        case str():
            text = f'"{_PASSWORD.sub("://...@", value)}"'
        case _:
            text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:300])

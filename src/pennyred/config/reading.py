"""Find the settings file and read it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pennyred.config.complaints import BadSettings, Complaint
from pennyred.config.settings import Settings
from pennyred.config.validation import Reader
from pennyred.failures import said, what

SETTINGS_BYTES_MAX = 4 * 2**20
PLACES = (Path("pennyred.toml"), Path("/etc/pennyred/pennyred.toml"))


def find_settings(given: Path | None, environment: Mapping[str, str]) -> Path:
    """The settings file: the one given, else `$PENNYRED_CONFIG`, else the first of `PLACES` that exists.

    Raises `BadSettings` if none is given and none exists.
    """
    if given is not None:
        return given
    if environment.get("PENNYRED_CONFIG"):
        return Path(environment["PENNYRED_CONFIG"])
    for place in PLACES:
        if place.exists():
            return place
    looked = " or ".join(map(str, PLACES))
    raise BadSettings(
        [Complaint(looked, "", "no settings file", "one there, or --config FILE; `pennyred init` writes one")]
    )


def read_settings(file: Path) -> Settings:
    """Read a settings file; raises `BadSettings` with all complaints."""
    try:
        with file.open("rb") as opened:
            content = opened.read(SETTINGS_BYTES_MAX + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise BadSettings([Complaint(str(file), "", what(error), _readable(error))]) from error
    except UnicodeDecodeError as error:
        raise BadSettings([Complaint(str(file), "", "not UTF-8", "TOML in UTF-8")]) from error
    if len(content) > SETTINGS_BYTES_MAX:
        raise BadSettings([Complaint(str(file), "", "too long", f"at most {SETTINGS_BYTES_MAX} bytes")])
    return parse_settings(text, file)


def _readable(error: OSError) -> str:
    remedy = said(error)[1]
    return "a readable file" + (f" ({remedy})" if remedy.startswith("run it as") else "")


def parse_settings(text: str, file: Path) -> Settings:
    """Read settings from a text; paths are relative to that of `file`. Raises `BadSettings`, with all complaints."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadSettings([Complaint(str(file), "", f"not TOML: {error}", 'TOML, texts in "quotes"')]) from error
    reader = Reader(file, file.absolute().parent)
    settings = reader.settings(document)
    if reader.complaints:
        raise BadSettings(reader.complaints)
    return settings

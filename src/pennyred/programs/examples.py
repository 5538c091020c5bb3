"""The files of config/, installed with the package: every setting, recipes for mail servers, services, alerts."""

from difflib import get_close_matches
from pathlib import Path

import pennyred
from pennyred.postage.errors import Malformed

_LINES_READ_MAX = 20


def folder() -> Path:
    """The folder of the example files: inside the package, or beside it in a checkout."""
    package = Path(pennyred.__file__).parent
    installed = package / "examples"
    return installed if installed.is_dir() else package.parents[1] / "config"


def names() -> list[str]:
    """The paths of all example files below config/."""
    root = folder()
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def read(name: str) -> str:
    """The text of an example file. Raises `Malformed` for an unknown name, and names similar ones."""
    wanted = name.removeprefix("config/")
    known = names()
    if wanted not in known:
        meant = [one for one in known if one.endswith(f"/{wanted}")] or get_close_matches(wanted, known, n=3)
        hint = f"did you mean {' or '.join(meant)}?" if meant else "see  pennyred examples"
        raise Malformed(f"there is no example {name[:100]!r}: {hint}")
    return (folder() / wanted).read_text(encoding="utf-8")


def about(name: str) -> str:
    """The first sentence of a file about itself; empty if it has none, as JSON cannot have comments."""
    words: list[str] = []
    for line in read(name).splitlines()[:_LINES_READ_MAX]:
        if line.startswith(("#", ";")) and line.strip("#; "):
            words.append(line.strip("#; "))
        elif words:
            break
    return " ".join(words).partition(". ")[0].rstrip(".")

"""The files of config/, installed with the package: every setting, recipes for mail servers, services, alerts."""

import json
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
        beside = [one for one in known if one.endswith(f"/{wanted}") or one.startswith(f"{wanted.rstrip('/')}/")]
        meant = beside or get_close_matches(wanted, known, n=3)
        hint = f"did you mean {' or '.join(meant)}?" if meant else "see  pennyred examples"
        raise Malformed(f"there is no example {name[:100]!r}: {hint}")
    return (folder() / wanted).read_text(encoding="utf-8")


def about(name: str) -> str:
    """The first sentence of a file about itself: of its first comment, or of a JSON object's `description`."""
    if name.endswith(".json"):
        return _first_sentence(json.loads(read(name)).get("description", ""))
    words: list[str] = []
    for line in read(name).splitlines()[:_LINES_READ_MAX]:
        if line.startswith(("#", ";")) and line.strip("#; "):
            words.append(line.strip("#; "))
        elif words:
            break
    return _first_sentence(" ".join(words))


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".")

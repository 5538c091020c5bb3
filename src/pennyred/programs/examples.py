"""The files of config/, installed with the package: every setting, recipes for mail servers, services, alerts."""

from difflib import get_close_matches
from pathlib import Path

import pennyred
from pennyred.postage.errors import Malformed

_LINES_READ_MAX = 20


def folder() -> Path:
    """Where they are: inside the package, or in a checkout beside it."""
    package = Path(pennyred.__file__).parent
    installed = package / "examples"
    return installed if installed.is_dir() else package.parents[1] / "config"


def names() -> list[str]:
    """All of them, by their paths below config/."""
    root = folder()
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def read(name: str) -> str:
    """The text of one; raises `Malformed` for a name that is none, and says which could have been meant."""
    wanted = name.removeprefix("config/")
    known = names()
    if wanted not in known:
        meant = [one for one in known if one.endswith(f"/{wanted}")] or get_close_matches(wanted, known, n=3)
        hint = f"did you mean {' or '.join(meant)}?" if meant else "see  pennyred examples"
        raise Malformed(f"there is no example {name[:100]!r}: {hint}")
    return (folder() / wanted).read_text(encoding="utf-8")


def about(name: str) -> str:
    """Its first sentence on itself, where it has one: JSON cannot have a comment."""
    words: list[str] = []
    for line in read(name).splitlines()[:_LINES_READ_MAX]:
        if line.startswith(("#", ";")) and line.strip("#; "):
            words.append(line.strip("#; "))
        elif words:
            break
    return " ".join(words).partition(". ")[0].rstrip(".")

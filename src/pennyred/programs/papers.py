"""The papers that are installed with the package: pages for users and developers, the format of a stamp, objections."""

from difflib import get_close_matches
from pathlib import Path

import pennyred
from pennyred.postage.errors import Malformed
from pennyred.programs import examples

_BESIDE = ("ARCHITECTURE.md", "DECISIONS.md", "OBJECTIONS.md", "postage/STAMP.md")
"""Pages that are in the package, but not in docs/."""
_AMONG_EXAMPLES = {"config": "README.md", "many": "many/README.md"}
"""Pages that lie beside the files they explain, by topic: all of these would be called README."""


def topics() -> list[str]:
    """The topics: README, then the pages for users, then all others. Most are file names in lower case."""
    return list(_pages())


def read(topic: str) -> str:
    """The page of a topic, in Markdown. Raises `Malformed` for an unknown topic, and names similar ones."""
    pages = _pages()
    wanted = topic.lower().removesuffix(".md").replace(" ", "-")
    if wanted not in pages:
        meant = [one for one in pages if wanted and wanted in one] or get_close_matches(wanted, pages, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(meant)}?" if meant else "see  pennyred help"
        raise Malformed(f"there is no page on {topic[:100]!r}: {hint}")
    return pages[wanted].read_text(encoding="utf-8")


def title(topic: str) -> str:
    """The first heading of a topic's page."""
    return read(topic).partition("\n")[0].lstrip("# ")


def _pages() -> dict[str, Path]:
    package = Path(pennyred.__file__).parent
    installed = package / "docs/readme.md"
    readme = installed if installed.is_file() else package.parents[1] / "README.md"
    pages = [readme, *sorted((package / "docs").glob("*.md")), *(package / one for one in _BESIDE)]
    beside_examples = {topic: examples.folder() / name for topic, name in _AMONG_EXAMPLES.items()}
    return {path.stem.lower(): path for path in pages} | beside_examples

"""The papers, installed with the package: pages by reader, the format of a stamp, objections and what answers them."""

from difflib import get_close_matches
from pathlib import Path

import pennyred
from pennyred.postage.errors import Malformed

_BESIDE = ("ARCHITECTURE.md", "DECISIONS.md", "OBJECTIONS.md", "postage/STAMP.md")
"""Pages that stand elsewhere in the package than in docs/."""


def topics() -> list[str]:
    """What there is a page of, by its file's name in lower case: README, then those for users."""
    return list(_pages())


def read(topic: str) -> str:
    """The page, in Markdown; raises `Malformed` for a topic that has none, and says which could have been meant."""
    pages = _pages()
    wanted = topic.lower().removesuffix(".md").replace(" ", "-")
    if wanted not in pages:
        meant = [one for one in pages if wanted and wanted in one] or get_close_matches(wanted, pages, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(meant)}?" if meant else "see  pennyred help"
        raise Malformed(f"there is no page on {topic[:100]!r}: {hint}")
    return pages[wanted].read_text(encoding="utf-8")


def title(topic: str) -> str:
    """Its first heading."""
    return read(topic).partition("\n")[0].lstrip("# ")


def _pages() -> dict[str, Path]:
    package = Path(pennyred.__file__).parent
    installed = package / "docs/readme.md"
    readme = installed if installed.is_file() else package.parents[1] / "README.md"
    pages = [readme, *sorted((package / "docs").glob("*.md")), *(package / one for one in _BESIDE)]
    return {path.stem.lower(): path for path in pages}

"""The papers: README and the pages by reader that it leads to; and their examples, as they are written there."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "src/pennyred/docs").glob("*.md")),
    *sorted((ROOT / "config").rglob("README.md")),
    *sorted((ROOT / ".github").glob("*.md")),
    *(
        ROOT / "src/pennyred" / name
        for name in ("ARCHITECTURE.md", "DECISIONS.md", "OBJECTIONS.md", "postage/STAMP.md")
    ),
    ROOT / "tests/README.md",
]
PAPERS = "\n".join(page.read_text() for page in PAGES)
"""All of them, joined: what they promise together is what is held."""
PROGRAMS = Path(sys.executable).parent
"""Where `pennyred` is, for examples that need it on the PATH."""


def block(name: str, language: str = "sh") -> str:
    """The fenced block behind a mark."""
    match = re.search(rf"<!-- {re.escape(name)} -->\n```{language}\n(.*?)```", PAPERS, re.DOTALL)
    assert match, name
    return match[1]


def blocks() -> list[tuple[str, str, str]]:
    """Every fenced block of the pages for users: its name, empty where it has none, its language and its text."""
    told = "\n".join(page.read_text() for page in PAGES if page.name not in ("STAMP.md", "CONTRIBUTING.md"))
    return re.findall(r"(?:^<!-- ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```$", told, re.MULTILINE | re.DOTALL)


def shell(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"} | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

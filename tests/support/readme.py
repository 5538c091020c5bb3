"""README's examples, as they are written there."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()
PROGRAMS = Path(sys.executable).parent
"""Where `pennyred` is, for examples that need it on the PATH."""


def block(name: str, language: str = "sh") -> str:
    """The fenced block behind a mark."""
    match = re.search(rf"<!-- {re.escape(name)} -->\n```{language}\n(.*?)```", README, re.DOTALL)
    assert match, name
    return match[1]


def blocks() -> list[tuple[str, str, str]]:
    """Every fenced block: its name, empty where it has none, its language and its text."""
    return re.findall(r"(?:^<!-- ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


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

"""README's examples, as they are written there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()
PENNYRED = f"{shlex.quote(sys.executable)} -m pennyred"


def block(name: str, language: str = "sh") -> str:
    """The fenced block behind a mark."""
    match = re.search(rf"<!-- {re.escape(name)} -->\n```{language}\n(.*?)```", README, re.DOTALL)
    assert match, name
    return match[1]


def shell(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

"""Writes the test vectors: `python -m tests.vectors.make [FOLDER]`. Nothing in them is random, so they come out the same.

What is written here by the code under test is fixed by being committed: a change of a file is a change of the format.
"""

import json
import sys
from pathlib import Path

from tests.support import vector_cases, vector_stamps
from tests.support.vector_letters import LETTERS

HERE = Path(__file__).parent


def make(folder: Path) -> None:
    """Write all files into `folder`."""
    (folder / "letters").mkdir(parents=True, exist_ok=True)
    for name, letter in LETTERS.items():
        (folder / "letters" / f"{name}.eml").write_bytes(letter)
    stamps = {
        "about": "Whole stamps and what must be said of them (STAMP.md 8). Never trust these keys.",
        "seeds": {name: seed.hex() for name, seed in vector_stamps.SEEDS.items()},
        "issuers": {
            domain: {selector: public.hex() for selector, public in keys.items()}
            for domain, keys in vector_stamps.ISSUERS.items()
        },
        "cases": [case.as_json() for case in vector_stamps.cases()],
    }
    _write(folder / "stamps.json", stamps)
    for name, about, cases in (
        ("recipients", "Canonical recipients (STAMP.md 4)", vector_cases.recipients()),
        ("canonical", "Plain header fields, relaxed and bound bodies (STAMP.md 5.1, 5.2)", vector_cases.canonical()),
        ("hashes", "Hashes (STAMP.md 5.3 to 5.10)", vector_cases.hashes()),
        ("licences", "Licences (STAMP.md 6); whether they are signed is another question", vector_cases.licences()),
        ("keys", "Key records (STAMP.md 7.4)", vector_cases.keys()),
        ("policies", "What a domain asks for (STAMP.md 7.6)", vector_cases.policies()),
        ("signatures", "Signatures that implementations differ about (STAMP.md 7.2)", vector_cases.signatures()),
        ("passes", "Passes and whether they hold (STAMP.md 9)", vector_cases.passes()),
        ("heads", "Hashes of heads of the chain (STAMP.md 13.4, 13.8)", vector_cases.heads()),
    ):
        _write(folder / f"{name}.json", {"about": about, "cases": list(cases)})


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=True) + "\n", encoding="ascii", newline="\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)

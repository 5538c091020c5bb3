"""Real letters, where the machine has them: the folder `shared/corpus` beside the checkout, or `$PENNYRED_CORPUS`."""

import os
import re
from pathlib import Path

import pytest

ABSENT = "no corpus of real letters"
_BESIDE = Path(__file__).parents[3] / "shared" / "corpus"


def corpus_letters() -> list[tuple[str, bytes]]:
    """Name and octets of each, with CRLF line ends; skips the test where there are none."""
    folder = Path(os.environ.get("PENNYRED_CORPUS") or _BESIDE)
    letters = [(path.name, with_crlf(path.read_bytes())) for path in sorted(folder.glob("*.eml"))]
    if not letters:
        pytest.skip(f"{ABSENT} in {folder} (set PENNYRED_CORPUS)")
    return letters


def with_crlf(octets: bytes) -> bytes:
    """Every line end as CRLF, a CR that belongs to none as a blank."""
    return re.sub(rb"\r*\n", b"\n", octets).replace(b"\r", b" ").replace(b"\n", b"\r\n")

"""Statements name their columns: a migration may add one, in any place, and no value lands in its neighbour's."""

import re
from pathlib import Path

import pytest

import pennyred

PACKAGE = Path(pennyred.__file__).parent
ROOMS = ("office", "storage")  # of the gate's: tests/gate/memory/test_statements.py
MODULES = sorted(module for room in ROOMS for module in (PACKAGE / room).rglob("*.py"))
BY_PLACE = re.compile(
    r"""INSERT\s+(?:OR\s+\w+\s+)?INTO\s+[\w{}]+["'\s]*(?:VALUES|SELECT|OVERRIDING)\b""", re.IGNORECASE
)


@pytest.mark.parametrize("module", MODULES, ids=lambda one: one.relative_to(PACKAGE).as_posix())
def test_statements_name_their_columns(module):
    assert BY_PLACE.findall(module.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO batch VALUES (?)",
        "INSERT OR IGNORE INTO entry SELECT 1",
        "INSERT INTO stamp_{day} VALUES (?)",
        "INSERT INTO posting\nSELECT 1",
        '"INSERT INTO hold"\n    " VALUES (?)"',
    ],
)
def test_one_that_does_not_would_be_found(statement):
    assert BY_PLACE.search(statement)


@pytest.mark.parametrize("statement", ["INSERT INTO hold (tx) VALUES (?)", "INSERT INTO hold\n  (tx)\nSELECT 1"])
def test_one_that_does_is_left_alone(statement):
    assert not BY_PLACE.search(statement)

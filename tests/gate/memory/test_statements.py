"""The statements of the gate's state name their columns: a migration may add one, in any place, and mixes up nothing."""

import importlib.resources
import re

import pytest

MODULES = sorted(
    (one for one in importlib.resources.files("pennyred.gate.memory").iterdir() if one.name.endswith(".py")),
    key=lambda one: one.name,
)
BY_PLACE = re.compile(r"INSERT (?:OR \w+ )?INTO \w+(?! \()\b|SELECT \*")


@pytest.mark.parametrize("module", MODULES, ids=lambda one: one.name)
def test_statements_name_their_columns(module):
    assert BY_PLACE.findall(module.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "statement", ["INSERT INTO permit VALUES (?)", "INSERT OR IGNORE INTO sent SELECT 1", "SELECT *"]
)
def test_one_that_does_not_would_be_found(statement):
    assert BY_PLACE.search(statement)
    assert not BY_PLACE.search("INSERT INTO permit (user) VALUES (?)")

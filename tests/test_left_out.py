"""A newcomer's run is short, and says what it has left out; the run before a release leaves out nothing."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONG = "tests/wire/test_soak.py"


def pytest_says(*words, **environment):
    """The last lines of a run of its own."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PENNYRED_", "PYTEST_")) and name != "PYTHONPATH"
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=ROOT,
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize("processes", [pytest.param("0", marks=pytest.mark.long), "1"])
def test_what_is_long_is_left_out_and_counted_and_it_is_said_how_to_run_it(processes):
    said = pytest_says("-n", processes, LONG)
    assert "left out 1 long tests; PENNYRED_LONG=1 runs them too" in said
    assert "1 deselected" in said
    assert "passed" not in said


def test_with_pennyred_long_nothing_is_left_out():
    said = pytest_says("-n", "0", "--collect-only", LONG, PENNYRED_LONG="1")
    assert "1 test collected" in said
    assert "left out" not in said


def test_before_a_release_nothing_is_left_out_and_nothing_skipped():
    [line] = [line for line in (ROOT / ".ci/run").read_text().splitlines() if "readme command-tests" in line]
    assert "PENNYRED_LONG=1" in line
    assert "PENNYRED_NO_SKIPS=1" in line


def test_the_quick_run_names_what_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    words = project["tool"]["poe"]["tasks"]["fast"]["cmd"].split()
    named = [word for word in words if word.startswith("tests")]
    assert len(named) > 3
    assert [word for word in named if not (ROOT / word).exists()] == []

"""What the tests of the gate's state share."""

import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gate.db"

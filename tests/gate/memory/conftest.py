"""What the tests of the gate's state share: the back ends that every story is told to."""

import pytest
from tests.support.postgres import back_ends


@pytest.fixture
def file(tmp_path):
    """A state that is a file, for what only files can suffer."""
    return tmp_path / "gate.db"


@pytest.fixture(params=["sqlite", *back_ends()])
def path(request, file):
    """A state that is new: a file, or a URL."""
    if request.param == "sqlite":
        return file
    return request.getfixturevalue("postgres_database")(int(request.param.partition("-")[2]))

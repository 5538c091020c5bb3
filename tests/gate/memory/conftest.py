"""What the tests of the gate's state share: the back ends that every story is told to."""

import os

import pytest
from tests.support.postgres import SERVER_VERSIONS

VERSIONS = SERVER_VERSIONS if os.environ.get("PENNYRED_LONG") else SERVER_VERSIONS[:1]


@pytest.fixture
def file(tmp_path):
    """A state that is a file, for what only files can suffer."""
    return tmp_path / "gate.db"


@pytest.fixture(params=["sqlite", *(f"postgresql-{version}" for version in VERSIONS)])
def path(request, file):
    """A state that is new: a file, or a URL."""
    if request.param == "sqlite":
        return file
    return request.getfixturevalue("postgres_database")(int(request.param.partition("-")[2]))

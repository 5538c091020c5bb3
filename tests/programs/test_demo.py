"""`pennyred demo` tells the whole story, and leaves nothing behind."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from pennyred.programs.demo import demo, standin


def test_everything_holds_and_nothing_is_left_behind(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pennyred", "demo", "--json"],
        env=os.environ | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    story = json.loads(done.stdout)
    assert done.returncode == 0, story
    assert story["held"] is True
    seen = " ".join(step["seen"] for step in story["steps"])
    for reason in (
        "no-stamp",
        "duplicate",
        "resent",
        "altered-body",
        "altered-headers",
        "wrong-recipient",
        "expired",
        "bad-signature",
        "bulk",
    ):
        assert f"({reason})" in seen
    assert sum(step["cents"] for step in story["steps"]) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoding", ["latin-1", pytest.param("utf-8", marks=pytest.mark.long)])
def test_it_is_told_on_any_terminal(encoding):
    done = subprocess.run(
        [sys.executable, "-m", "pennyred", "demo"],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "everything held" in done.stdout.decode(encoding)


def test_its_mail_server_has_no_slots_which_debians_python_3_11_2_cannot_inspect():
    """Else each connection would be closed, without a word, on the system that the README names."""
    assert not hasattr(standin.StandIn, "__slots__")


def test_a_mail_server_that_can_make_no_session_says_why(monkeypatch):
    def broken(*_):
        raise TypeError("descriptor '__weakref__' doesn't apply")

    monkeypatch.setattr(standin, "_WithXclient", broken)
    with pytest.raises(TypeError, match="__weakref__"):
        demo.run_demo(is_quiet=True)


def test_a_program_that_does_not_start_is_told_with_its_last_words(monkeypatch):
    async def broken(*_, **options):
        return await original(sys.executable, "-c", "import sys; sys.exit('no such thing')", **options)

    original = asyncio.create_subprocess_exec
    monkeypatch.setattr("asyncio.create_subprocess_exec", broken)
    with pytest.raises(
        demo.DemoFailed, match=r"ended before it said 'service\.serving'; its last words: no such thing"
    ):
        demo.run_demo(is_quiet=True)


def test_a_program_that_says_nothing_is_not_left_behind(monkeypatch):
    async def silent(*_, **options):
        started.append(await original(sys.executable, "-c", "import time; time.sleep(600)", **options))
        return started[-1]

    started, original = [], asyncio.create_subprocess_exec
    monkeypatch.setattr("asyncio.create_subprocess_exec", silent)
    monkeypatch.setattr(demo, "START_SECONDS", 0.5)
    with pytest.raises(demo.DemoFailed, match=r"within 0\.5 s; it said nothing"):
        demo.run_demo(is_quiet=True)
    assert started[0].returncode is not None

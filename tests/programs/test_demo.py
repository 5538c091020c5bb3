"""`pennyred demo` tells the whole story, and leaves nothing behind."""

import json
import os
import subprocess
import sys


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
        "spent",
        "altered-headers",
        "wrong-recipient",
        "expired",
        "bad-signature",
        "bulk",
    ):
        assert f"({reason})" in seen
    assert sum(step["cents"] for step in story["steps"]) == 2
    assert list(tmp_path.iterdir()) == []

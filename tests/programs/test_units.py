"""The units for systemd, as they are in config/: systemd's own program reads them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pennyred.config.settings import GateSettings
from pennyred.programs.workers.supervisor import EX_SETTINGS

CONFIG = Path(__file__).parents[2] / "config"
SERVICE = (CONFIG / "pennyred.service").read_text()


def setting(name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", SERVICE, re.MULTILINE)
    assert found, name
    return found[1]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze (apt-get install systemd)")
def test_systemd_has_nothing_against_the_units(tmp_path):
    """It looks for the program, too, which is elsewhere here."""
    service = SERVICE.replace("/opt/pennyred/bin/pennyred", sys.executable)
    (tmp_path / "pennyred.service").write_text(service.replace("User=pennyred", "User=root"))
    shutil.copy(CONFIG / "pennyred.socket", tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "pennyred.service", tmp_path / "pennyred.socket"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    of_ours = [line for line in (done.stdout + done.stderr).splitlines() if "pennyred" in line]
    assert of_ours == []
    assert done.returncode == 0, done.stderr


def test_systemd_waits_longer_than_the_letters_in_hand_may_take():
    assert int(setting("TimeoutStopSec")) > GateSettings().stop_timeout_seconds


def test_systemd_does_not_try_again_what_cannot_become_better():
    assert int(setting("RestartPreventExitStatus")) == EX_SETTINGS

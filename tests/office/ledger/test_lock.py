"""One process owns a ledger's file at a time."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.support.ledgerworld import NOW

from pennyred.office.ledger.owned import LedgerLock, LedgerTaken, OwnedLedger, lock_path
from pennyred.postage.errors import Unavailable

HOLDER = """
import sys
from pathlib import Path
from pennyred.office.ledger.owned.lock import LedgerLock
lock = LedgerLock.take(Path(sys.argv[1]))
print("taken", flush=True)
sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "taken\n"
    return process


def test_a_second_owner_is_told_at_once_that_there_is_one(tmp_path):
    with holder(tmp_path / "ledger.db") as process:
        with pytest.raises(LedgerTaken, match=f"process {process.pid} has this ledger for itself"):
            OwnedLedger.open(tmp_path / "ledger.db", now=NOW)
        assert not (tmp_path / "ledger.db").exists(), "nothing is touched without the lock"
        process.communicate()
    LedgerLock.take(tmp_path / "ledger.db").release()


def test_the_lock_ends_with_its_process_however_that_ends(tmp_path):
    with holder(tmp_path / "ledger.db") as process:
        process.kill()
    LedgerLock.take(tmp_path / "ledger.db").release()


def test_a_ledger_has_one_lock_by_whatever_name_it_is_reached(tmp_path):
    (tmp_path / "other name").symlink_to(tmp_path / "ledger.db")
    lock = LedgerLock.take(tmp_path / "ledger.db")

    with pytest.raises(LedgerTaken):
        LedgerLock.take(tmp_path / "other name")

    lock.release()
    lock.release()
    assert lock_path(tmp_path / "other name") == tmp_path / "ledger.db.lock"
    assert lock_path(tmp_path / "other name").stat().st_mode & 0o777 == 0o600


def test_a_lock_that_cannot_be_made_is_later(tmp_path):
    with pytest.raises(Unavailable) as caught:
        LedgerLock.take(tmp_path / "nowhere" / "ledger.db")
    assert not isinstance(caught.value, LedgerTaken)
    (tmp_path / "ledger.db.lock").symlink_to("elsewhere")
    with pytest.raises(Unavailable):
        LedgerLock.take(tmp_path / "ledger.db")


def test_who_wants_the_ledger_may_wait_a_moment_for_it(tmp_path):
    with holder(tmp_path / "ledger.db") as process:
        threading.Timer(0.2, process.kill).start()
        LedgerLock.take(tmp_path / "ledger.db", patience_seconds=30.0).release()


def test_a_lock_whose_file_is_not_there_any_more_is_none(tmp_path):
    """Another disk was mounted over the folder: another process may own the ledger that is there now."""
    lock = LedgerLock.take(tmp_path / "ledger.db")
    lock_path(tmp_path / "ledger.db").rename(tmp_path / "gone")
    LedgerLock.take(tmp_path / "ledger.db").release()

    with pytest.raises(Unavailable, match="start the service again"):
        OwnedLedger.open(tmp_path / "ledger.db", now=NOW, lock=lock)

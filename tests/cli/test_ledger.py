"""`pennyred ledger backup` and `restore`, as an administrator meets them."""

import asyncio
import threading

import apsw
import pytest
from program import run, run_json

from pennyred.ledger.sqlite import SqliteLedger
from pennyred.ledger.sqlite.backup import back_up

NOW = 1_795_000_000


@pytest.fixture
def post(tmp_path):
    """The folder of an office with a voucher in its ledger."""
    run("init", str(tmp_path / "post"))
    run_json("--config", str(tmp_path / "post/pennyred.toml"), "voucher", "create", "--stamps", "7")
    return tmp_path / "post"


def at(post, *words, check=True):
    return run("--config", str(post / "pennyred.toml"), "ledger", *words, check=check)


def test_a_backup_that_is_put_back_has_what_there_was(post, tmp_path):
    saved = tmp_path / "saved.db"
    at(post, "backup", str(saved))
    assert saved.stat().st_mode & 0o077 == 0
    refused = at(post, "restore", str(saved), check=False)
    assert refused.returncode == 1
    assert b"move it away" in refused.stderr
    for path in post.glob("ledger.db*"):
        path.unlink()
    at(post, "restore", str(saved))
    rows = apsw.Connection(str(post / "ledger.db")).execute("SELECT stamps FROM voucher").fetchall()
    assert rows == [(7,)]
    assert not list(tmp_path.glob("**/*.partial"))


def test_nothing_is_overwritten_and_a_backup_out_of_balance_is_not_restored(post, tmp_path):
    saved = tmp_path / "saved.db"
    at(post, "backup", str(saved))
    assert at(post, "backup", str(saved), check=False).returncode == 1
    for path in post.glob("ledger.db*"):
        path.unlink()
    spoilt = apsw.Connection(str(saved))
    spoilt.execute("UPDATE account SET balance = balance + 1 WHERE id = 'office:sales'")
    spoilt.close()
    assert at(post, "restore", str(saved), check=False).returncode == 1
    assert not (post / "ledger.db").exists()


def test_a_log_left_by_another_ledger_is_not_taken_for_this_ones(post, tmp_path):
    """SQLite would roll the pages of a lost ledger's -wal file into the one that was put back."""
    saved = tmp_path / "saved.db"
    at(post, "backup", str(saved))
    for path in post.glob("ledger.db*"):
        path.unlink()
    (post / "ledger.db-wal").write_bytes(b"old")
    assert at(post, "restore", str(saved), check=False).returncode == 1


def test_a_copy_is_of_one_moment_while_others_write(tmp_path):
    source, target = tmp_path / "ledger.db", tmp_path / "saved.db"

    async def write(count):
        ledger = SqliteLedger.open(source, now=NOW)
        await ledger.open_account("ann", "ann@sender.example", b"k" * 32, 1000, now=NOW)
        for number in range(count):
            await ledger.credit("ann", 1, f"{number}", now=NOW)
        await ledger.close()

    asyncio.run(write(50))
    writing = threading.Thread(target=lambda: asyncio.run(write(300)))
    writing.start()
    back_up(source, target)
    writing.join()

    async def audit(path):
        ledger = SqliteLedger.open(path, now=NOW)
        try:
            return await ledger.audit()
        finally:
            await ledger.close()

    copy = asyncio.run(audit(target))
    assert copy.balanced
    assert 50 <= copy.sold <= 350
    assert asyncio.run(audit(source)).sold == 350

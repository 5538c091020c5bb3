"""`pennyred ledger backup` and `restore`, as an administrator meets them."""

import asyncio
import os
import threading

import apsw
import pytest
from tests.support.program import init, run, run_json

from pennyred.office.ledger.sqlite import SqliteLedger
from pennyred.office.ledger.sqlite.backup import back_up

NOW = 1_795_000_000


@pytest.fixture
def post(tmp_path):
    """The folder of an office with a voucher in its ledger."""
    init(tmp_path / "post")
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


def test_a_copy_that_was_killed_when_it_was_done_is_not_the_next_ones_waste_paper(tmp_path):
    """Between its two names it has both: emptied under the one, it would be gone under the other."""
    ledger, saved, kept = (tmp_path / name for name in ("ledger.db", "saved.db", "kept.db"))
    credit(ledger, "one")
    back_up(ledger, saved)
    os.link(saved, tmp_path / "saved.db.partial")  # as a kill leaves it before the unlink
    saved.rename(kept)
    before = kept.read_bytes()
    credit(ledger, "two")
    back_up(ledger, saved)
    assert kept.read_bytes() == before
    assert heads(saved) == heads(ledger) != heads(kept)
    assert not list(tmp_path.glob("*.partial"))


def test_what_a_killed_copy_has_left_half_written_is_begun_anew(tmp_path):
    ledger, saved = tmp_path / "ledger.db", tmp_path / "saved.db"
    credit(ledger, "one")
    (tmp_path / "saved.db.partial").write_bytes(b"half")
    (tmp_path / "saved.db.partial-journal").write_bytes(b"half")
    back_up(ledger, saved)
    assert heads(saved) == heads(ledger)
    assert not list(tmp_path.glob("*.partial*"))


def test_a_link_in_the_place_of_the_half_written_copy_is_not_followed(tmp_path):
    """Root puts a ledger back into a folder that is somebody else's."""
    ledger, other = tmp_path / "ledger.db", tmp_path / "other"
    credit(ledger, "one")
    other.write_bytes(b"kept")
    (tmp_path / "saved.db.partial").symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        back_up(ledger, tmp_path / "saved.db")
    assert other.read_bytes() == b"kept"


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


def heads(path):
    """The newest link, and all epochs."""

    async def look():
        ledger = SqliteLedger.open(path, now=NOW)
        try:
            audit = await ledger.audit()
            assert audit.balanced, audit.differences
            return await ledger.head()
        finally:
            await ledger.close()

    return asyncio.run(look())


def credit(path, *reasons):
    async def write():
        ledger = SqliteLedger.open(path, now=NOW)
        await ledger.open_account("ann", "ann@sender.example", b"k" * 32, 1000, now=NOW)
        for reason in reasons:
            await ledger.credit("ann", 1, reason, now=NOW)
        await ledger.close()

    asyncio.run(write())


def test_a_restored_ledger_begins_a_new_epoch_so_that_no_number_is_signed_twice_alike(post, tmp_path):
    """By hand: leave begin_epoch out of the command, and the heads of the two futures are of one chain."""
    saved, ledger = tmp_path / "saved.db", post / "ledger.db"
    credit(ledger, "before")
    at(post, "backup", str(saved))
    content = saved.read_bytes()
    credit(ledger, "lost")
    lost = heads(ledger)
    for path in post.glob("ledger.db*"):
        path.unlink()
    at(post, "restore", str(saved))
    begun = heads(ledger)
    assert (begun.number, begun.epochs[0].follows) == (lost.number, lost.number - 1)
    assert begun.previous == lost.previous
    assert not lost.is_in_books_of(begun)
    assert heads(saved).epochs == (), "the backup stays what it is"
    assert saved.read_bytes()[:100] == content[:100]
    for path in post.glob("ledger.db*"):
        path.unlink()
    at(post, "restore", str(saved))
    assert heads(ledger).epochs[0].id != begun.epochs[0].id, "restored twice, two epochs"


def test_a_ledger_that_was_put_back_by_other_means_is_said_to_be(post):
    credit(post / "ledger.db", "before")
    said = run_json("--config", str(post / "pennyred.toml"), "ledger", "restored")
    head = heads(post / "ledger.db")
    assert said == {"epoch": 1, "follows": head.number - 1, "id": head.epochs[0].id.hex()}
    assert b"epoch 2 begins" in at(post, "restored").stdout


def test_a_backup_of_an_older_version_can_still_be_restored(post, tmp_path):
    saved = tmp_path / "saved.db"
    credit(post / "ledger.db", "before")
    at(post, "backup", str(saved))
    older = apsw.Connection(str(saved))
    older.execute("DROP TABLE epoch; DELETE FROM schema_migration WHERE number > 6").fetchall()
    older.close()
    for path in post.glob("ledger.db*"):
        path.unlink()
    at(post, "restore", str(saved))
    assert len(heads(post / "ledger.db").epochs) == 1


def test_what_is_left_beside_a_ledger_that_is_gone_is_not_taken_for_a_new_one_s(post):
    """Its last transactions may be in it."""
    credit(post / "ledger.db", "before")
    for path in post.glob("ledger.db*"):
        path.unlink()
    (post / "ledger.db-wal").write_bytes(b"the last of it")
    refused = at(post, "migrate", check=False)
    assert refused.returncode == 2
    assert b"ledger.db-wal is: put the ledger back" in refused.stderr
    (post / "pennyred.toml").rename(post / "other.toml")
    for path in post.glob("*.key"):
        path.unlink()
    refused = run("init", str(post), check=False)
    assert refused.returncode == 2
    assert b"ledger.db-wal: exists already" in refused.stderr
    assert (post / "ledger.db-wal").read_bytes() == b"the last of it"
    assert not list(post.glob("*.key"))


def test_what_a_killed_backup_has_left_is_in_nobody_s_way_and_one_under_way_is(post, tmp_path):
    import fcntl

    saved, partial = tmp_path / "saved.db", tmp_path / "saved.db.partial"
    partial.write_bytes(b"half of a ledger" * 1000)
    with partial.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        refused = at(post, "backup", str(saved), check=False)
        assert refused.returncode == 1
        assert b"under way" in refused.stderr
        assert partial.stat().st_size == 16_000
    at(post, "backup", str(saved))
    assert not partial.exists()
    assert heads(saved) is None

"""Whose the files are that commands make, and who may read them: root's hand, the service's files."""

import asyncio
import os
import stat
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.support.kept import copy, keep, quarantine
from tests.support.loopback_office import LoopbackOffice
from tests.support.program import run_json
from tests.support.stationery import NOW

from pennyred.config import read_settings
from pennyred.gate.memory.store import GateState
from pennyred.office.ledger.sqlite import SqliteLedger, migrate_ledger
from pennyred.programs.checks.ownerprobes import owner_complaints
from pennyred.storage import private
from pennyred.storage.database import open_database

SERVICE = 64_123
"""A user that no system has."""
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")


@pytest.fixture(autouse=True)
def careless_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def folder(tmp_path):
    """The service's, with what `init` writes into it."""
    folder = tmp_path / "pennyred"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, SERVICE, SERVICE)
    run_json("init", str(folder))
    return folder


def owners(folder: Path) -> set[tuple[int, int]]:
    return {(one.stat().st_uid, one.stat().st_gid) for one in folder.rglob("*")}


def readable_by_others(folder: Path) -> list[str]:
    return [one.name for one in folder.rglob("*") if stat.S_IMODE(one.stat().st_mode) & 0o077]


@ROOT
def test_whatever_root_makes_belongs_to_the_folders_owner_and_nobody_else_reads_it(folder, tmp_path):
    def admin(*arguments):
        return run_json("--config", str(folder / "pennyred.toml"), *arguments)

    with closing(open_database(folder / "ledger.db")):  # the service has it open: its companions are there
        admin("voucher", "create", "--stamps", "5")
        admin("permit", "add", "bob@example.org", "--domain", "shop.example")
        admin("correspondents", "add", "bob@example.org", "ann@sender.example")
        admin("recipient", "set", "bob@example.org", "--price", "2")
        admin("key", "rotate")
        admin("ledger", "backup", str(folder / "copy.db"))
        assert {"ledger.db-wal", "ledger.db-shm", "gate.db"} <= {one.name for one in folder.iterdir()}
        assert owners(folder) == {(SERVICE, SERVICE)}
        assert readable_by_others(folder) == []
    for one in folder.glob("ledger.db*"):
        one.unlink()
    admin("ledger", "restore", str(folder / "copy.db"))
    keep(quarantine(folder / "refused"), copy(1), copy(2, b"eve@example.org"))
    assert owners(folder) == {(SERVICE, SERVICE)}
    assert readable_by_others(folder) == []


@ROOT
def test_a_senders_wallet_is_the_owners_of_the_folder_above_it(tmp_path):
    above = tmp_path / "ann"
    above.mkdir()
    os.chown(above, SERVICE, SERVICE)
    home = above / ".local" / "share" / "pennyred"
    run_json("init", str(tmp_path / "office"))
    with LoopbackOffice(tmp_path / "office") as office:
        run_json("open", "--office", office.url, "--address", "ann@sender.example", home=home)
    assert (home / "key.pem").exists()
    assert owners(above) == {(SERVICE, SERVICE)}
    assert readable_by_others(above) == []


def test_what_a_user_makes_is_nobody_elses_to_read(folder):
    assert readable_by_others(folder) == []
    with closing(open_database(folder / "gate.db")) as database:
        database.execute("CREATE TABLE one (a)")
        assert {"gate.db-wal", "gate.db-shm"} <= {one.name for one in folder.iterdir()}
        assert readable_by_others(folder) == []


def test_a_database_has_nobody_elses_mode_at_no_moment(tmp_path, monkeypatch):
    """Not made readable and closed afterwards: who opened it meanwhile would read on."""
    seen = []
    connect = open_database.__globals__["apsw"].Connection

    def connecting(path, **how):
        seen.append(stat.S_IMODE(Path(path).stat().st_mode))
        return connect(path, **how)

    monkeypatch.setattr("pennyred.storage.database.apsw.Connection", connecting)
    open_database(tmp_path / "gate.db").close()
    assert seen == [0o600]


def test_what_is_there_is_given_to_nobody(tmp_path):
    path = tmp_path / "there"
    path.write_text("x")
    path.chmod(0o644)
    private.ensure(path)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("x", 0o644)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    private.ensure(link)
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(FileExistsError):
        private.create(path)
    with pytest.raises(FileExistsError):
        private.make_folder(path)
    private.make_folder(tmp_path)


def complaints(folder):
    return {(one.key, one.what, one.expected) for one in owner_complaints(read_settings(folder / "pennyred.toml"))}


@ROOT
def test_check_sees_what_the_service_cannot_use_and_others_may_read(folder):
    assert complaints(folder) == set()
    gate, key, ledger = folder / "gate.db", folder / "office.key", folder / "ledger.db"
    open_database(gate).close()
    os.chown(gate, 0, 0)
    os.chown(key, 0, SERVICE)
    ledger.chmod(0o644)
    assert complaints(folder) == {
        (
            "gate.state",
            f"{gate} belongs to root, and {SERVICE}, whose folder it lies in, may not use it",
            f"chown {SERVICE}: {gate}",
        ),
        (
            "office.signing_key",
            f"{key} belongs to root, and {SERVICE}, whose folder it lies in, may not read it",
            f"chown {SERVICE}: {key}",
        ),
        ("office.ledger", f"{ledger} can be read by others", f"chmod 600 {ledger}"),
    }
    key.chmod(0o640)  # its group may read it, and that is the service's
    assert {one[0] for one in complaints(folder)} == {"gate.state", "office.ledger"}
    said = run_json("--config", str(folder / "pennyred.toml"), "check", check=False)
    assert {"gate.state", "office.ledger"} <= {one["key"] for one in said["complaints"]}


@ROOT
def test_check_looks_into_the_quarantine(folder):
    settings = folder / "pennyred.toml"
    settings.write_text(settings.read_text() + "\n[gate.quarantine]\n")
    refused = quarantine(folder / "refused")
    keep(refused)
    assert complaints(folder) == set()
    [kept] = (folder / "refused").rglob("new/*")
    os.chown(kept, 0, 0)
    assert {one[0] for one in complaints(folder)} == {"gate.quarantine.folder"}


@ROOT
def test_a_user_who_may_not_is_told_which_file_it_is():
    """What root once left behind: the service's log has to name it."""
    with TemporaryDirectory() as outside:  # pytest's own folders are root's alone
        folder = Path(outside)
        os.chown(folder, SERVICE, SERVICE)
        migrate_ledger(folder / "ledger.db", now=NOW)
        asyncio.run(GateState.open(folder / "gate.db", now=NOW).close())
        for path in (folder / "ledger.db", folder / "gate.db"):
            os.chown(path, 0, 0)
        for name, opening in (("ledger.db", SqliteLedger.open), ("gate.db", GateState.open)):
            path = folder / name
            assert _as_service(lambda opening=opening, path=path: opening(path, now=NOW)).startswith(f"{path}: ")


def _as_service(work) -> str:
    """What it raises for a user who is not root, in a process of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setresgid(SERVICE, SERVICE, SERVICE)
        os.setresuid(SERVICE, SERVICE, SERVICE)
        try:
            work()
        except BaseException as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as said:
        return said.read()

"""A sender's key and licence: kept whole, kept secret, and when damaged, said so."""

import stat
from dataclasses import replace

import pytest
from tests.support.stationery import ISSUER, NOW, Stationery

from pennyred.postage.signing import SigningKey
from pennyred.sender.wallet import (
    KEY_FILE,
    WALLET_FILE,
    DamagedWallet,
    LostKey,
    NoWallet,
    Wallet,
    default_home,
    keep_renewed,
    load_account,
    load_key,
    load_wallet,
    save_key,
    save_wallet,
)

DESK = Stationery()
WALLET = Wallet(
    "https://post.example.org",
    ISSUER,
    DESK.account,
    "ann@sender.example",
    DESK.sender_key,
    DESK.licence(),
    {"s1": DESK.office_key.public},
)


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "deep" / "home"
    save_key(folder, WALLET.key)
    save_wallet(folder, WALLET)
    return folder


def test_what_was_kept_comes_back(home):
    again = load_wallet(home)

    assert again.key.public == WALLET.key.public
    assert replace(again, key=WALLET.key) == WALLET


def test_only_the_owner_can_read_it(home):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home, home / KEY_FILE, home / WALLET_FILE)}

    assert modes == {"home": 0o700, KEY_FILE: 0o600, WALLET_FILE: 0o600}


def test_saving_again_leaves_nothing_else_behind(home):
    save_wallet(home, replace(WALLET, address="new@sender.example"))

    assert load_wallet(home).address == "new@sender.example"
    assert sorted(path.name for path in home.iterdir()) == [KEY_FILE, WALLET_FILE]


def test_a_write_that_fails_leaves_the_old_file(home, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_wallet(home, replace(WALLET, address="new@sender.example"))

    assert load_wallet(home).address == WALLET.address
    assert sorted(path.name for path in home.iterdir()) == [KEY_FILE, WALLET_FILE]


def test_without_an_account_the_command_that_opens_one_is_named(tmp_path):
    with pytest.raises(NoWallet, match="run `pennyred open"):
        load_wallet(tmp_path)


def test_a_key_alone_is_an_account_begun(tmp_path):
    assert load_key(tmp_path) is None

    save_key(tmp_path, WALLET.key)

    kept = load_key(tmp_path)
    assert kept is not None
    assert kept.public == WALLET.key.public
    with pytest.raises(NoWallet):
        load_wallet(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (WALLET_FILE, b""),
        (WALLET_FILE, b"\xff"),
        (WALLET_FILE, b"[" * 100_000),
        (WALLET_FILE, b'{"office": "https://post.example.org"}'),
        (KEY_FILE, b"no key"),
        (KEY_FILE, SigningKey.from_seed(b"\x09" * 32).to_pem()),
    ],
)
def test_damaged_files_are_named(home, file, content):
    (home / file).write_bytes(content)

    with pytest.raises(DamagedWallet, match="home"):
        load_wallet(home)


@pytest.mark.parametrize("old", [b'"v=1;', b"ann@", b'"s1": "'])
def test_a_damaged_word_is_found_wherever_it_is_looked_at(home, old):
    path = home / WALLET_FILE
    path.write_bytes(path.read_bytes().replace(old, b'"' if old.startswith(b'"') else b"@", 1))

    with pytest.raises(DamagedWallet):
        load_wallet(home)


def test_a_wallet_without_its_key_is_no_empty_folder(home):
    (home / KEY_FILE).unlink()
    with pytest.raises(LostKey, match=f"--account {WALLET.account}"):
        load_wallet(home)
    assert load_account(home).account == WALLET.account


def test_no_key_is_written_over_another_and_no_account_over_another(home):
    with pytest.raises(FileExistsError):
        save_key(home, SigningKey.from_seed(b"\x09" * 32))
    with pytest.raises(DamagedWallet, match="nothing was overwritten"):
        save_wallet(home, replace(WALLET, account="b" * 16))
    assert load_wallet(home).account == WALLET.account


def test_a_fresh_licence_is_kept_unless_the_wallet_has_another_key_by_now(home):
    later = replace(WALLET, licence=DESK.licence(now=NOW + 1000))
    keep_renewed(home, later)
    assert load_wallet(home).licence == later.licence
    other = SigningKey.from_seed(b"\x09" * 32)
    keep_renewed(home, replace(WALLET, key=other))
    assert load_wallet(home).licence == later.licence
    (home / WALLET_FILE).write_bytes(b"damaged")
    keep_renewed(home, WALLET)
    assert (home / WALLET_FILE).read_bytes() == b"damaged"


def test_a_damaged_key_is_not_replaced_by_a_new_one(home):
    (home / KEY_FILE).write_bytes(b"no key")

    with pytest.raises(DamagedWallet, match=KEY_FILE):
        load_key(home)


def test_the_folder_is_as_the_environment_says(tmp_path):
    assert default_home({"PENNYRED_HOME": str(tmp_path)}) == tmp_path
    assert default_home({}).name == "pennyred"

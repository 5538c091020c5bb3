"""The sender's wallet: the account's key, licence and office, in a folder that only its owner can read."""

import contextlib
import errno
import fcntl
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import platformdirs

from pennyred.postage.address import canonical_recipient
from pennyred.postage.encoding import decode_base64, encode_base64
from pennyred.postage.errors import Malformed
from pennyred.postage.licence import Licence, parse_licence
from pennyred.postage.signing import SigningKey
from pennyred.storage import private

KEY_FILE = "key.pem"
WALLET_FILE = "wallet.json"
FILE_BYTES_MAX = 256 * 1024


class NoWallet(Malformed):
    """The folder holds no account yet."""


class DamagedWallet(Malformed):
    """The wallet's files exist but cannot be read, or do not fit together."""


class LostKey(DamagedWallet):
    """The account is known, but its key file is missing. The account can be recovered with a new key; no second account
    may be opened instead.
    """


@dataclass(frozen=True, slots=True)
class Wallet:
    """One account at one office, with its key."""

    office: str
    """The office's URL."""
    issuer: str
    account: str
    address: str
    key: SigningKey
    licence: Licence
    office_keys: Mapping[str, bytes]
    """The office's public keys by selector, as the office gave them."""


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """A wallet without its key: the content of `wallet.json`."""

    office: str
    issuer: str
    account: str
    address: str
    licence: Licence
    office_keys: Mapping[str, bytes]

    def with_key(self, key: SigningKey) -> Wallet:
        """The whole wallet, made from this account and its key."""
        return Wallet(self.office, self.issuer, self.account, self.address, key, self.licence, self.office_keys)


class _Stored(msgspec.Struct, frozen=True):
    office: str
    issuer: str
    account: str
    address: str
    licence: str
    office_keys: dict[str, str]


def default_home(environment: Mapping[str, str]) -> Path:
    """The wallet's folder: `$PENNYRED_HOME`, else the platform's folder for a user's data."""
    return Path(environment.get("PENNYRED_HOME") or platformdirs.user_data_path("pennyred"))


def load_wallet(home: Path) -> Wallet:
    """Read the wallet; raises `NoWallet`, `LostKey`, `DamagedWallet`, OSError."""
    account = load_account(home)
    if account is None:
        raise NoWallet(
            f"no account in {home}: run `pennyred open --office URL --address ADDR`, or copy that folder from the"
            " machine that has the account"
        )
    key = load_key(home)
    if key is None:
        raise LostKey(
            f"{home / KEY_FILE}, the key of the account {account.account}, is not there: put it back from a copy, or"
            f" get a new one with  {recovery(account)}"
        )
    if account.licence.public_key != key.public:
        raise DamagedWallet(
            f"{home}: {KEY_FILE} is not the key of the account {account.account} in {WALLET_FILE}: put that back from a"
            f" copy, or, where it is a new one, go on with  {recovery(account)}"
        )
    return account.with_key(key)


def recovery(account: StoredAccount) -> str:
    """The command line that recovers an account whose key is lost."""
    address = shlex.quote(account.address)
    return f"pennyred open --office {account.office} --address {address} --account {account.account}"


def load_account(home: Path) -> StoredAccount | None:
    """Read everything but the key; None if nothing is stored. Raises `DamagedWallet`, OSError."""
    try:
        text = _content(home / WALLET_FILE)
    except FileNotFoundError:
        return None
    try:
        stored = msgspec.json.decode(text, type=_Stored)
        licence = parse_licence(stored.licence.encode())
        keys = {selector: decode_base64(key.encode(), length=32) for selector, key in stored.office_keys.items()}
        canonical_recipient(stored.address)
        _require_same_account(stored, licence)
    except (Malformed, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DamagedWallet(
            f"{home / WALLET_FILE} cannot be read ({error}): move it away and run `pennyred open` again; the key beside"
            " it finds its account"
        ) from error
    return StoredAccount(stored.office, stored.issuer, stored.account, stored.address, licence, keys)


def _require_same_account(stored: _Stored, licence: Licence) -> None:
    if licence.account != stored.account:
        raise Malformed("its licence is of another account")


def load_key(home: Path) -> SigningKey | None:
    """Read the key alone; None if there is none. It may be older than the account. Raises `DamagedWallet`, OSError."""
    try:
        return SigningKey.from_pem(_content(home / KEY_FILE))
    except FileNotFoundError:
        return None
    except Malformed as error:
        raise DamagedWallet(
            f"{home / KEY_FILE}: {error}: put it back from a copy, or move it away and run `pennyred balance`, which"
            " says how the account is had again with a new key"
        ) from error


def save_key(home: Path, key: SigningKey) -> None:
    """Store the key, before any office is told of it: an account whose key is lost cannot be used.

    It never replaces another key: raises FileExistsError. Call it inside `locked`.
    """
    private.make_folder(home)
    path = home / KEY_FILE
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    private.replace_file(path, key.to_pem())


def save_wallet(home: Path, wallet: Wallet) -> None:
    """Store everything but the key (see `save_key`). Raises `DamagedWallet` rather than replace another account."""
    private.make_folder(home)
    there = load_account(home)
    if there is not None and there.account != wallet.account:
        raise DamagedWallet(f"{home} holds the account {there.account} at {there.office}; nothing was overwritten")
    stored = _Stored(
        wallet.office,
        wallet.issuer,
        wallet.account,
        wallet.address,
        wallet.licence.encoded.decode(),
        {selector: encode_base64(key).decode() for selector, key in wallet.office_keys.items()},
    )
    private.replace_file(home / WALLET_FILE, msgspec.json.format(msgspec.json.encode(stored)) + b"\n")


def keep_renewed(home: Path, wallet: Wallet) -> None:
    """Store a fresh licence, unless the wallet now has another key or account. Errors are ignored: a licence can be
    fetched again.
    """
    with contextlib.suppress(OSError, DamagedWallet), locked(home):
        there = load_account(home)
        if there is not None and there.licence.public_key == wallet.key.public:
            save_wallet(home, wallet)


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Lock the folder, so that nobody else opens or recovers an account in it; creates the folder. Raises OSError."""
    private.make_folder(home)
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)  # this also releases the lock, as does the end of the program


def _content(path: Path) -> bytes:
    with path.open("rb") as opened:
        return opened.read(FILE_BYTES_MAX)

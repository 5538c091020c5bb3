"""A sender's own: the account's key, licence and office, in a folder that only its owner can read."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import platformdirs

from pennyred.postage.address import canonical_recipient
from pennyred.postage.encoding import decode_base64, encode_base64
from pennyred.postage.errors import Malformed
from pennyred.postage.licence import Licence, parse_licence
from pennyred.postage.signing import SigningKey

KEY_FILE = "key.pem"
WALLET_FILE = "wallet.json"
FILE_BYTES_MAX = 256 * 1024


class NoWallet(Malformed):
    """There is no account yet."""


class DamagedWallet(Malformed):
    """The files are there and cannot be read as what they should be."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """One account at one office."""

    office: str
    """The office's URL."""
    issuer: str
    account: str
    address: str
    key: SigningKey
    licence: Licence
    office_keys: Mapping[str, bytes]
    """The office's public keys by selector, as it told them."""


class _Stored(msgspec.Struct, frozen=True):
    office: str
    issuer: str
    account: str
    address: str
    licence: str
    office_keys: dict[str, str]


def default_home(environment: Mapping[str, str]) -> Path:
    """`$PENNYRED_HOME`, else the platform's folder for a user's data."""
    return Path(environment.get("PENNYRED_HOME") or platformdirs.user_data_path("pennyred"))


def load_wallet(home: Path) -> Wallet:
    """Read the wallet; raises `NoWallet`, `DamagedWallet`, OSError."""
    try:
        text, pem = _content(home / WALLET_FILE), _content(home / KEY_FILE)
    except FileNotFoundError as error:
        raise NoWallet(f"no account in {home}: run `pennyred open --office URL --address ADDR`") from error
    try:
        stored = msgspec.json.decode(text, type=_Stored)
        wallet = Wallet(
            stored.office,
            stored.issuer,
            stored.account,
            stored.address,
            SigningKey.from_pem(pem),
            parse_licence(stored.licence.encode()),
            {selector: decode_base64(key.encode(), length=32) for selector, key in stored.office_keys.items()},
        )
        canonical_recipient(wallet.address)
    except (Malformed, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DamagedWallet(f"{home}: the wallet cannot be read: {error}") from error
    if (wallet.licence.account, wallet.licence.public_key) != (wallet.account, wallet.key.public):
        raise DamagedWallet(f"{home}: {KEY_FILE} is not the key of the account in {WALLET_FILE}")
    return wallet


def load_key(home: Path) -> SigningKey | None:
    """The key alone, where opening an account was begun; raises `DamagedWallet`, OSError."""
    try:
        return SigningKey.from_pem(_content(home / KEY_FILE))
    except FileNotFoundError:
        return None
    except Malformed as error:
        raise DamagedWallet(f"{home / KEY_FILE}: {error}") from error


def save_key(home: Path, key: SigningKey) -> None:
    """Keep the key before any office hears of it: an account whose key is lost cannot be used."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(home / KEY_FILE, key.to_pem())


def save_wallet(home: Path, wallet: Wallet) -> None:
    """Write everything but the key, which `save_key` has written."""
    stored = _Stored(
        wallet.office,
        wallet.issuer,
        wallet.account,
        wallet.address,
        wallet.licence.encoded.decode(),
        {selector: encode_base64(key).decode() for selector, key in wallet.office_keys.items()},
    )
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(home / WALLET_FILE, msgspec.json.format(msgspec.json.encode(stored)) + b"\n")


def _content(path: Path) -> bytes:
    with path.open("rb") as opened:
        return opened.read(FILE_BYTES_MAX)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file 0600, whole or not at all: beside it first, then in its place, then the folder to disk."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

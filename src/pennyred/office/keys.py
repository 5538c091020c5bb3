"""An office's signing keys, PEM files: the newest key signs, all of them verify.

The first is the file that the settings name (`office.key`, selector `s1`). Each rotation adds one beside it
(`office-s2.key`, selector `s2`, and so on). To retire a key, delete its file when no licence signed by it is valid any
more.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pennyred.postage.errors import MalformedKey
from pennyred.postage.signing import SigningKey
from pennyred.storage import private

KEYS_MAX = 100
"""How many keys are read, the newest ones, because the newest must sign."""
KEY_FILE_BYTES_MAX = 64 * 1024


class OfficeKeys:
    """The keys of one office. `public_keys` is always the same mapping; `reload` and `look_for` change its content."""

    def __init__(self, first: Path) -> None:
        """Read the key file `first` and those beside it; raises OSError, or `MalformedKey` with the file's name."""
        self._first = first
        self._keys: dict[str, SigningKey] = {}
        self._public: dict[str, bytes] = {}
        self._looked_at = 0
        self.reload()

    @property
    def public_keys(self) -> Mapping[str, bytes]:
        """The public keys (32 bytes each) by selector."""
        return self._public

    @property
    def newest(self) -> tuple[str, SigningKey]:
        """The selector and the key that sign now."""
        selector = max(self._keys, key=_number)
        return selector, self._keys[selector]

    def look_for(self, selector: str) -> None:
        """Read a key that was added since, if it has this selector, and verify with it; the signing key stays the same.

        Workers and offices on one ledger do not read their files at the same moment. One that was restarted may sign
        with a key that the others have not read yet, and an honest stamp must not be refused for that. But strangers
        can invent selectors, so the files are read only if the folder has changed since the last time.
        """
        if selector in self._public:
            return
        try:
            changed_at = self._first.parent.stat().st_mtime_ns
            if changed_at == self._looked_at:
                return
            found = self.read()
        except (OSError, MalformedKey):
            return  # perhaps a file is just being written; `reload` tells what is wrong
        self._looked_at = changed_at
        for name, key in found.items():
            self._public.setdefault(name, key.public)

    def reload(self) -> None:
        """Read the files again; raises as `read` does, and then the keys stay as they were."""
        self.take(self.read())

    def read(self) -> Mapping[str, SigningKey]:
        """The keys in the files now, by selector; raises OSError and `MalformedKey`, also if there is none."""
        keys = {selector: _read(path) for selector, path in key_files(self._first).items()}
        if not keys:
            raise MalformedKey(
                f"{self._first}: no signing key; put it back from a backup, or let `pennyred key rotate` make a new one"
            )
        return keys

    def take(self, keys: Mapping[str, SigningKey]) -> None:
        """Sign and verify with these keys from now on."""
        self._keys = dict(keys)
        self._public.clear()
        self._public.update((selector, key.public) for selector, key in keys.items())


def key_files(first: Path) -> dict[str, Path]:
    """The key files that exist, by selector, oldest first."""
    pattern = re.compile(re.escape(first.stem) + r"-(s[1-9][0-9]{0,3})" + re.escape(first.suffix))
    found = {"s1": first} if first.exists() else {}
    for path in sorted(first.parent.iterdir()) if first.parent.is_dir() else []:
        if match := pattern.fullmatch(path.name):
            found[match[1]] = path
    return dict(sorted(found.items(), key=lambda item: _number(item[0]))[-KEYS_MAX:])


def add_key(first: Path, seed: bytes) -> tuple[str, Path]:
    """Write a new key file, made from 32 random bytes; returns its selector and path.

    It never replaces a file: raises FileExistsError, OSError.
    """
    existing = key_files(first)
    number = max((_number(selector) for selector in existing), default=0) + 1
    path = first if number == 1 else first.with_name(f"{first.stem}-s{number}{first.suffix}")
    private.write_new(path, SigningKey.from_seed(seed).to_pem())
    if existing and os.geteuid() == 0:  # root makes the key, but the service must read it
        owner = existing[max(existing, key=_number)].stat()
        os.chown(path, owner.st_uid, owner.st_gid)
    return f"s{number}", path


def _read(path: Path) -> SigningKey:
    with path.open("rb") as opened:
        pem = opened.read(KEY_FILE_BYTES_MAX)
    try:
        return SigningKey.from_pem(pem)
    except MalformedKey as error:
        raise MalformedKey(f"{path}: {error}") from error


def _number(selector: str) -> int:
    return int(selector[1:])

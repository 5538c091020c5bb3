"""An office's signing keys: files in PEM; the newest signs, all verify.

The first is the file the settings name (`office.key`, selector `s1`); each rotation adds one beside it
(`office-s2.key`, selector `s2`, and so on). A key is taken out of use by deleting its file, once no licence signed by
it is valid.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pennyred.postage.errors import MalformedKey
from pennyred.postage.signing import SigningKey
from pennyred.storage import private

KEYS_MAX = 100
"""Beyond, the oldest are passed over: the newest has to sign."""
KEY_FILE_BYTES_MAX = 64 * 1024


class OfficeKeys:
    """The keys of one office; `public_keys` stays one mapping, whose content `reload` renews and `look_for` adds to."""

    def __init__(self, first: Path) -> None:
        """Read the keys at and beside `first`; raises OSError, or `MalformedKey` with the file's name."""
        self._first = first
        self._keys: dict[str, SigningKey] = {}
        self._public: dict[str, bytes] = {}
        self._looked_at = 0
        self.reload()

    @property
    def public_keys(self) -> Mapping[str, bytes]:
        """The public keys by selector."""
        return self._public

    @property
    def newest(self) -> tuple[str, SigningKey]:
        """The selector and key that sign."""
        selector = max(self._keys, key=_number)
        return selector, self._keys[selector]

    def look_for(self, selector: str) -> None:
        """Verify by a key that was added since, if that is its name; who signs, and by what, is for `reload` to change.

        Workers and offices of one ledger do not read their files at the same moment: one that was started anew may
        sign with a key that the others have not read yet, and an honest stamp must not be refused for that. Names are a
        stranger's to invent, so the files are looked at only where there are others than the last time.
        """
        if selector in self._public:
            return
        try:
            changed_at = self._first.parent.stat().st_mtime_ns
            if changed_at == self._looked_at:
                return
            found = self.read()
        except (OSError, MalformedKey):
            return  # one that is being written, perhaps; what is wrong is said when they are to be taken over
        self._looked_at = changed_at
        for name, key in found.items():
            self._public.setdefault(name, key.public)

    def reload(self) -> None:
        """Read the files again; on error the keys stay as they were."""
        self.take(self.read())

    def read(self) -> Mapping[str, SigningKey]:
        """What the files have now, by selector; raises OSError and `MalformedKey`."""
        keys = {selector: _read(path) for selector, path in key_files(self._first).items()}
        if not keys:
            raise MalformedKey(
                f"{self._first}: no signing key; put it back from a backup, or let `pennyred key rotate` make a new one"
            )
        return keys

    def take(self, keys: Mapping[str, SigningKey]) -> None:
        """Sign and verify by these from now on."""
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
    """Write a new key beside the others, or the first one; never over another. Returns its selector and file."""
    existing = key_files(first)
    number = max((_number(selector) for selector in existing), default=0) + 1
    path = first if number == 1 else first.with_name(f"{first.stem}-s{number}{first.suffix}")
    write_secret(path, SigningKey.from_seed(seed).to_pem())
    if existing and os.geteuid() == 0:  # the administrator's hand, the service's key, wherever it lies
        owner = existing[max(existing, key=_number)].stat()
        os.chown(path, owner.st_uid, owner.st_gid)
    return f"s{number}", path


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that only its folder's owner may read, durably; raises FileExistsError rather than overwrite."""
    with os.fdopen(private.create(path), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def _read(path: Path) -> SigningKey:
    with path.open("rb") as opened:
        pem = opened.read(KEY_FILE_BYTES_MAX)
    try:
        return SigningKey.from_pem(pem)
    except MalformedKey as error:
        raise MalformedKey(f"{path}: {error}") from error


def _number(selector: str) -> int:
    return int(selector[1:])

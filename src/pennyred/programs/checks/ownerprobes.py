"""Checks whether the service's user can use its files: `pennyred check` is often run by root, who can use all.

The service runs as the user who owns its folder. So each file is checked for the owner of the folder that it is in; if
that is root, root runs the service. It is also checked that nobody else can read what is secret.
"""

import pwd
import stat
from collections.abc import Iterator
from itertools import chain, islice
from os import stat_result
from pathlib import Path

from pennyred.config import Complaint, GateSettings, OfficeSettings, Settings
from pennyred.office.keys import key_files

_READ, _WRITE, _ENTER = 4, 2, 1
_BESIDE_DATABASES = ("", "-wal", "-shm", "-journal")
_LOOKED_AT_MAX = 10_000
"""The most files and folders of a quarantine that are checked."""

_Need = tuple[str, Path, int]
"""The setting that names a file, the file, and the access that the service needs (as for os.access)."""


def owner_complaints(settings: Settings) -> list[Complaint]:
    """Complaints about files that the service's user cannot use, and about secrets that others can read."""
    needs = list(chain([("", settings.file, _READ)], _of_gate(settings.gate), _of_office(settings.office)))
    needs += [(f"issuer[{one.domain}].token_file", one.token_file, _READ) for one in settings.issuer if one.token_file]
    found = [Complaint(str(settings.file), key, *flaw) for key, path, want in needs if (flaw := _unusable(path, want))]
    return found + [
        Complaint(str(settings.file), key, *flaw) for key, path in _secret(settings) if (flaw := _open(path))
    ]


def _of_gate(gate: GateSettings | None) -> Iterator[_Need]:
    if gate is None:
        return
    for key in ("tls_certificate", "tls_key", "pass_key", "upstream_tls_ca"):
        path = getattr(gate, key)
        if path is not None:
            yield f"gate.{key}", path, _READ
    yield from _database("gate.state", gate.state)
    if gate.spool is not None:
        yield "gate.spool", gate.spool, _WRITE | _ENTER
    if gate.quarantine is not None:
        folder = gate.quarantine.folder
        yield "gate.quarantine.folder", folder, _READ | _WRITE | _ENTER
        for path in islice(folder.rglob("*"), _LOOKED_AT_MAX):
            yield "gate.quarantine.folder", path, _READ | _WRITE | (_ENTER if path.is_dir() else 0)


def _of_office(office: OfficeSettings | None) -> Iterator[_Need]:
    if office is None:
        return
    for key in ("tls_certificate", "tls_key"):
        path = getattr(office, key)
        if path is not None:
            yield f"office.{key}", path, _READ
    for path in key_files(office.signing_key).values():
        yield "office.signing_key", path, _READ
    yield from _database("office.ledger", office.ledger)


def _database(key: str, database: Path | str) -> Iterator[_Need]:
    if isinstance(database, Path):
        for end in _BESIDE_DATABASES:
            yield key, database.with_name(database.name + end), _READ | _WRITE


def _secret(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Secret files with the settings that name them; `probes` checks keys itself."""
    gate, office = settings.gate, settings.office
    if gate is not None and isinstance(gate.state, Path):
        yield "gate.state", gate.state
    if gate is not None and gate.quarantine is not None:
        yield "gate.quarantine.folder", gate.quarantine.folder
    if office is not None and isinstance(office.ledger, Path):
        yield "office.ledger", office.ledger


def _unusable(path: Path, want: int) -> tuple[str, str] | None:
    """What is wrong and what to do, if the folder's owner does not have the needed access; else None."""
    try:
        folder, file = path.parent.stat(), path.stat()
    except OSError:
        return None  # a missing file, or one that this user cannot see, is reported elsewhere
    if folder.st_uid == 0 or _allowed(file, folder) & want == want:
        return None
    owner = _name(folder.st_uid)
    verb = "use" if want & _WRITE else "read"
    what = f"{path} belongs to {_name(file.st_uid)}, and {owner}, whose folder it lies in, may not {verb} it"
    return what, f"chown {owner}: {path}"


def _allowed(file: stat_result, user: stat_result) -> int:
    """The access bits to a file for the owner (and group) of another file."""
    mode = stat.S_IMODE(file.st_mode)
    if file.st_uid == user.st_uid:
        return mode >> 6 & 7
    return (mode >> 3 if file.st_gid == user.st_gid else mode) & 7


def _open(path: Path) -> tuple[str, str] | None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"{path} can be read by others", f"chmod {'700' if stat.S_ISDIR(mode) else '600'} {path}"
    return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

"""Checks whether the service's user can run the program: if root installed it with umask 077, nobody else can.

systemd says 203/EXEC then, though the settings are right. So this checks the access of that user to the program, its
interpreter, its package, all modules that this run has loaded, and the folders above them.
"""

import os
import pwd
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pennyred
from pennyred.config import Complaint, Settings

_READ, _RUN = 4, 1
_ACCESS_LIST = "system.posix_acl_access"
"""If a file has this attribute, its mode does not tell who has access (acl(5))."""


@dataclass(frozen=True, slots=True)
class User:
    """A user who runs the service."""

    uid: int
    name: str
    groups: frozenset[int]

    def may(self, want: int, path: Path) -> bool:
        """Whether the user has this access to a file or folder, as far as it can be seen."""
        try:
            file = path.stat()
        except OSError:
            return True  # what the present user cannot see is reported elsewhere
        mode = stat.S_IMODE(file.st_mode)
        others = mode >> 3 if file.st_gid in self.groups else mode
        allowed = mode >> 6 if file.st_uid == self.uid else others
        return allowed & want == want or _has_access_list(path)


def program_complaints(
    settings: Settings, *, prefix: Path = Path(sys.prefix), needs: Iterable[tuple[Path, int]] | None = None
) -> list[Complaint]:
    """Complaints: for each owner of the service's files, the first file that this user cannot use.

    `prefix` is where the program is installed. `needs` are files with the needed access (bits of a mode); by default
    all files of the program.
    """
    users = {user.uid: user for user in _users(settings)}
    users.pop(os.geteuid(), None)  # this user is running it now
    if not users:
        return []
    wanted = list(_program() if needs is None else needs)
    found = []
    for user in users.values():
        flaw = next(_in_the_way(user, wanted), None)
        if flaw is not None:
            verb = "enter" if flaw.is_dir() else "read or execute"
            whose = f"{user.name}, to whom the service's folder belongs,"
            what = f"{whose} may not {verb} {flaw}, so it cannot run the program"
            found.append(Complaint(str(settings.file), "", what, _remedy(flaw, prefix)))
    return found


def _users(settings: Settings) -> Iterator[User]:
    """The owners of the folders that hold the service's own files; without root, who has all access."""
    databases = [
        settings.gate.state if settings.gate is not None else None,
        settings.office.ledger if settings.office is not None else None,
    ]
    for path in (settings.file, *databases):
        if not isinstance(path, Path):
            continue
        try:
            folder = path.resolve().parent.stat()
        except OSError:
            continue
        if folder.st_uid != 0:
            yield _user(folder.st_uid, folder.st_gid)


def _user(uid: int, gid: int) -> User:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return User(uid, str(uid), frozenset({gid}))
    return User(uid, entry.pw_name, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid)))


def _program() -> Iterator[tuple[Path, int]]:
    interpreter = Path(sys.executable)
    yield interpreter, _RUN
    script = interpreter.with_name("pennyred")
    if script.exists():
        yield script, _READ | _RUN
    for path in Path(pennyred.__file__).parent.rglob("*"):
        if not path.is_dir() and path.suffix != ".pyc":
            yield path, _READ
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and Path(file).is_absolute():
            yield Path(file), _READ


def _in_the_way(user: User, needs: Iterable[tuple[Path, int]]) -> Iterator[Path]:
    """The files and folders that the user cannot use as needed; a folder comes before what is in it."""
    entered: set[Path] = set()
    for path, want in needs:
        for way in (path, path.resolve()):
            for folder in reversed(way.parents):
                if folder not in entered:
                    entered.add(folder)
                    if not user.may(_RUN, folder):
                        yield folder
        if not user.may(want, path):
            yield path


def _remedy(flaw: Path, prefix: Path) -> str:
    if flaw == prefix or prefix in flaw.parents:
        return f"an installation that others can read (umask 022): chmod -R go+rX {prefix}"
    return "a program in a place that the service's user can reach, like /opt"


def _has_access_list(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, _ACCESS_LIST))
    except (OSError, AttributeError):
        return False

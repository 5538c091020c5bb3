"""Files and folders that nobody else may read, from the first instant; and whose they are where root makes them.

A command that an administrator runs as root must not leave what the service cannot use: whatever is made belongs to who
owns the folder it is made in. Nothing that is there already is given to anybody.
"""

import os
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def create(path: Path) -> int:
    """A new, empty file, open for writing; returns its descriptor. Raises FileExistsError, OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        give_to_owner(descriptor, path.parent)
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor


def ensure(path: Path) -> None:
    """An empty file, unless there is something."""
    try:
        os.close(create(path))
    except FileExistsError:
        return


def make_folder(folder: Path) -> None:
    """A new folder, and those above it that are missing; harmless where it is there. Raises OSError."""
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for one in reversed(missing):
        try:
            make_folder_in(one)
        except FileExistsError:
            if not one.is_dir():
                raise


def make_folder_in(folder: Path) -> None:
    """A new folder in one that is there. Raises FileExistsError, FileNotFoundError, OSError."""
    folder.mkdir(FOLDER_MODE)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        give_to_owner(descriptor, folder.parent)
    finally:
        os.close(descriptor)


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Where root works: what was just made is the folder's owner's."""
    if os.geteuid() != 0:
        return
    owner = folder.stat()
    if (owner.st_uid, owner.st_gid) != (0, 0):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)

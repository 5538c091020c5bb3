"""Create files and folders that nobody else may read, from the first instant.

A command that an administrator runs as root must not leave files that the service cannot use. So what root creates
belongs to the owner of the folder it is created in. The owner of existing files is never changed.
"""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def create(path: Path) -> int:
    """Create an empty file and open it for writing; returns its descriptor. Raises FileExistsError, OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        give_to_owner(descriptor, path.parent)
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor


def ensure(path: Path) -> None:
    """Create an empty file, unless the path exists. Raises OSError."""
    try:
        os.close(create(path))
    except FileExistsError:
        return


def write_new(path: Path, content: bytes) -> None:
    """Write a new file (mode 0600) as a whole or not at all, and sync it to disk; it never replaces one.

    Raises FileExistsError, OSError.
    """
    with _beside(path, content) as written:
        try:
            os.link(written, path)  # unlike a rename, never over another
        except FileExistsError as error:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file (mode 0600) as a whole or not at all, and sync it to disk. Raises OSError."""
    with _beside(path, content) as written:
        written.replace(path)


@contextlib.contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """A file beside `path` with this content, on the disk. In the end it is gone, and the folder is on the disk."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(create(beside), "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        yield beside
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_folder(folder: Path) -> None:
    """Create a folder, and those above it that are missing; does nothing if it exists. Raises OSError."""
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
    """Create a folder in an existing one. Raises FileExistsError, FileNotFoundError, OSError."""
    folder.mkdir(FOLDER_MODE)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        give_to_owner(descriptor, folder.parent)
    finally:
        os.close(descriptor)


def give_to_owner(descriptor: int, folder: Path) -> None:
    """If we are root, give a file or folder just created to the owner of `folder`."""
    if os.geteuid() != 0:
        return
    owner = folder.stat()
    if (owner.st_uid, owner.st_gid) != (0, 0):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def give_to_owner_at(path: Path) -> None:
    """The same for what cannot be opened, such as a socket just bound. Raises OSError."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

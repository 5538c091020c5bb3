"""Programs that refuse to run as root, started by root for another user, who may enter few folders.

A checkout often lies in root's own folder, which is closed (0700), and so may be the folder for temporary files.
"""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

USER, GROUP = "nobody", "nogroup"


def as_other_user() -> tuple[str, ...]:
    """What to put before a command; nothing where the tests do not run as root."""
    if os.geteuid():
        return ()
    missing = [name for name in ("setpriv", "test") if shutil.which(name) is None]
    assert not missing, f"needs {' and '.join(missing)} (apt-get install util-linux coreutils)"
    return ("setpriv", f"--reuid={USER}", f"--regid={GROUP}", "--clear-groups")


def may_enter(folder: Path) -> bool:
    """Whether that user can get there and look around."""
    done = subprocess.run(
        [*as_other_user(), "test", "-r", folder, "-a", "-x", folder], stderr=subprocess.DEVNULL, check=False, cwd="/"
    )
    return done.returncode == 0


@functools.cache
def _temporary_root() -> str:
    """The folder for temporary files, or where it is closed to that user another that is not."""
    places = (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")
    open_to_all = [place for place in places if os.access(place, os.W_OK) and may_enter(Path(place))]
    assert open_to_all, f"needs a folder for temporary files that {USER} may enter: none of {', '.join(places)}"
    return open_to_all[0]


def open_folder(prefix: str) -> Path:
    """A new folder that other users may enter; whoever asks removes it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_temporary_root()))
    folder.chmod(0o755)
    return folder


@functools.cache
def reachable(folder: Path, *beside: Path) -> Path:
    """A folder of programs as it is, or a copy of it that the other user may enter, gone when the tests end.

    What it needs `beside` it (libraries) comes along.
    """
    if all(may_enter(one) and _are_open(one) for one in (folder, *beside)):
        return folder
    copies = open_folder("pennyred-programs-")
    atexit.register(shutil.rmtree, copies, ignore_errors=True)
    for one in (folder, *beside):
        shutil.copytree(one, copies / one.name, symlinks=True)
    for path in copies.rglob("*"):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
    return copies / folder.name


def _are_open(folder: Path) -> bool:
    """Whether all may read what is in it: it may have been installed with a closed umask."""
    return all(path.stat().st_mode & 0o004 for path in folder.rglob("*") if path.is_file())

"""A disk that forgets what was not flushed, under SQLite: what a file has after a cut of the power.

Everything SQLite writes goes to the real file, as the kernel would show it to every process, and into a list of what
the disk may or may not have. A flush of a file makes the disk have all of it. A cut leaves any part of the rest, in
sectors: the disk writes in whatever order it likes.
"""

import random
import threading
from pathlib import Path

import apsw

SECTOR = 512


class Disk:
    """What is on the disk of each file, by name, and what is not yet."""

    def __init__(self) -> None:
        self.durable: dict[str, bytearray] = {}
        self.pending: dict[str, list[tuple[int, bytes | None]]] = {}
        self.flushes = 0
        self._lock = threading.Lock()

    def write(self, name: str, offset: int, data: bytes | None) -> None:
        """Write `data`; None cuts the file off at `offset`."""
        with self._lock:
            self.pending.setdefault(name, []).append((offset, data))

    def flush(self, name: str) -> None:
        with self._lock:
            self.flushes += 1
            for offset, data in self.pending.pop(name, []):
                _apply(self.durable.setdefault(name, bytearray()), offset, data)

    def forget(self, name: str) -> None:
        with self._lock:
            self.durable.pop(name, None)
            self.pending.pop(name, None)

    def cut(self, chance: random.Random) -> dict[str, bytes]:
        """The files after a cut now: what was flushed, and any sectors of what was not."""
        share = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        with self._lock:
            left = {name: bytearray(content) for name, content in self.durable.items()}
            for name, writes in self.pending.items():
                content = left.setdefault(name, bytearray())
                for offset, data in writes:
                    if data is None:
                        if chance.random() < share:
                            _apply(content, offset, None)
                        continue
                    for start in range(0, len(data), SECTOR):
                        if chance.random() < share:
                            _apply(content, offset + start, data[start : start + SECTOR])
        return {name: bytes(content) for name, content in left.items()}


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, base: str, name: object, flags: list[int]) -> None:
        self._disk = disk
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else str(name)).name
        super().__init__(base, name, flags)

    def xWrite(self, data, offset):  # noqa: N802 - SQLite's name
        self._disk.write(self._name, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, newsize):  # noqa: N802
        self._disk.write(self._name, newsize, None)
        super().xTruncate(newsize)

    def xSync(self, flags):  # noqa: N802
        self._disk.flush(self._name)


class ForgetfulVfs(apsw.VFS):
    """SQLite's way to the files, with such a disk; the default until `unregister`."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__("forgetful", "unix", makedefault=True)

    def xOpen(self, name, flags):  # noqa: N802
        return _File(self._disk, "unix", name, flags)

    def xDelete(self, filename, syncdir):  # noqa: N802
        self._disk.forget(Path(filename).name)
        super().xDelete(filename, syncdir)


def put_down(files: dict[str, bytes], folder: Path) -> None:
    """Make the files of a cut in a folder."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)

"""Copies of refused letters, for some days: whoever misses one can have it, though its sender was told no.

No index beside the files: what is listed is what is there. Workers, commands and mail programs share the folder.
"""

import heapq
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from pennyred.failures import told
from pennyred.postage.errors import Malformed, PennyRedError, Unavailable
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.reasons import Reason
from pennyred.state import maildir
from pennyred.state.keptletter import HEAD_BYTES_MAX, KeptLetter, Origin, format_head, parse_head
from pennyred.state.maildir import Found
from pennyred.state.readable import readable_field
from pennyred.state.threads import to_its_end

LISTED_MAX = 10_000
SWEPT_MAX = 10_000
"""Files a sweep removes, so that none takes minutes."""
FILES_LOOKED_AT_MAX = 1_000_000
_BEGINNING_BYTES = HEAD_BYTES_MAX + 128 * 1024
"""Of a file that is listed: From and Subject stand in the first 128 KiB, or are not shown."""
_READ_BYTES = 256 * 1024
_SECONDS_PER_DAY = 86_400
_PREFIX = re.compile(r"[0-9a-f]{4,64}")
_SWEEPS_A_ROOM = 16
"""A worker sweeps when it has kept the sixteenth part of what may be kept, so that no more is ever too much."""


class UnknownLetter(PennyRedError):  # noqa: N818 - an outcome with a name, like a rule's
    """No kept letter has this id, or it has gone meanwhile."""

    reason = "unknown-letter"


class AmbiguousLetter(Malformed):
    """Several kept letters begin with this id."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy to keep."""

    recipient: bytes
    """The mailbox as received."""
    reason: str
    letter_hash: bytes
    """32 bytes that name the letter and its recipient: a retry has the same."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep has done."""

    removed: int
    disk_bytes: int
    """What is left."""
    is_done: bool
    """False where there was more to remove than one sweep does."""


class Quarantine:
    """The folder; nothing is opened or made before the first letter."""

    def __init__(self, folder: Path, *, days: int, bytes_max: int) -> None:
        self._folder = folder
        self._days = days
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._unswept = bytes_max  # the first letter sweeps: another process may have left much

    async def keep(
        self, origin: Origin, copies: Sequence[Copy], header: bytes, body: Iterable[bytes], size: int
    ) -> int:
        """Keep a letter of `size` bytes (`header`, then `body`) for each of its recipients.

        A copy that is there already is not written again: a retry costs nothing.

        Returns how many were left out, because all together are more than `bytes_max`; for one of usual size, 0.
        When this returns, they survive a crash. Raises `Unavailable` where the disk does not answer: then some may be
        there, and a retry makes up for the rest.
        """
        try:
            return await to_its_end(lambda: self._keep(origin, copies, header, body, size))
        except OSError as error:
            raise Unavailable(Reason.INTERNAL, f"quarantine: {told(error)}") from error

    async def sweep(self, now: int) -> Swept:
        """Remove what is older than `days`, then the oldest until the rest is within `bytes_max`.

        Raises `Unavailable` where the disk does not answer.
        """
        try:
            return await to_its_end(lambda: self.sweep_now(now))
        except OSError as error:
            raise Unavailable(Reason.INTERNAL, f"quarantine: {told(error)}") from error

    def sweep_now(self, now: int, *, room: int = 0) -> Swept:
        """The same for who may block; `room` is to be left free. Raises OSError."""
        found = sorted(self._all())
        left = sum(one.disk_bytes for one in found)
        too_old = now - self._days * _SECONDS_PER_DAY
        removed = 0
        for one in found:
            if one.at >= too_old and left <= self._bytes_max - room:
                break
            if removed == SWEPT_MAX:
                return Swept(removed, left, is_done=False)
            one.path.unlink(missing_ok=True)
            left -= one.disk_bytes
            removed += 1
        for folder in maildir.folders_in(self._folder):
            maildir.tidy(folder, now)
        return Swept(removed, left, is_done=True)

    def listed(
        self, recipient: str | None = None, since: int | None = None, *, limit: int = LISTED_MAX
    ) -> list[KeptLetter]:
        """What is there, newest first, at most `limit`: of one recipient, or since a time (seconds). Raises OSError."""
        where = None if recipient is None else [self._folder / maildir.folder_name(recipient.encode())]
        found = (one for one in self._all(where) if since is None or one.at >= since)
        read = (_read(one) for one in heapq.nlargest(limit, found))
        return [letter for letter in read if letter is not None]

    def find(self, letter_id: str) -> KeptLetter:
        """The letter whose name begins so.

        Raises `UnknownLetter`, `AmbiguousLetter`, `Malformed` for what is no id, and OSError.
        """
        if not _PREFIX.fullmatch(letter_id):
            raise Malformed(f"{letter_id[:80]!r} is no letter's id: 4 to 64 of the digits 0-9 a-f")
        alike = {one.name: one for one in self._all() if one.name.startswith(letter_id)}
        if len(alike) > 1:
            names = sorted(alike)
            shown = ", ".join(name[:16] for name in names[:5]) + (", ..." if len(names) > 5 else "")
            raise AmbiguousLetter(f"{letter_id} is the beginning of several: {shown}")
        letter = _read(alike.popitem()[1]) if alike else None
        if letter is None:
            raise UnknownLetter(f"no refused letter {letter_id}")
        return letter

    def pieces(self, letter: KeptLetter) -> Iterator[bytes]:
        """The letter as it came, byte for byte. Raises `UnknownLetter` where it has gone meanwhile, and OSError."""
        with self._opened(letter) as file:
            file.seek(letter.head.begins_at)
            while piece := file.read(_READ_BYTES):
                yield piece

    def remove(self, letter: KeptLetter) -> None:
        """Forget it; harmless where it has gone already. Raises OSError."""
        for one in maildir.files_in(_folder_of(letter)):
            if one.name == letter.name:
                one.path.unlink(missing_ok=True)

    def _keep(self, origin: Origin, copies: Sequence[Copy], header: bytes, body: Iterable[bytes], size: int) -> int:
        places = {(self._folder / maildir.folder_name(one.recipient), one.letter_hash.hex()): one for one in copies}
        missing = [(place, one) for place, one in places.items() if not maildir.holds(*place)]
        fitting = missing[: self._bytes_max // maildir.on_disk(size)]
        self._make_room(len(fitting) * maildir.on_disk(size), origin.at)
        letter: Iterable[bytes] = chain((header,), body)
        with ExitStack() as opened:
            first = None
            for (folder, name), copy in fitting:
                head = format_head(origin, copy.recipient, copy.reason, size, header)
                pieces = chain((head,), letter if first is None else _from(*first))
                file = maildir.deliver(folder, name, pieces, at=origin.at, size=len(head) + size)
                if first is None:
                    # Its body is read once: the others are copied from here, though this one may be swept meanwhile.
                    first = opened.enter_context(file), len(head)
                else:
                    file.close()
        return len(missing) - len(fitting)

    def _make_room(self, needed: int, now: int) -> None:
        with self._lock:
            self._unswept += needed
            if self._unswept < self._bytes_max // _SWEEPS_A_ROOM:
                return
            before, self._unswept = self._unswept, 0
        try:
            self.sweep_now(now, room=needed)
        except OSError:
            with self._lock:
                self._unswept += before
            raise

    def _all(self, folders: Sequence[Path] | None = None) -> Iterator[Found]:
        where = maildir.folders_in(self._folder) if folders is None else folders
        return islice((one for folder in where for one in maildir.files_in(folder)), FILES_LOOKED_AT_MAX)

    def _opened(self, letter: KeptLetter) -> BinaryIO:
        """A mail program may have moved it; whatever it is now, it must be the same letter."""
        for path in (
            letter.path,
            *(one.path for one in maildir.files_in(_folder_of(letter)) if one.name == letter.name),
        ):
            try:
                file = maildir.open_to_read(path)
            except FileNotFoundError:
                continue
            if os.fstat(file.fileno()).st_size == letter.head.begins_at + letter.head.size:
                return file
            file.close()
        raise UnknownLetter(f"the refused letter {letter.id} is there no more")


def _folder_of(letter: KeptLetter) -> Path:
    return letter.path.parent.parent


def _read(found: Found) -> KeptLetter | None:
    """What a file says, or None where it is not ours, not whole, or gone."""
    try:
        with maildir.open_to_read(found.path) as file:
            beginning = file.read(_BEGINNING_BYTES)
            head = parse_head(beginning, os.fstat(file.fileno()).st_size)
            header = parse_header(split_letter(beginning[head.begins_at :])[0])
    except (OSError, Malformed):
        return None
    shown = readable_field(header, b"from"), readable_field(header, b"subject")
    return KeptLetter(found.name, head, *shown, found.path)


def _from(file: BinaryIO, offset: int) -> Iterator[bytes]:
    while piece := os.pread(file.fileno(), _READ_BYTES, offset):
        yield piece
        offset += len(piece)

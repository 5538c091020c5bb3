"""Copies of refused letters, for some days: whoever misses one can have it, though its sender was told no.

There is no index: what is listed is what is there. Workers, commands and mail programs share the folder.

Strangers choose how many letters they send, and how long. So where there is no room for all copies, the oldest letter
goes of the network that takes most (`roommaking`). A letter that several recipients were to have lies there once.
"""

import heapq
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import BinaryIO

from pennyred.days import DAY_SECONDS
from pennyred.failures import told
from pennyred.gate.quarantine import maildir
from pennyred.gate.quarantine.keptletter import (
    HEAD_BYTES_MAX,
    HEAD_BYTES_USUAL,
    KeptLetter,
    Origin,
    format_head,
    parse_head,
)
from pennyred.gate.quarantine.maildir import Found, Place
from pennyred.gate.quarantine.readable import readable_field
from pennyred.gate.quarantine.roommaking import Letters, network_of
from pennyred.postage.errors import Malformed, PennyRedError, Unavailable
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.reasons import Reason
from pennyred.storage.threads import to_its_end

LISTED_MAX = 10_000
SWEPT_MAX = 10_000
"""Letters a sweep removes, so that none takes minutes."""
FILES_LOOKED_AT_MAX = 1_000_000
LETTER_SHARE = 4
"""One letter, for all its recipients, takes at most one part in so many: no single one may push out most others."""
_NAME_BYTES = 4096
"""Each further name of a letter counts as much as a small file. So a limit on bytes also limits the number of names."""
_BEGINNING_BYTES = HEAD_BYTES_MAX + 128 * 1024
"""Of a file that is listed: From and Subject stand in the first 128 KiB, or are not shown."""
_READ_BYTES = 256 * 1024
_PREFIX = re.compile(r"[0-9a-f]{4,64}")
_SWEEPS_A_ROOM = 16
"""Workers sweep when all together have kept a sixteenth of what may be kept: so there is never more too much."""


_File = tuple[bytes | None, str, list[Place]]
"""To be written: the recipient, None for several; the reason; under which names."""


class UnknownLetter(PennyRedError):  # noqa: N818 - an outcome with a name, like a rule's
    """No kept letter has this id, or it is no longer there."""

    reason = "unknown-letter"


class AmbiguousLetter(Malformed):
    """Several kept letters begin with this id."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a refused letter, to be kept for one recipient."""

    recipient: bytes
    """The mailbox as received."""
    reason: str
    letter_hash: bytes
    """32 bytes that name the letter and its recipient: a retry has the same."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep has done, counted in letters."""

    removed: int
    disk_bytes: int
    """What is left."""
    is_done: bool
    """False where there was more to remove than one sweep does."""
    crowded_out: int = 0
    """How many of them went before their time, to make room."""
    network: str = ""
    """Whose these were mostly: a name as `roommaking.shown` writes it."""


class Quarantine:
    """The folder of refused letters. Nothing is opened or made before the first letter."""

    def __init__(
        self,
        folder: Path,
        *,
        days: int,
        bytes_max: int,
        sweepers: int = 1,
        note_swept: Callable[[Swept], object] = lambda _: None,
    ) -> None:
        """`sweepers` is how many processes keep letters here. `note_swept` hears of each sweep that made room."""
        self.folder = folder
        self._days = days
        self._bytes_max = bytes_max
        self._name_bytes = max(_NAME_BYTES, bytes_max // FILES_LOOKED_AT_MAX)
        self._sweep_after = bytes_max // (_SWEEPS_A_ROOM * sweepers)
        self._note_swept = note_swept
        self._lock = threading.Lock()
        self._unswept = bytes_max  # the first letter sweeps: another process may have left much

    @property
    def letter_bytes_max(self) -> int:
        """The most bytes that one letter may take."""
        return self._bytes_max // LETTER_SHARE

    async def keep(
        self, origin: Origin, copies: Sequence[Copy], header: bytes, body: Iterable[bytes], size: int
    ) -> int:
        """Keep a letter of `size` bytes (`header`, then `body`) for each of its recipients.

        A copy that is there already is not written again: a retry costs nothing.

        Answers how many copies were left out, because the letter would take more than `letter_bytes_max`: 0 for a
        letter of usual size. When this returns, the copies survive a crash. Raises `Unavailable` where the disk does
        not answer. Then some may be there, and a retry writes the others.
        """
        try:
            left_out, swept = await to_its_end(lambda: self._keep(origin, copies, header, body, size))
        except OSError as error:
            raise Unavailable(Reason.STATE_UNAVAILABLE, f"quarantine: {told(error)}") from error
        if swept is not None and swept.crowded_out:
            self._note_swept(swept)
        return left_out

    async def sweep(self, now: int) -> Swept:
        """Remove what is older than `days`; then the oldest of who takes most, until the rest is within `bytes_max`.

        Raises `Unavailable` where the disk does not answer.
        """
        try:
            swept = await to_its_end(lambda: self.sweep_now(now))
        except OSError as error:
            raise Unavailable(Reason.STATE_UNAVAILABLE, f"quarantine: {told(error)}") from error
        if swept.crowded_out:
            self._note_swept(swept)
        return swept

    def sweep_now(self, now: int | None, *, room: int = 0, arriving: str = "") -> Swept:
        """The same for callers that may block. Without `now` nothing is too old. Raises OSError.

        `room` is to be left free for a letter of the network `arriving`, which counts as if it were there.
        """
        letters = Letters(self._all(), self._name_bytes, _network_in)
        too_old = 0 if now is None else now - self._days * DAY_SECONDS
        removed = letters.remove_before(too_old, SWEPT_MAX)
        crowded_out = letters.make_room(self._bytes_max - room, room, arriving, SWEPT_MAX - removed)
        if now is not None:
            for folder in maildir.folders_in(self.folder):
                maildir.tidy(folder, now)
        removed += crowded_out.count
        is_done = removed < SWEPT_MAX
        return Swept(removed, letters.disk_bytes, is_done, crowded_out.count, crowded_out.mostly_of)

    def listed(
        self, recipient: str | None = None, since: int | None = None, *, limit: int = LISTED_MAX
    ) -> list[KeptLetter]:
        """What is there, newest first, at most `limit`: of one recipient, or since a time (seconds). Raises OSError."""
        where = None if recipient is None else [self.folder / maildir.folder_name(recipient.encode())]
        found = (one for one in self._all(where) if since is None or one.at >= since)
        read = (_read(one) for one in heapq.nlargest(limit, found))
        return [letter for letter in read if letter is not None]

    def find(self, letter_id: str) -> KeptLetter:
        """The letter whose id begins so.

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
        """The letter as it came, byte for byte. Raises `UnknownLetter` where it is no longer there, and OSError."""
        with self._opened(letter) as file:
            file.seek(letter.head.begins_at)
            while piece := file.read(_READ_BYTES):
                yield piece

    def remove(self, letter: KeptLetter) -> None:
        """Remove a letter. Harmless where it is no longer there. Raises OSError."""
        for one in maildir.files_in(_folder_of(letter)):
            if one.name == letter.name:
                one.path.unlink(missing_ok=True)

    def _keep(
        self, origin: Origin, copies: Sequence[Copy], header: bytes, body: Iterable[bytes], size: int
    ) -> tuple[int, Swept | None]:
        network = network_of(origin.source)
        places = {
            (self.folder / maildir.folder_name(one.recipient), f"{one.letter_hash.hex()},n={network}"): one
            for one in copies
        }
        missing = [(place, one) for place, one in places.items() if not maildir.holds(*place)]
        written, needed = self._fitting(missing, size)
        swept = self._make_room(needed, network) if written else None
        letter: Iterable[bytes] = chain((header,), body)
        first: BinaryIO | None = None
        try:
            for recipient, reason, its_places in written:
                head = format_head(origin, recipient, reason, size, header)
                file = maildir.deliver(its_places, chain((head,), letter), at=origin.at, size=len(head) + size)
                if first is None:
                    # The body is read once: other files are copied from this one, even if it is swept meanwhile.
                    first, begins_at = file, len(head)
                else:
                    file.close()
                letter = maildir.read_from(first, begins_at)
        finally:
            if first is not None:
                first.close()
        return len(missing) - sum(len(its_places) for _, _, its_places in written), swept

    def _fitting(self, missing: Sequence[tuple[Place, Copy]], size: int) -> tuple[list[_File], int]:
        """The files to write, and how many bytes they take. What is more than one letter may take is left out."""
        room = self.letter_bytes_max
        needed, written = 0, []
        for recipient, reason, places in _files(missing):
            costs = maildir.on_disk(size + HEAD_BYTES_USUAL)
            names = min(len(places), 1 + (room - needed - costs) // self._name_bytes)
            if costs > room - needed:
                continue
            needed += costs + (names - 1) * self._name_bytes
            written.append((recipient, reason, places[:names]))
        return written, needed

    def _make_room(self, needed: int, network: str) -> Swept | None:
        with self._lock:
            self._unswept += needed
            if self._unswept < self._sweep_after:
                return None
            before, self._unswept = self._unswept, 0
        try:
            return self.sweep_now(None, room=needed, arriving=network)
        except OSError:
            with self._lock:
                self._unswept += before
            raise

    def _all(self, folders: Sequence[Path] | None = None) -> Iterator[Found]:
        where = maildir.folders_in(self.folder) if folders is None else folders
        return islice((one for folder in where for one in maildir.files_in(folder)), FILES_LOOKED_AT_MAX)

    def _opened(self, letter: KeptLetter) -> BinaryIO:
        """Open a letter that a mail program may have moved. Whatever is there now, it must be the same letter."""
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


def _files(missing: Sequence[tuple[Place, Copy]]) -> Iterator[_File]:
    """The files to write: one for all whose folder tells their name and who share a reason, one for each other."""

    def shared_as(one: tuple[Place, Copy]) -> str:
        (folder, _), copy = one
        return copy.reason if maildir.mailbox_of(folder.name) == copy.recipient else ""

    for reason, some in groupby(sorted(missing, key=shared_as, reverse=True), key=shared_as):
        alike = list(some)
        if reason and len(alike) > 1:
            yield None, reason, [place for place, _ in alike]
        else:
            yield from ((copy.recipient, copy.reason, [place]) for place, copy in alike)


def _read(found: Found) -> KeptLetter | None:
    """What a file says, or None where it is not ours, not whole, or gone."""
    try:
        with maildir.open_to_read(found.path) as file:
            beginning = file.read(_BEGINNING_BYTES)
            owner = maildir.mailbox_of(found.path.parent.parent.name)
            head = parse_head(beginning, os.fstat(file.fileno()).st_size, owner=owner)
            header = parse_header(split_letter(beginning[head.begins_at :])[0])
    except (OSError, Malformed):
        return None
    shown = readable_field(header, b"from"), readable_field(header, b"subject")
    return KeptLetter(found.name, head, *shown, found.path)


def _network_in(found: Found) -> str:
    """The network of a letter whose file name does not say it: an earlier version has kept it."""
    letter = _read(found)
    return network_of(letter.head.origin.source if letter is not None else "")

"""Notes beside an office's key what it has signed last, to notice a ledger that was set back to an earlier state.

`pennyred ledger restore` tells the ledger itself. PostgreSQL's recovery, a dump, a snapshot of the machine or an
incomplete standby do not. Then numbers that were signed come again, so a new epoch of the chain has to begin first.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pennyred.office.ledger.protocol import Ledger
from pennyred.postage.errors import Malformed, Unavailable
from pennyred.postage.proofs.chain import EPOCH_ID_BYTES, BatchHead, pack_epochs, unpack_epochs
from pennyred.storage import private

PAUSE_SECONDS = 10.0
_BYTES_MAX = 64 * 1024


class _Noted(msgspec.Struct, frozen=True):
    number: int
    hash: bytes
    epochs: bytes


class Witness:
    """The witness of one office; `look` compares and notes. If its file is lost, one set-back may go unnoticed."""

    def __init__(self, signing_key: Path, ledger: Ledger, log: Any, *, clock: Callable[[], int]) -> None:
        self._path = signing_key.with_suffix(".head")
        self._ledger = ledger
        self._log = log
        self._clock = clock
        self._noted = self._read()
        self._is_told = False

    async def look(self) -> None:
        """Begin a new epoch if the ledger has lost what was noted; raises `Unavailable`."""
        head = await self._ledger.head()
        noted = self._noted
        if noted is not None and await self._is_lost(noted, head):
            head = await self._ledger.begin_epoch(
                os.urandom(EPOCH_ID_BYTES), after=head.epochs if head is not None else (), now=self._clock()
            )
            self._log.error("ledger.went_back", noted=noted.number, follows=head.epochs[-1].follows)
        if head is not None:
            self.note(head)

    async def look_last(self) -> None:
        """Look once more at the end; errors are ignored."""
        with contextlib.suppress(Unavailable):
            await self.look()

    async def _is_lost(self, noted: _Noted, head: BatchHead | None) -> bool:
        """Whether the noted link of the chain is missing in the ledger, and no new epoch has begun for that yet."""
        known, epochs = unpack_epochs(noted.epochs), head.epochs if head is not None else ()
        if epochs and epochs[-1] not in known:
            return False  # `ledger restore`, or another office on this ledger, has begun the new epoch
        if epochs != known:
            return True  # it was set back to before a restore
        found = head if head is not None and head.number == noted.number else await self._ledger.head_of(noted.number)
        return found is None or found.hash != noted.hash

    def note(self, head: BatchHead) -> None:
        """Write down what was signed last, if it is new."""
        noted = _Noted(head.number, head.hash, pack_epochs(head.epochs))
        if noted == self._noted:
            return
        self._noted = noted
        try:
            private.replace_file(self._path, msgspec.json.encode(noted))
        except OSError as error:
            if not self._is_told:
                self._log.warning("ledger.heads_not_noted", error=str(error))
            self._is_told = True

    def _read(self) -> _Noted | None:
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeError, Malformed):
            with self._path.open("rb") as opened:
                noted = msgspec.json.decode(opened.read(_BYTES_MAX), type=_Noted)
            unpack_epochs(noted.epochs)
            return noted
        return None


async def watch_ledger(witness: Witness) -> None:
    """Look regularly until cancelled. If the ledger does not answer, it looks the next time."""
    while True:
        await asyncio.sleep(PAUSE_SECONDS)
        with contextlib.suppress(Unavailable):
            await witness.look()

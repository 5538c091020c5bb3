"""An office's list of revoked licences, kept up to date in the background.

It is used only for stamps that are accepted on trust. While the office answers, it checks revocations itself. A gate
that refused by the list would bounce an honest retry of a letter that was paid before.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable

from pennyred.postage.errors import Unavailable
from pennyred.postage.licence import Licence, Revocations, fingerprint

PAUSE_SECONDS = 300.0
UPDATES_ANEW = 288
"""After so many updates (a day) the whole list is read: an office restored from a backup numbers it anew."""
FINGERPRINTS_MAX = 200_000
"""The most revoked licences of one office. Beyond, none of its stamps is accepted on trust."""

Fetch = Callable[[int], Awaitable[Revocations]]
"""Reads the page of the list after a number; raises `Unavailable`."""


class RevocationList:
    """The revoked licences of one office."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._revoked: set[bytes] = set()
        self._last = 0

    def is_revoked(self, licence: Licence) -> bool:
        """Whether the office has revoked this licence; True for all if the list is too long to be kept."""
        if len(self._revoked) > FINGERPRINTS_MAX:
            return True
        return bool(self._revoked) and fingerprint(licence.account, licence.public_key) in self._revoked

    async def update(self) -> None:
        """Read what is new in the list; raises `Unavailable`."""
        while len(self._revoked) <= FINGERPRINTS_MAX:
            page = await self._fetch(self._last)
            if page.last <= self._last or not page.fingerprints:
                return
            self._revoked.update(page.fingerprints)
            self._last = page.last

    async def run(self) -> None:
        """Update regularly until cancelled. If the office does not answer, it is asked the next time."""
        for number in itertools.count():
            if number % UPDATES_ANEW == 0:
                self._last = 0
            with contextlib.suppress(Unavailable):
                await self.update()
            await asyncio.sleep(PAUSE_SECONDS)

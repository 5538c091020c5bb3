"""An office's list of licences that count no more, kept up to date beside the mail.

It is for stamps that are accepted on trust only. While the office answers, it says itself what was revoked; a gate that
refused by a list would bounce the honest retry of a letter that was paid before.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable

from pennyred.postage.errors import Unavailable
from pennyred.postage.licence import Licence, Revocations, fingerprint

PAUSE_SECONDS = 300.0
UPDATES_ANEW = 288
"""So often what is new is read; then, once a day, all of it: an office that was restored from a backup counts anew."""
FINGERPRINTS_MAX = 200_000
"""Of one office. Beyond, none of its stamps is accepted on trust."""

Fetch = Callable[[int], Awaitable[Revocations]]
"""The page behind a number; raises `Unavailable`."""


class RevocationList:
    """One office's."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._revoked: set[bytes] = set()
        self._last = 0

    def is_revoked(self, licence: Licence) -> bool:
        """Whether the office has said so; True for all where its list is too long to be kept."""
        if len(self._revoked) > FINGERPRINTS_MAX:
            return True
        return bool(self._revoked) and fingerprint(licence.account, licence.public_key) in self._revoked

    async def update(self) -> None:
        """Read what is new. Raises `Unavailable`."""
        while len(self._revoked) <= FINGERPRINTS_MAX:
            page = await self._fetch(self._last)
            if page.last <= self._last or not page.fingerprints:
                return
            self._revoked.update(page.fingerprints)
            self._last = page.last

    async def run(self) -> None:
        """Update time and again, until cancelled; an office that does not answer is asked next time."""
        for number in itertools.count():
            if number % UPDATES_ANEW == 0:
                self._last = 0
            with contextlib.suppress(Unavailable):
                await self.update()
            await asyncio.sleep(PAUSE_SECONDS)

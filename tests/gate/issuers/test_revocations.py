"""A gate's list of revoked licences: read page by page, and anew after a day, as an office may have been restored."""

import asyncio
import contextlib

from tests.support.stationery import Stationery

from pennyred.gate.issuers import revocations
from pennyred.gate.issuers.revocations import RevocationList
from pennyred.postage.errors import Unavailable
from pennyred.postage.licence import Revocations, fingerprint
from pennyred.postage.reasons import Reason

LICENCE = Stationery().licence()
REVOKED = fingerprint(LICENCE.account, LICENCE.public_key)


class Published:
    """What an office publishes, in pages of two."""

    def __init__(self, *fingerprints):
        self.fingerprints = list(fingerprints)
        self.is_down = False

    async def fetch(self, after):
        if self.is_down:
            raise Unavailable(Reason.OFFICE_UNREACHABLE, "by script")
        page = self.fingerprints[after : after + 2]
        return Revocations(tuple(page), after + len(page))


def test_what_is_new_is_read_page_by_page():
    async def story():
        office = Published(*(bytes([number]) * 32 for number in range(5)))
        known = RevocationList(office.fetch)
        await known.update()
        assert not known.is_revoked(LICENCE)
        office.fingerprints.append(REVOKED)
        await known.update()
        assert known.is_revoked(LICENCE)

    asyncio.run(story())


def test_an_office_that_was_restored_counts_anew_and_is_read_from_the_beginning_after_a_day(monkeypatch):
    monkeypatch.setattr(revocations, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(revocations, "UPDATES_ANEW", 3)

    async def story():
        office = Published(b"1" * 32, b"2" * 32, b"3" * 32)
        known = RevocationList(office.fetch)
        await known.update()
        office.fingerprints = [b"1" * 32, REVOKED]
        task = asyncio.create_task(known.run())
        async with asyncio.timeout(30):
            while not known.is_revoked(LICENCE):  # noqa: ASYNC110
                await asyncio.sleep(0)
        office.is_down = True
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(story())

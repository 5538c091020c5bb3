"""Looking the keys of post offices up in DNS, and saying in the log when that fails.

A letter whose stamp's key cannot be looked up is told to come again, by the name of `office-unreachable`: nobody would
look for the cause in the DNS.
"""

import time
from collections.abc import Callable, Collection
from typing import Any

import dns.asyncresolver

from pennyred.gate.issuers.discovery import find_key_record, key_name
from pennyred.gate.issuers.keyring import FoundKey
from pennyred.postage.errors import Unavailable

QUIET_SECONDS = 60.0
"""Between two lines about one office: selectors are a stranger's to invent."""


class KeySearch:
    """One worker's; `find` is what a key ring asks."""

    def __init__(
        self,
        resolver: dns.asyncresolver.Resolver | None,
        log: Any,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resolver = resolver
        """May be replaced."""
        self._log = log
        self._clock = clock
        self._quiet_until: dict[str, float] = {}
        self.authenticated_only: Collection[str] = ()
        """Offices whose keys count only where DNSSEC vouches for them."""

    async def find(self, domain: str, selector: str) -> FoundKey:
        """What DNS says; raises `Unavailable`."""
        try:
            found = await find_key_record(domain, selector, self.resolver)
        except Unavailable as error:
            self._tell(domain, selector, str(error))
            raise
        if found.key is None and not found.is_withdrawn:
            self._tell(domain, selector, f"DNS has no key at {key_name(domain, selector)}")
        elif found.key is not None and domain in self.authenticated_only and not found.is_authenticated:
            self._tell(domain, selector, f"DNSSEC vouches for nothing at {key_name(domain, selector)}")
        return found

    def _tell(self, domain: str, selector: str, why: str) -> None:
        now = self._clock()
        if now >= self._quiet_until.get(domain, now):
            self._quiet_until[domain] = now + QUIET_SECONDS
            self._log.warning("office.key_not_found", office=domain, selector=selector, why=why)

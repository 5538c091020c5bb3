"""Looks up the keys of post offices in the DNS, and logs it when that fails.

If the key of a stamp cannot be looked up, the letter is answered "later" with the reason `office-unreachable`. Without
a log line, nobody would look for the cause in the DNS.
"""

import time
from collections.abc import Callable, Collection
from typing import Any

import dns.asyncresolver

from pennyred.gate.issuers.discovery import find_key_record, key_name
from pennyred.gate.issuers.keyring import FoundKey
from pennyred.postage.errors import Unavailable

QUIET_SECONDS = 60.0
"""The pause between two log lines about one office, because strangers can invent selectors."""


class KeySearch:
    """The search of one worker; the key ring calls `find`."""

    def __init__(
        self,
        resolver: dns.asyncresolver.Resolver | None,
        log: Any,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resolver = resolver
        """The resolver to ask; it may be replaced."""
        self._log = log
        self._clock = clock
        self._quiet_until: dict[str, float] = {}
        self.authenticated_only: Collection[str] = ()
        """Offices whose keys count only if they are validated by DNSSEC."""

    async def find(self, domain: str, selector: str) -> FoundKey:
        """What the DNS says of a key; raises `Unavailable`, which is logged."""
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

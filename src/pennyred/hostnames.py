"""The verified host name of a client, for the mail server behind the gate: PTR, confirmed by A or AAAA (RFC 8601 3).

Mail servers judge clients by it (Postfix's `reject_unknown_client_hostname`), and behind a gate they cannot ask
themselves. Answers are kept for a while, in a bounded cache; one question is asked once at a time.
"""

import asyncio
import time
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.resolver
import dns.reversename

from pennyred.services.answercache import AnswerCache

LIFETIME_SECONDS = 4.0
"""For all questions about one address: the client waits."""
KEEP_SECONDS = 600.0
KEEP_UNKNOWN_SECONDS = 60.0
NAMES_MAX = 10_000
"""And a quarter as many addresses that have none."""
PTR_MAX = 5
"""Names tried of an address that has many."""


class HostNames:
    """Looks names up; belongs to one event loop. Use `lookup` as `smtp.gatehouse.NameLookup`."""

    def __init__(self, resolver: dns.asyncresolver.Resolver | None = None) -> None:
        self._resolver = resolver
        self._known: AnswerCache[str, tuple[str | None]] = AnswerCache(time.monotonic, entries_max=NAMES_MAX)
        self._asking: dict[str, asyncio.Future[str | None]] = {}

    async def lookup(self, address: str) -> str | None:
        """The name; empty where the address has none that leads back to it, None where that cannot be known now."""
        known = self._known.get(address)
        if known is not None:
            return known[0]
        asking = self._asking.get(address)
        if asking is None:
            asking = self._asking[address] = asyncio.ensure_future(self._ask(address))
            asking.add_done_callback(lambda _: self._asking.pop(address, None))
        return await asyncio.shield(asking)

    async def _ask(self, address: str) -> str | None:
        try:
            async with asyncio.timeout(LIFETIME_SECONDS):
                name = await self._verified(address)
        except (TimeoutError, dns.exception.DNSException, OSError, ValueError):
            name = None
        keep = KEEP_UNKNOWN_SECONDS if name is None else KEEP_SECONDS
        self._known.put(address, (name,), keep, is_found=bool(name))
        return name

    async def _verified(self, address: str) -> str:
        ip = ip_address(address)
        if ip.is_loopback:
            return "localhost"
        if self._resolver is None:
            self._resolver = dns.asyncresolver.Resolver()
        try:
            pointers = await self._resolver.resolve(dns.reversename.from_address(address), "PTR")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ""
        for pointer in list(pointers)[:PTR_MAX]:
            try:
                forward = await self._resolver.resolve(pointer.target, "A" if ip.version == 4 else "AAAA")
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
                continue
            if any(ip_address(record.address) == ip for record in forward):
                return str(pointer.target).rstrip(".").lower()
        return ""

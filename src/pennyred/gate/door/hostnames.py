"""The host name of a client, for the mail server behind the gate: PTR, confirmed by A or AAAA (RFC 8601 section 3).

Mail servers judge clients by it: Postfix with `reject_unknown_client_hostname`, and by the name in PTR alone with
`reject_unknown_reverse_client_hostname`. Behind a gate they cannot look it up themselves. Answers are kept for a while,
in a bounded cache. While one question is under way, others with the same question wait for its answer.
"""

import asyncio
import time
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver
import dns.reversename

from pennyred.gate.answercache import AnswerCache
from pennyred.gate.letterbox import HostName

LIFETIME_SECONDS = 4.0
"""The time for all questions about one address together: the client waits for them."""
KEEP_SECONDS = 600.0
KEEP_UNKNOWN_SECONDS = 60.0
NAMES_MAX = 10_000
"""The most names kept; and a quarter as many addresses that have none are kept too."""
PTR_MAX = 5
"""The most names that are tried of an address that has many."""


class HostNames:
    """Looks host names up, for one event loop; its `lookup` is a `gate.door.gatehouse.NameLookup`."""

    def __init__(self, resolver: dns.asyncresolver.Resolver | None = None) -> None:
        self._resolver = resolver
        self._known: AnswerCache[str, HostName] = AnswerCache(time.monotonic, entries_max=NAMES_MAX)
        self._asking: dict[str, asyncio.Future[HostName]] = {}

    async def lookup(self, address: str) -> HostName:
        """The host name of an IP address, as far as the DNS tells it in time; raises nothing."""
        known = self._known.get(address)
        if known is not None:
            return known
        asking = self._asking.get(address)
        if asking is None:
            asking = self._asking[address] = asyncio.ensure_future(self._ask(address))
            asking.add_done_callback(lambda _: self._asking.pop(address, None))
        return await asyncio.shield(asking)

    async def _ask(self, address: str) -> HostName:
        question = _Question(address)
        try:
            async with asyncio.timeout(LIFETIME_SECONDS):
                await question.ask(self._asked)
        except (TimeoutError, dns.exception.DNSException, OSError, ValueError):
            question.verified = None
        name = HostName(question.verified, question.reverse)
        keep = KEEP_UNKNOWN_SECONDS if None in (name.verified, name.reverse) else KEEP_SECONDS
        self._known.put(address, name, keep, is_found=bool(name.verified))
        return name

    @property
    def _asked(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            self._resolver = dns.asyncresolver.Resolver()
        return self._resolver


class _Question:
    """What is known of an address so far; the time for asking may end at any moment."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.verified: str | None = ""
        self.reverse: str | None = None

    async def ask(self, resolver: dns.asyncresolver.Resolver) -> None:
        """Ask for PTR, then for A and AAAA. Raises TimeoutError, DNSException, OSError, ValueError if the DNS fails."""
        ip = ip_address(self._address)
        if ip.is_loopback:
            self.verified = self.reverse = "localhost"
            return
        try:
            pointers = list(await resolver.resolve(dns.reversename.from_address(self._address), "PTR"))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            pointers = []
        self.reverse = _plain(pointers[0].target) if pointers else ""
        trouble: Exception | None = None
        for pointer in pointers[:PTR_MAX]:
            try:
                forward = await resolver.resolve(pointer.target, "A" if ip.version == 4 else "AAAA")
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
                continue
            except dns.exception.DNSException as error:
                trouble = error  # another of its names may still lead back to it
                continue
            if any(ip_address(record.address) == ip for record in forward):
                self.verified = self.reverse = _plain(pointer.target)
                return
        if trouble is not None:
            raise trouble


def _plain(name: dns.name.Name) -> str:
    return str(name).rstrip(".").lower()

"""The DNS questions of one letter: limited in number and time, through a cache that all letters share.

It blocks, so it is used in threads: the libraries that need it (SPF above all) cannot work otherwise.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
import dns.ttl

from pennyred.gate.answercache import AnswerCache

QUESTION_SECONDS = 2.0
"""The time for one question, all tries together."""
TIMEOUTS_MAX = 2
"""After so many unanswered questions a letter asks no more: silent servers must not hold all threads."""
QUESTIONS_MAX = 150
KEEP_SECONDS_MAX = 3600.0
KEEP_NOTHING_SECONDS_MAX = 300.0
"""How long "no such record" is kept at most. RFC 2308 section 5 allows more, but a missing key is often a new key."""
ENTRIES_MAX = 20_000
"""The most answers kept that have records; and a quarter as many that have none."""
CACHE_BYTES_MAX = 16 * 2**20
RECORDS_MAX = 100
"""The most records of one answer that are used."""
EDNS_BYTES = 1232
"""The longest answer by UDP: it fits into an IPv6 packet that is not fragmented. Longer ones come by TCP."""

_ENTRY_BYTES = 300
"""Memory that an entry takes besides its records."""

Record = bytes | str | tuple[int, str]
"""TXT: its strings, joined; A, AAAA: the address; PTR: the name; MX: preference and name. Names have no final dot."""


class Temporary(Exception):  # noqa: N818 - it is a state of the world, not a mistake
    """The DNS does not answer in time; it may answer later."""


class TooMany(Exception):  # noqa: N818 - it is a property of the letter
    """The letter needs more questions than are allowed; that will not change later."""


class Cache:
    """Keeps answers while they are valid, limited in number and size; for all threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._known: AnswerCache[tuple[str, str], tuple[Record, ...]] = AnswerCache(
            clock, entries_max=ENTRIES_MAX, bytes_max=CACHE_BYTES_MAX
        )

    def get(self, key: tuple[str, str]) -> tuple[Record, ...] | None:
        """The records, which may be none; None if no valid answer is kept."""
        with self._lock:
            return self._known.get(key)

    def put(self, key: tuple[str, str], records: tuple[Record, ...], seconds: float) -> None:
        """Keep an answer for so many seconds."""
        size = _ENTRY_BYTES + len(key[0]) + sum(_ENTRY_BYTES // 3 + _size(record) for record in records)
        with self._lock:
            self._known.put(key, records, seconds, is_found=bool(records), size=size)


class Servers:
    """Asks the name servers; one for all letters and threads."""

    def __init__(self, nameservers: Sequence[tuple[str, int]] = (), *, cache: Cache | None = None) -> None:
        self._nameservers = tuple(nameservers)
        self._resolver: dns.resolver.Resolver | None = None
        self.cache = cache or Cache()

    def ask(self, name: str, rdtype: str, seconds: float) -> tuple[Record, ...]:
        """The records of a name, from the cache or the DNS; raises `Temporary`."""
        key = (name.lower(), rdtype)
        known = self.cache.get(key)
        if known is not None:
            return known
        qname = _absolute(key[0])
        if qname is None:
            return ()
        if seconds <= 0:
            raise Temporary("no time left")
        try:
            records, ttl = self._resolve(qname, rdtype, seconds)
        except (dns.exception.DNSException, OSError) as error:
            raise Temporary(f"{rdtype} {name}: {type(error).__name__}") from error
        if ttl < dns.ttl.MAX_TTL:  # "no such record" without SOA does not say how long it is valid
            self.cache.put(key, records, min(ttl, KEEP_SECONDS_MAX if records else KEEP_NOTHING_SECONDS_MAX))
        return records

    def _resolve(self, name: dns.name.Name, rdtype: str, seconds: float) -> tuple[tuple[Record, ...], float]:
        """The records, and for how many seconds they are valid."""
        if self._resolver is None:
            self._resolver = self._made()  # two threads may both make one, and both are alike
        try:
            answer = self._resolver.resolve(name, rdtype, lifetime=seconds, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as error:
            response: Any = error.response(name)  # type: ignore[no-untyped-call]
            return (), response.resolve_chaining().minimum_ttl
        found = list(answer.rrset or ())[:RECORDS_MAX]
        return tuple(_record(rdtype, rdata) for rdata in found), answer.chaining_result.minimum_ttl

    def _made(self) -> dns.resolver.Resolver:
        """The resolver, made when first needed: a system without DNS settings must not stop a gate from starting."""
        resolver = dns.resolver.Resolver(configure=not self._nameservers)
        if self._nameservers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in self._nameservers]
        resolver.use_edns(0, 0, EDNS_BYTES)
        return resolver


class Lookups:
    """The questions of one letter, in one thread."""

    def __init__(self, servers: Servers, deadline: float, *, questions_max: int = QUESTIONS_MAX) -> None:
        self._servers = servers
        self._deadline = deadline
        """Until when it may ask, in seconds of `time.monotonic`."""
        self._questions_left = questions_max
        self._timeouts = 0

    def ask(self, name: str, rdtype: str) -> tuple[Record, ...]:
        """The records of a name; none if the name cannot exist. Raises `Temporary` and `TooMany`. An answer from the
        cache counts as a question too: a letter's limit must not depend on what others have asked.
        """
        if not self._questions_left:
            raise TooMany("too many questions to the DNS")
        self._questions_left -= 1
        left = self._deadline - time.monotonic()
        if self._timeouts >= TIMEOUTS_MAX:
            left = 0.0
        try:
            return self._servers.ask(name, rdtype, min(left, QUESTION_SECONDS))
        except Temporary as error:
            self._timeouts += isinstance(error.__cause__, dns.exception.Timeout)
            raise

    def forgive(self) -> None:
        """Forget the unanswered questions so far: the next ones go to other servers."""
        self._timeouts = 0

    def texts(self, name: str) -> tuple[bytes, ...]:
        """The TXT records of a name; raises `Temporary` and `TooMany`."""
        return tuple(record for record in self.ask(name, "TXT") if isinstance(record, bytes))


def _absolute(name: str) -> dns.name.Name | None:
    """The name from its octets, without escapes, as a stranger wrote it; None if no such name can exist."""
    try:
        return dns.name.Name([*name.removesuffix(".").encode("ascii").split(b"."), b""])
    except (dns.exception.DNSException, UnicodeError):
        return None


def _record(rdtype: str, rdata: Any) -> Record:
    match rdtype:
        case "TXT":
            return b"".join(rdata.strings)
        case "MX":
            return int(rdata.preference), rdata.exchange.to_text(omit_final_dot=True)
        case "PTR":
            return str(rdata.target.to_text(omit_final_dot=True))
        case _:
            return str(rdata.address)


def _size(record: Record) -> int:
    return len(record[1]) if isinstance(record, tuple) else len(record)

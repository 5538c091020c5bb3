"""What the DNS says of post offices: their keys, and which receivers may redeem for a domain (STAMP.md 7.4, 7.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.name
import dns.nameserver
import dns.resolver

from pennyred.failures import what
from pennyred.gate.issuers.keyring import FoundKey
from pennyred.postage.errors import KeyWithdrawn, MalformedKey, Unavailable
from pennyred.postage.keyrecord import parse_key_record
from pennyred.postage.reasons import Reason

LIFETIME_SECONDS = 10.0
RECORDS_MAX = 10
MISSING_SECONDS = 300
"""How long the answer "no such record" is used."""
EDNS_BYTES = 1232


def resolver_of(nameservers: Sequence[tuple[str, int]]) -> dns.asyncresolver.Resolver | None:
    """A resolver that asks these servers (address and port); None if there are none: the system's resolver is used."""
    if not nameservers:
        return None
    asked = dns.asyncresolver.Resolver(configure=False)
    asked.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in nameservers]
    return asked


def key_name(domain: str, selector: str) -> str:
    """The DNS name of a key record (STAMP.md 7.4)."""
    return f"{selector}._postage.{domain}"


@dataclass(frozen=True, slots=True)
class Texts:
    """The TXT records at a name."""

    texts: tuple[str, ...]
    """The records, the strings of each joined; empty if there are none, or can be none."""
    ttl_seconds: int
    """How long the answer may be kept, as the zone says (TTL)."""
    is_authenticated: bool
    """Whether a resolver on this machine has validated it by DNSSEC (the AD bit, RFC 4035 section 3.2.3)."""


async def look_up(
    name: str,
    resolver: dns.asyncresolver.Resolver | None = None,
    *,
    lifetime_seconds: float = LIFETIME_SECONDS,
    is_tcp: bool = False,
) -> Texts:
    """Look the TXT records of a name up. Raises `Unavailable` for SERVFAIL and timeouts: "later", never "no".

    `is_tcp` asks by TCP, as for an answer that is too long for UDP (RFC 7766 section 5).
    """
    try:
        asked = dns.name.from_text(name)
    except dns.exception.DNSException:
        return Texts((), MISSING_SECONDS, is_authenticated=False)  # no such name can ever exist
    try:
        resolver = resolver or dns.asyncresolver.Resolver()
        resolver.use_edns(0, dns.flags.DO, EDNS_BYTES)
        resolver.flags = dns.flags.RD | dns.flags.AD  # AD asks: was it validated? (RFC 6840 section 5.7)
        answer = await resolver.resolve(asked, "TXT", tcp=is_tcp, lifetime=lifetime_seconds)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return Texts((), MISSING_SECONDS, is_authenticated=False)
    except (dns.exception.DNSException, OSError) as error:
        raise Unavailable(Reason.OFFICE_UNREACHABLE, f"DNS does not answer for {name}: {what(error)}") from error
    texts = tuple(b"".join(record.strings).decode("ascii", "replace") for record in list(answer)[:RECORDS_MAX])
    is_validated = bool(answer.response.flags & dns.flags.AD) and _is_here(answer.nameserver)
    return Texts(texts, answer.rrset.ttl if answer.rrset else MISSING_SECONDS, is_authenticated=is_validated)


def _is_here(nameserver: str | None) -> bool:
    """Whether this resolver is on this machine, so that nobody on the network can forge its answers."""
    try:
        return ip_address(nameserver or "").is_loopback
    except ValueError:
        return False


async def find_texts(name: str, resolver: dns.asyncresolver.Resolver | None = None) -> list[str]:
    """The texts of the TXT records at a name; raises `Unavailable`."""
    return list((await look_up(name, resolver)).texts)


async def find_key_record(domain: str, selector: str, resolver: dns.asyncresolver.Resolver | None = None) -> FoundKey:
    """What the DNS says of an office's key under this selector; raises `Unavailable`."""
    found = await look_up(key_name(domain, selector), resolver)
    key, is_withdrawn = None, False
    for text in found.texts:
        try:
            key = parse_key_record(text)
            break
        except KeyWithdrawn:
            is_withdrawn = True
        except MalformedKey:
            continue
    return FoundKey(
        key,
        found.ttl_seconds,
        is_authenticated=found.is_authenticated,
        is_withdrawn=is_withdrawn and key is None,
    )


async def find_key(domain: str, selector: str, resolver: dns.asyncresolver.Resolver | None = None) -> bytes | None:
    """The public key published under this selector, 32 bytes, or None; raises `Unavailable`."""
    return (await find_key_record(domain, selector, resolver)).key

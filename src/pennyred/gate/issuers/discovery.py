"""What DNS says of post offices: an issuer's keys, whose gates may redeem for a domain (STAMP.md 7.4, 7.5)."""

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
"""So long it is believed that a name has none."""
EDNS_BYTES = 1232


def resolver_of(nameservers: Sequence[tuple[str, int]]) -> dns.asyncresolver.Resolver | None:
    """One that asks these, by address and port; None, for none of them: this machine's."""
    if not nameservers:
        return None
    asked = dns.asyncresolver.Resolver(configure=False)
    asked.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in nameservers]
    return asked


def key_name(domain: str, selector: str) -> str:
    """Where the record stands."""
    return f"{selector}._postage.{domain}"


@dataclass(frozen=True, slots=True)
class Texts:
    """The TXT records at a name, each one's strings joined."""

    texts: tuple[str, ...]
    """None where there are none, or can be none."""
    ttl_seconds: int
    """So long the answer may be kept, as the zone has it."""
    is_authenticated: bool
    """By DNSSEC, as a resolver on this machine says (AD, RFC 4035 section 3.2.3): nobody between could have said it."""


async def look_up(
    name: str,
    resolver: dns.asyncresolver.Resolver | None = None,
    *,
    lifetime_seconds: float = LIFETIME_SECONDS,
    is_tcp: bool = False,
) -> Texts:
    """What stands there. Raises `Unavailable` for SERVFAIL and timeouts: that is "later", never "no".

    `is_tcp` asks as is asked where an answer is too long for a datagram (RFC 7766 section 5).
    """
    try:
        asked = dns.name.from_text(name)
    except dns.exception.DNSException:
        return Texts((), MISSING_SECONDS, is_authenticated=False)  # no such name can exist, later neither
    try:
        resolver = resolver or dns.asyncresolver.Resolver()
        resolver.use_edns(0, dns.flags.DO, EDNS_BYTES)
        resolver.flags = dns.flags.RD | dns.flags.AD  # RFC 6840 section 5.7: tell us whether it was validated
        answer = await resolver.resolve(asked, "TXT", tcp=is_tcp, lifetime=lifetime_seconds)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return Texts((), MISSING_SECONDS, is_authenticated=False)
    except (dns.exception.DNSException, OSError) as error:
        raise Unavailable(Reason.OFFICE_UNREACHABLE, f"DNS does not answer for {name}: {what(error)}") from error
    texts = tuple(b"".join(record.strings).decode("ascii", "replace") for record in list(answer)[:RECORDS_MAX])
    is_validated = bool(answer.response.flags & dns.flags.AD) and _is_here(answer.nameserver)
    return Texts(texts, answer.rrset.ttl if answer.rrset else MISSING_SECONDS, is_authenticated=is_validated)


def _is_here(nameserver: str | None) -> bool:
    """Whether nobody could stand between that resolver and us."""
    try:
        return ip_address(nameserver or "").is_loopback
    except ValueError:
        return False


async def find_texts(name: str, resolver: dns.asyncresolver.Resolver | None = None) -> list[str]:
    """The TXT records at a name; raises `Unavailable`."""
    return list((await look_up(name, resolver)).texts)


async def find_key_record(domain: str, selector: str, resolver: dns.asyncresolver.Resolver | None = None) -> FoundKey:
    """What is published of an office's key; raises `Unavailable`."""
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
    """The public key published there, or None where there is none; raises `Unavailable`."""
    return (await find_key_record(domain, selector, resolver)).key

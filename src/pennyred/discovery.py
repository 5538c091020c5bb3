"""An issuer's keys in DNS: TXT records at `<selector>._postage.<domain>`, as DKIM keys are (STAMP.md 7.4)."""

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

from pennyred.postage.errors import MalformedKey, Unavailable
from pennyred.postage.keyrecord import parse_key_record
from pennyred.postage.reasons import Reason

LIFETIME_SECONDS = 10.0
RECORDS_MAX = 10


def key_name(domain: str, selector: str) -> str:
    """Where the record stands."""
    return f"{selector}._postage.{domain}"


async def find_key(domain: str, selector: str, resolver: dns.asyncresolver.Resolver | None = None) -> bytes | None:
    """The public key published there, or None where there is none.

    Raises `Unavailable` for SERVFAIL and timeouts: that is "later", never "no".
    """
    try:
        name = dns.name.from_text(key_name(domain, selector))
    except dns.exception.DNSException:
        return None  # no such name can exist, later neither
    try:
        resolver = resolver or dns.asyncresolver.Resolver()
        answer = await resolver.resolve(name, "TXT", lifetime=LIFETIME_SECONDS)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return None
    except (dns.exception.DNSException, OSError) as error:
        raise Unavailable(
            Reason.OFFICE_UNREACHABLE, f"DNS does not answer for {domain}: {type(error).__name__}"
        ) from error
    for record in list(answer)[:RECORDS_MAX]:
        text = b"".join(record.strings).decode("ascii", "replace")
        try:
            return parse_key_record(text)
        except MalformedKey:
            continue
    return None

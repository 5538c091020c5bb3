"""What a client that checks the gate's certificate would find wrong (RFC 6125, RFC 8461 section 4.1)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

RENEWAL_DAYS = 14
"""ACME clients renew 30 days before the end. If less than this is left, they have failed for two weeks."""


def flaws(pem: Path, hostname: str, now: int) -> list[tuple[str, str]]:
    """What is wrong with the first certificate of the file (the gate's own): pairs of flaw and what is expected.

    `now` is in Unix seconds. Raises OSError or ValueError if no certificate can be read.
    """
    certificate = x509.load_pem_x509_certificates(pem.read_bytes())[0]
    found = []
    names = _names(certificate)
    if not any(_covers(name, hostname.lower()) for name in names):
        what = f"{pem} is for {', '.join(names[:5]) or 'no name'}, not for {hostname}"
        found.append((what, "a certificate for the gate's hostname, which is the MX's"))
    ends, moment = certificate.not_valid_after_utc, datetime.fromtimestamp(now, UTC)
    if moment >= ends:
        found.append((f"{pem} ended on {ends:%Y-%m-%d}", "a renewed one"))
    elif ends - moment < timedelta(days=RENEWAL_DAYS):
        found.append((f"{pem} ends on {ends:%Y-%m-%d}", f"one that is renewed {RENEWAL_DAYS} days earlier"))
    if moment < certificate.not_valid_before_utc:
        found.append((f"{pem} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}", "one that is"))
    return found


def ends_at(pem: Path | None) -> float:
    """When the first certificate of the file expires, in Unix seconds; 0 if none can be read."""
    if pem is None:
        return 0.0
    try:
        return x509.load_pem_x509_certificates(pem.read_bytes())[0].not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return 0.0


def _names(certificate: x509.Certificate) -> list[str]:
    """The DNS names of a certificate. The subject's common name has not counted for years."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]


def _covers(name: str, hostname: str) -> bool:
    """Whether a certificate's name covers a host name. An asterisk stands for the whole first label only."""
    if name.startswith("*."):
        return name[2:] == hostname.partition(".")[2]
    return name == hostname

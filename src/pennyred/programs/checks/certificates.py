"""What clients that check would hold against the gate's certificate (RFC 6125, RFC 8461 section 4.1)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

RENEWAL_DAYS = 14
"""ACME clients renew 30 days before the end; with less than this left they have failed for two weeks."""


def flaws(pem: Path, hostname: str, now: int) -> list[tuple[str, str]]:
    """What is wrong with the first certificate of the file, which is the gate's own, and what is expected instead.

    `now` in Unix seconds. Raises OSError or ValueError where there is none that can be read.
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
    """When the first certificate of the file ends, in Unix seconds; 0 where there is none that can be read."""
    if pem is None:
        return 0.0
    try:
        return x509.load_pem_x509_certificates(pem.read_bytes())[0].not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return 0.0


def _names(certificate: x509.Certificate) -> list[str]:
    """DNS names; what the subject calls itself has not counted for long."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]


def _covers(name: str, hostname: str) -> bool:
    """An asterisk stands for the whole first label and for nothing else."""
    if name.startswith("*."):
        return name[2:] == hostname.partition(".")[2]
    return name == hostname

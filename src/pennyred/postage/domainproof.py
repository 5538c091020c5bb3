"""The TXT record at `_postage.<domain>` that says which receiver may redeem stamps for a domain (STAMP.md 7.5)."""

from pennyred.postage.errors import Malformed
from pennyred.postage.taglist import parse_tag_list

RECORD_BYTES_MAX = 1024


def proof_name(domain: str) -> str:
    """The DNS name of the record for this domain."""
    return f"_postage.{domain}"


def format_domain_proof(issuer: str, receiver: str) -> str:
    """The record's text: at this office, stamps for this domain may be redeemed by this receiver."""
    return f"v=pennyred1; o={issuer}; r={receiver}"


def is_domain_proof(text: str, issuer: str, receiver: str) -> bool:
    """Whether a record allows this receiver to redeem at this office.

    `text` is the TXT record's strings, joined with nothing between. A record that cannot be read is no proof.
    """
    try:
        tags = parse_tag_list(text.encode("ascii"), bytes_max=RECORD_BYTES_MAX)
    except (Malformed, UnicodeEncodeError):
        return False
    values = dict(tags)
    return (
        tags[:1] == [("v", b"pennyred1")]
        and values.get("o", b"").lower() == issuer.encode()
        and values.get("r") == receiver.encode()
    )

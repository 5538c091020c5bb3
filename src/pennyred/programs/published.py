"""What an installation publishes in the DNS: its office's keys, and which postage its gate asks for."""

from pennyred.config import GateSettings, OfficeSettings
from pennyred.gate.issuers.discovery import key_name
from pennyred.office.keys import OfficeKeys
from pennyred.postage.keyrecord import format_key_record
from pennyred.postage.policyrecord import PostagePolicy, Wanted, format_policy, policy_name

_STRING_OCTETS = 255
"""The longest string of a TXT record; a record may have several (RFC 1035 section 3.3.14)."""
_WANTED = {"require": Wanted.REQUIRE, "bulk": Wanted.BULK, "monitor": Wanted.NONE}

Record = tuple[str, str]
"""A name without its last dot, and the text of the TXT record there."""


def office_records(office: OfficeSettings) -> list[Record]:
    """The office's keys, by which others verify its stamps (STAMP.md 7.4). Raises OSError and MalformedKey."""
    keys = OfficeKeys(office.signing_key).public_keys
    return [(key_name(office.domain, selector), format_key_record(key)) for selector, key in keys.items()]


def gate_records(gate: GateSettings) -> list[Record]:
    """What the gate asks for, under each domain that it names, or under the word DOMAIN (STAMP.md 7.6)."""
    text = format_policy(PostagePolicy(_WANTED[gate.mode], gate.price, gate.issuers))
    return [(policy_name(domain), text) for domain in gate.domains or ("DOMAIN",)]


def zone_line(name: str, text: str) -> str:
    """The record as a line of a zone file, in strings of a length that one can have (RFC 1035 section 5.1)."""
    strings = [text[start : start + _STRING_OCTETS] for start in range(0, len(text), _STRING_OCTETS)]
    return f"{name}. IN TXT " + " ".join(f'"{string}"' for string in strings)

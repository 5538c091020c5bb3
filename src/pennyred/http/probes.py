"""The JSON of probes: what a sender is told of a letter that went through the sender's own path to the mirror.

The mirror makes an `Arrival` of each letter, which is kept as it is and handed on by the office's API.
"""

import re

import msgspec

from pennyred.postage.address import Recipient

TOKEN = re.compile(r"[a-z2-7]{26}")
"""A token: 128 random bits in base32. Lower case, because some servers write local parts so."""
DELIMITER = "+"


def probe_address(mailbox: str, token: str) -> str:
    """The address at the mirror that a probe's letters are sent to."""
    local, _, domain = mailbox.rpartition("@")
    return f"{local}{DELIMITER}{token}@{domain}"


def token_of(recipient: Recipient, mailbox: str) -> str | None:
    """The tag of an address at the mirror, "" without one; None if it is not the mirror's. Both are canonical."""
    local, _, domain = mailbox.rpartition("@")
    if recipient.domain != domain:
        return None
    before, _, tag = recipient.local.partition(DELIMITER)
    return tag if before == local else None


class StampsSeen(msgspec.Struct, frozen=True):
    """What has become of the stamp field on the way."""

    fields: int
    stamps: int
    form: str
    """`one-line` or `folded`, of the first; empty if there is none."""


class Advice(msgspec.Struct, frozen=True):
    """What to do about one finding, in words for the sender."""

    about: str
    """An altered field, `body`, or the name of a reason."""
    text: str


class Arrival(msgspec.Struct, frozen=True):
    """What was found of one letter. What a gate says is by the stamp alone: its recipients may have other rules."""

    at: str
    """When it arrived, RFC 3339 UTC."""
    source: str
    """The IP address that brought it, behind the gate's own fronts."""
    helo: str
    host: str
    """The verified name of the source, where it is known."""
    size: int
    verdict: str
    """`paid`, `due` or `later`: the class of the reason."""
    reason: str
    sentence: str
    row: str
    """Which row of the table in STAMP.md 8.6 has decided; empty if the stamp failed before."""
    strict: str
    """The reason that a gate gives which takes no altered text."""
    altered: list[str]
    """The signed parts that differ: `from`, `reply-to`, `to`, `subject`, `date`, `message-id`, `body`."""
    stamp: StampsSeen
    proven: str
    """Whether a signature over what was received proves the author: `yes`, `without-id` (yes, but it does not cover the
    Message-ID), `no`, or `silent` (the DNS was)."""
    proofs: list[str]
    """What was looked at, as in Authentication-Results, like `dkim=pass header.d=sender.example`."""
    advice: list[Advice]
    header: str
    """The header section as received, each octet as the character of that number."""
    is_header_cut: bool
    body_hash: str
    """SHA-256 of the relaxed body (STAMP.md 5.7), in base64: with the header, all that a stamp can be compared with."""


class ProbeOpened(msgspec.Struct, frozen=True):
    """The answer to `POST /v1/probes`: where to send the letter, and where to look for what was found."""

    token: str
    address: str
    path: str
    """The page with the answer, for people, on this server."""
    expires_at: str


class ProbeView(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/probes/<token>`: the letters that have arrived so far, the first one first."""

    address: str
    expires_at: str
    arrivals: list[Arrival]

"""The part of DMARC (RFC 9989) without the DNS: records, the names of a tree walk, what follows from the answers.

All domains are canonical (`address.canonical_domain`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

QUERIES_MAX = 8
"""The most names that a walk asks for, however many labels there are (RFC 9989 section 4.10)."""
RECORD_BYTES_MAX = 4096
TAGS_MAX = 50

_LABELS_LEFT = QUERIES_MAX - 1
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")


class Mode(StrEnum):
    """How closely a domain must match the author's (RFC 9989 section 4.4)."""

    RELAXED = "r"
    STRICT = "s"


@dataclass(frozen=True, slots=True)
class Record:
    """The tags of a DMARC record that say how domains belong together (RFC 9989 section 4.7)."""

    psd: str = "u"
    """`y`: a public suffix; `n`: an organisational domain; `u`: not said."""
    dkim_mode: Mode = Mode.RELAXED
    spf_mode: Mode = Mode.RELAXED


def walk_names(domain: str) -> tuple[str, ...]:
    """The domains whose records a tree walk from `domain` asks for, in order (RFC 9989 section 4.10)."""
    labels = domain.split(".")
    rest = labels[-_LABELS_LEFT:] if len(labels) > _LABELS_LEFT else labels[1:]
    return (domain, *(".".join(rest[start:]) for start in range(len(rest))))


def query_name(domain: str) -> str:
    """The DNS name of a domain's record (RFC 9989 section 4.5)."""
    return f"_dmarc.{domain}"


def only_record(texts: Sequence[bytes]) -> Record | None:
    """The one DMARC record among TXT records; None if there is none, or several (RFC 9989 section 4.10)."""
    records = [record for record in map(parse_record, texts) if record is not None]
    return records[0] if len(records) == 1 else None


def parse_record(text: bytes) -> Record | None:
    """Read a TXT record; None if it is no DMARC record. A wrong tag after the version is ignored."""
    if len(text) > RECORD_BYTES_MAX:
        return None
    words = text.decode("utf-8", "replace")
    if not _VERSION.match(words):
        return None
    tags: dict[str, str] = {}
    for part in words.split(";", TAGS_MAX)[:TAGS_MAX]:
        name, _, value = part.partition("=")
        tags.setdefault(name.strip().lower(), value.strip().lower())
    psd = tags.get("psd", "u")
    return Record(psd if psd in ("y", "n") else "u", _mode(tags.get("adkim")), _mode(tags.get("aspf")))


def ends_walk(record: Record | None) -> bool:
    """Whether the walk ends at this record (RFC 9989 section 4.10)."""
    return record is not None and record.psd in ("y", "n")


def organisational_domain(start: str, found: Mapping[str, Record]) -> str:
    """The organisational domain of `start`, from all records that its walk has found (RFC 9989 section 4.10.2).

    `found` has the records by domain, in the order of the walk. If it is empty, the result is `start` itself.
    """
    for domain, record in found.items():
        if record.psd == "n":
            return domain
        if record.psd == "y" and domain != start:
            below = start.removesuffix("." + domain).rpartition(".")[2]
            return f"{below}.{domain}"
    return min(found, key=lambda domain: domain.count("."), default=start)


def policy_record(author: str, found: Mapping[str, Record]) -> Record | None:
    """The record for mail of `author`: its own, its organisation's, or its public suffix's (section 4.10.1)."""
    own = found.get(author) or found.get(organisational_domain(author, found))
    return own or next((record for record in found.values() if record.psd == "y"), None)


def _mode(value: str | None) -> Mode:
    return Mode.STRICT if value == "s" else Mode.RELAXED

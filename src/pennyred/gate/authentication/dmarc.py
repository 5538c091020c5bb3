"""DMARC (RFC 9989) as far as it needs no DNS: records, the names a tree walk asks for, what follows from the answers.

Domains are canonical (`address.canonical_domain`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

QUERIES_MAX = 8
"""RFC 9989 section 4.10: a walk asks for no more names, however many labels there are."""
RECORD_BYTES_MAX = 4096
TAGS_MAX = 50

_LABELS_LEFT = QUERIES_MAX - 1
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")


class Mode(StrEnum):
    """How near a domain must be to the author's (RFC 9989 section 4.4)."""

    RELAXED = "r"
    STRICT = "s"


@dataclass(frozen=True, slots=True)
class Record:
    """What of a DMARC policy record says how domains belong together (RFC 9989 section 4.7)."""

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
    """Where a domain's record stands (RFC 9989 section 4.5)."""
    return f"_dmarc.{domain}"


def only_record(texts: Sequence[bytes]) -> Record | None:
    """The one DMARC record among the TXT records of a name; of several none counts (RFC 9989 section 4.10)."""
    records = [record for record in map(parse_record, texts) if record is not None]
    return records[0] if len(records) == 1 else None


def parse_record(text: bytes) -> Record | None:
    """Read a TXT record; None where it is not DMARC's. What is wrong behind the version is as if it were not there."""
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
    """Whether nothing above this record is asked for any more (RFC 9989 section 4.10)."""
    return record is not None and record.psd in ("y", "n")


def organisational_domain(start: str, found: Mapping[str, Record]) -> str:
    """The organisational domain of `start`, out of all records its walk has found (RFC 9989 section 4.10.2).

    `found` is by domain, in the order of the walk. Without any record it is the domain itself.
    """
    for domain, record in found.items():
        if record.psd == "n":
            return domain
        if record.psd == "y" and domain != start:
            below = start.removesuffix("." + domain).rpartition(".")[2]
            return f"{below}.{domain}"
    return min(found, key=lambda domain: domain.count("."), default=start)


def policy_record(author: str, found: Mapping[str, Record]) -> Record | None:
    """Whose record speaks for mail of `author`: its own, its organisation's, or its public suffix's (4.10.1)."""
    own = found.get(author) or found.get(organisational_domain(author, found))
    return own or next((record for record in found.values() if record.psd == "y"), None)


def _mode(value: str | None) -> Mode:
    return Mode.STRICT if value == "s" else Mode.RELAXED

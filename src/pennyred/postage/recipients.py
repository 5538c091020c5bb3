"""What holds for single recipients: price, mode and exemptions, by address or domain; and their other names.

The most particular rule counts, and only that one: of the address, of the address without its tag, of the domain.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.policy import Exemptions, Mode
from pennyred.postage.wanted import users_of

RULES_MAX = 100_000
ALIASES_TRIED_MAX = 8
"""Other names tried of one recipient: each costs a hash for every stamp of the letter."""


@dataclass(frozen=True, slots=True)
class RecipientRule:
    """What one address or domain has of its own; None: as all others."""

    price: int | None = None
    mode: Mode | None = None
    exemptions: Exemptions | None = None
    """Besides those that hold for everybody."""


DEFAULT = RecipientRule()


@dataclass(frozen=True, slots=True)
class RecipientRules:
    """All rules of single recipients."""

    rules: Mapping[str, RecipientRule] = field(default_factory=dict)
    """By canonical address or domain."""
    delimiter: str = "+"
    """Between a mailbox and its tag; empty: mailboxes have none."""

    def of(self, recipient: Recipient) -> RecipientRule:
        """The rule for a recipient."""
        if not self.rules:
            return DEFAULT
        names = (*users_of(recipient, self.delimiter), recipient.domain)
        return next((self.rules[name] for name in names if name in self.rules), DEFAULT)


class Aliases:
    """Under which other names a letter may have been stamped for a recipient, by the maps that led it there."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        """`pairs`: an alias and one address it stands for, both canonical."""
        found: dict[str, list[Recipient]] = {}
        for alias, target in pairs:
            names = found.setdefault(target, [])
            if len(names) < ALIASES_TRIED_MAX and alias != target:
                names.append(canonical_recipient(alias))
        self._names = {name: tuple(dict.fromkeys(others)) for name, others in found.items() if others}

    def names_of(self, recipient: Recipient) -> tuple[Recipient, ...]:
        """The recipient and its other names."""
        return (recipient, *self._names.get(recipient.canonical, ())) if self._names else (recipient,)


def read_alias_map(text: str, domain: str = "") -> Iterable[tuple[str, str]]:
    """The pairs of an alias map in Postfix's virtual(5) or in sendmail's aliases(5) form, made canonical.

    Lines go on in lines that begin with white space; `#` begins a comment. What is no address (a program, a file, a
    whole domain) is passed over. A name without a domain gets `domain`, and is passed over where there is none.
    """
    for line in _logical_lines(text):
        head, targets = _split(line)
        alias = _address(head, domain)
        for target in targets:
            address = _address(target, domain)
            if alias and address and alias != address:
                yield alias, address


def _logical_lines(text: str) -> Iterable[str]:
    gathered = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and gathered:
            gathered += " " + line.strip()
            continue
        if gathered:
            yield gathered
        gathered = "" if line.lstrip().startswith("#") else line.strip()
    if gathered:
        yield gathered


def _split(line: str) -> tuple[str, list[str]]:
    head, colon, rest = line.partition(":")
    if not colon or any(character.isspace() for character in head.strip()):
        head, _, rest = line.replace("\t", " ").partition(" ")
    return head.strip(), [part.strip() for part in rest.split(",")]


def _address(text: str, domain: str) -> str:
    if not text or text[:1] in ("|", "/", ":", "@", "\\", '"'):
        return ""
    try:
        return canonical_recipient(text if "@" in text or not domain else f"{text}@{domain}").canonical
    except MalformedAddress:
        return ""

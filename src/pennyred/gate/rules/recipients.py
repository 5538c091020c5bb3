"""What holds for single recipients: price, mode, exemptions and other names. By address or by domain.

Only the most particular rule counts: that of the address, else of the address without its tag, else of the domain.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pennyred.gate.rules.exemptions import Exemptions, Mode
from pennyred.gate.rules.grants import users_of
from pennyred.postage.address import Recipient, canonical_domain, canonical_recipient
from pennyred.postage.errors import MalformedAddress

RULES_MAX = 100_000
ALIASES_TRIED_MAX = 8
"""Other names tried of one recipient: each costs a hash for every stamp of the letter."""
LINE_CHARACTERS_MAX = 100_000
"""Of an alias map; an alias that stands for more is a list, and no alias."""

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_HEAD = re.compile(rf"((?:{_QUOTED}|[^\s:\"])[^\s:]*)\s*(?::\s*|\s)")
_TARGET = re.compile(rf'(?:{_QUOTED}|[^,"])+')
_QUOTED_OR_PLAIN = re.compile(rf"(?:{_QUOTED})?[^\s\"]*")


@dataclass(frozen=True, slots=True)
class RecipientRule:
    """What is set for one address or domain. None: the same as for all others."""

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
    """The other names under which a letter to a recipient may have been stamped: aliases that lead to it."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = (), delimiter: str = "") -> None:
        """`pairs`: an alias and one address it stands for, canonical; or `@domain` and the `@domain` it stands for.

        An address keeps its tag, behind the `delimiter`, on the way through an alias without one.
        """
        self._delimiter = delimiter
        self._targets: dict[str, list[str]] = {}
        self._aliases: dict[str, list[str]] = {}
        for alias, target in pairs:
            if alias != target:
                self._targets.setdefault(alias, []).append(target)
                self._aliases.setdefault(target, []).append(alias)

    def names_of(self, recipient: Recipient) -> tuple[Recipient, ...]:
        """The recipient and its other names, the nearest first: those of aliases that led to an alias, too."""
        if not self._aliases:
            return (recipient,)
        found = {recipient.canonical: recipient}
        waiting = deque(found)
        while waiting:
            for alias in self._leading_to(waiting.popleft()):
                if len(found) > ALIASES_TRIED_MAX:
                    return tuple(found.values())
                if alias not in found:
                    local, _, domain = alias.rpartition("@")
                    found[alias] = Recipient(local, domain)
                    waiting.append(alias)
        return tuple(found.values())

    def circles(self) -> list[tuple[str, ...]]:
        """Aliases that lead to each other in a circle, which mail servers give up. Each alias is named only once."""
        found: list[tuple[str, ...]] = []
        named: set[str] = set()
        done: set[str] = set()
        for start in self._targets:
            path = {} if start in done else {start: iter(self._targets[start])}
            while path:
                name, targets = next(reversed(path.items()))
                target = next(targets, None)
                if target is None:
                    done.add(name)
                    del path[name]
                elif target not in path:
                    path |= {} if target in done else {target: iter(self._targets.get(target, ()))}
                elif name not in named and target not in named:
                    found.append(_back_to(target, path))
                    named.update(found[-1])
        return found

    def divided(self) -> Iterator[str]:
        """Aliases that stand for several addresses: one stamp for such an alias pays for one of them only."""
        return (alias for alias, targets in self._targets.items() if len(set(targets)) > 1)

    def _leading_to(self, name: str) -> Iterator[str]:
        yield from self._aliases.get(name, ())
        local, _, domain = name.rpartition("@")
        base, _, tag = local.partition(self._delimiter) if self._delimiter else (local, "", "")
        if base and tag:
            for alias in self._aliases.get(f"{base}@{domain}", ()):
                its_local, _, its_domain = alias.rpartition("@")
                yield f"{its_local}{self._delimiter}{tag}@{its_domain}"
        for alias in self._aliases.get(f"@{domain}", ()):
            if (
                whole := f"{local}{alias}"
            ) not in self._targets:  # what an address has of its own goes before its domain
                yield whole


def _back_to(target: str, path: Mapping[str, object]) -> tuple[str, ...]:
    """The end of a path, from `target` on."""
    circle: list[str] = []
    for name in reversed(list(path)):
        circle.append(name)
        if name == target:
            break
    return tuple(reversed(circle))


def read_alias_map(text: str, domain: str = "") -> Iterable[tuple[str, str]]:
    """The pairs of an alias map in Postfix's virtual(5) or in sendmail's aliases(5) form, made canonical.

    A line that begins with white space continues the one before. A line that begins with `#` is a comment, and does not
    end the one before. What is no address (a program, a file, a whole domain that leads to one address) is passed over.
    A name without a domain gets `domain`, and is passed over where there is none.
    """
    for line in _logical_lines(text):
        head, targets = _split(line)
        alias = _name(head, domain)
        for target in targets:
            name = _name(target, domain)
            if alias and name and alias != name and alias.startswith("@") == name.startswith("@"):
                yield alias, name


def _logical_lines(text: str) -> Iterable[str]:
    gathered = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t" and gathered:
            gathered = f"{gathered} {line.strip()}"[:LINE_CHARACTERS_MAX]
            continue
        if gathered:
            yield gathered
        gathered = line.strip()[:LINE_CHARACTERS_MAX]
    if gathered:
        yield gathered


def _split(line: str) -> tuple[str, list[str]]:
    """What stands before a colon or white space, and what behind, cut at its commas; quotes hold both together."""
    match = _HEAD.match(line)
    return (match[1], [part.strip() for part in _TARGET.findall(line, match.end())]) if match else ("", [])


def _name(text: str, domain: str) -> str:
    """An address, or `@` and a domain, made canonical; empty where it is neither."""
    try:
        if text.startswith("@"):
            return f"@{canonical_domain(text[1:])}"
        if not text or text.lstrip('"')[:1] in "|/:\\" or not _QUOTED_OR_PLAIN.fullmatch(text):
            return ""
        return canonical_recipient(text if "@" in text or not domain else f"{text}@{domain}").canonical
    except MalformedAddress:
        return ""

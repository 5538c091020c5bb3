"""Letters that stand twice in Postfix's log: a content filter has handed them in again (Postfix's FILTER_README).

The first time a line tells whom a letter was addressed to, and whom an alias led to; the second time only the latter is
known, as if the sender had written that. So the second time teaches nothing: what there is to learn stood there before.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

LETTERS_MAX = 100_000
"""Whose Message-ID is known."""
IDS_MAX = 5
"""Of a letter; one has one."""
ID_CHARACTERS_MAX = 500
"""Looked at: what is longer than a line is cut on its way to the filter."""


@dataclass(slots=True)
class _Letter:
    is_local: bool = True
    ids: list[str] = field(default_factory=list)
    is_again: bool = False


class SecondPasses:
    """Which letters came from this machine while another one with the same Message-ID waited; bounded.

    That another machine's letters may have it is no sign: some send a copy to each of several recipients.
    """

    def __init__(self) -> None:
        self._letters: OrderedDict[str, _Letter] = OrderedDict()
        self._waiting: Counter[str] = Counter()

    def came(self, letter: str, *, is_local: bool) -> None:
        """A letter has come, from this machine or another."""
        self.removed(letter)  # an id may be used again
        self._letters[letter] = _Letter(is_local)
        if len(self._letters) > LETTERS_MAX:
            self.removed(next(iter(self._letters)))

    def named(self, letter: str, message_id: str) -> None:
        """What its Message-ID is; none is one, too. Of whom nothing else is known it came from this machine."""
        if letter not in self._letters:
            self.came(letter, is_local=True)
        one, name = self._letters[letter], message_id[:ID_CHARACTERS_MAX]
        if name in one.ids or len(one.ids) >= IDS_MAX:
            return
        one.is_again |= one.is_local and self._waiting[name] > 0
        one.ids.append(name)
        self._waiting[name] += 1

    def removed(self, letter: str) -> None:
        """Nothing more will be heard of it."""
        one = self._letters.pop(letter, None)
        for name in one.ids if one is not None else ():
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]

    def is_again(self, letter: str) -> bool:
        """Whether it has stood in the log before, under another id."""
        one = self._letters.get(letter)
        return one is not None and one.is_again

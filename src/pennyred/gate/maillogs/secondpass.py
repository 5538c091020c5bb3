"""Letters that are twice in Postfix's log, because a content filter has handed them in again (FILTER_README).

The first time, the lines tell the address that the sender wrote, and the one that an alias led to. The second time only
the latter is known, as if the sender had written it. So the second time must not be learned from.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

LETTERS_MAX = 100_000
"""The most letters remembered by Message-ID."""
IDS_MAX = 5
"""The most Message-IDs of one letter; an honest one has one."""
ID_CHARACTERS_MAX = 500
"""How much of a Message-ID is compared: a very long one is cut on its way to the filter."""


@dataclass(slots=True)
class _Letter:
    is_local: bool = True
    ids: list[str] = field(default_factory=list)
    is_again: bool = False


class SecondPasses:
    """Finds letters that came from this machine while another with the same Message-ID waited; its memory is limited.

    Letters from other machines with equal Message-IDs are no sign: some senders send a copy to each recipient.
    """

    def __init__(self) -> None:
        self._letters: OrderedDict[str, _Letter] = OrderedDict()
        self._waiting: Counter[str] = Counter()

    def came(self, letter: str, *, is_local: bool) -> None:
        """Note that a letter has come, from this machine or another."""
        self.removed(letter)  # a queue id may be used again
        self._letters[letter] = _Letter(is_local)
        if len(self._letters) > LETTERS_MAX:
            self.removed(next(iter(self._letters)))

    def named(self, letter: str, message_id: str) -> None:
        """Note a letter's Message-ID, which may be empty. If its arrival was not seen, it came from this machine."""
        if letter not in self._letters:
            self.came(letter, is_local=True)
        one, name = self._letters[letter], message_id[:ID_CHARACTERS_MAX]
        if name in one.ids or len(one.ids) >= IDS_MAX:
            return
        one.is_again |= one.is_local and self._waiting[name] > 0
        one.ids.append(name)
        self._waiting[name] += 1

    def removed(self, letter: str) -> None:
        """Forget a letter that is done."""
        one = self._letters.pop(letter, None)
        for name in one.ids if one is not None else ():
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]

    def is_again(self, letter: str) -> bool:
        """Whether this letter was in the log before, under another queue id."""
        one = self._letters.get(letter)
        return one is not None and one.is_again

"""Bad stamps of one source: beyond so many a minute its stamps are not looked at, and what needs one waits.

Its other mail goes on, as it costs nothing more than anybody's. Behind one address may be many senders, so a spammer
among them must not shut the others out:

- Bad stamps with a licence that holds are counted against that account, from that source; others against nobody known.
  Who has an account that no bad stamp bears the name of goes on as always.
- Of the letters that would have to wait one in `LUCKY_ONE_IN` is looked at all the same, by chance, which nobody can
  use up for others: an honest letter that comes again and again is let in, and its account is then known.

Whatever is found not to hold meanwhile is "later" as well: so nobody learns what was looked at.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from pennyred.gate.policy import GatePolicy
from pennyred.postage.stamp import Stamp
from pennyred.postage.verification import LicenceCache

LUCKY_ONE_IN = 4
"""A look costs a check or two of a signature, a tenth of what the rest of its letter costs."""
NOBODY_KNOWN = ""
"""In the place of an account, where no licence that holds says whose the stamp is."""


class BadStamps(Protocol):
    """How many bad stamps came in this minute, for all workers together."""

    def count(self, source: str, account: str) -> int:
        """How many came from the network of a source (an IP address), of this account or of nobody known."""
        ...

    def add(self, source: str, account: str, stamps: int) -> None:
        """Count so many more bad stamps from this network, of this account or of nobody known."""
        ...


@dataclass(slots=True)
class Barring:
    """Whether the stamps of one letter are looked at.

    Its own bad stamps count at once, so that one letter with a thousand costs no more than a few.
    """

    policy: GatePolicy
    licences: LicenceCache
    book: BadStamps | None = None
    source: str = ""
    """Empty where it is not known: then only the letter's own are counted."""
    draw: Callable[[], int] = lambda: 1
    """Draws a number by chance: one in `LUCKY_ONE_IN` letters is looked at all the same."""
    own: dict[str, int] = field(default_factory=dict)
    """Bad stamps of this letter, by account."""
    _is_lucky: bool | None = None

    def account_of(self, stamp: Stamp) -> str:
        """Whose it is, where a licence that was found to hold lately says so; nothing is verified here."""
        key = self.policy.issuers.get(stamp.issuer, {}).get(stamp.licence.selector)
        is_known = key is not None and self.licences.knows(stamp.licence, key)
        return f"{stamp.issuer} {stamp.account}" if is_known else NOBODY_KNOWN

    def is_barred(self, account: str) -> bool:
        """Whether too many bad stamps of an account, or of nobody known, have come."""
        most = self.policy.bad_stamps_max
        return most > 0 and self._earlier(account) + self.own.get(account, 0) >= most

    def may_look(self, account: str) -> bool:
        """Whether a stamp of an account, or of nobody known, is looked at."""
        return not self.is_barred(account) or (account not in self.own and self._lucky())

    def note(self, account: str, stamps: int) -> None:
        """So many bad ones of an account, or of nobody known, were found in this letter."""
        if stamps:
            self.own[account] = self.own.get(account, 0) + stamps

    def worth_asking(self, stamps: Iterable[Stamp]) -> list[Stamp]:
        """Those that will be looked at, as far as is known."""
        return [stamp for stamp in stamps if self.may_look(self.account_of(stamp))]

    def close(self) -> None:
        """All that is looked at was: count the letter's bad stamps."""
        if self.book is not None and self.source:
            for account, stamps in self.own.items():
                self.book.add(self.source, account, stamps)

    def _earlier(self, account: str) -> int:
        return self.book.count(self.source, account) if self.book is not None and self.source else 0

    def _lucky(self) -> bool:
        if self._is_lucky is None:
            self._is_lucky = self.draw() % LUCKY_ONE_IN == 0
        return self._is_lucky

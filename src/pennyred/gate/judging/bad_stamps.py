"""Bad stamps of one source. Beyond so many a minute its stamps are not looked at, and mail that needs one has to wait.

Its other mail goes on, as it costs no more than anybody's. Many senders may be behind one address, so a spammer among
them must not shut the others out:

- Bad stamps with a licence that holds are counted against that account, from that source. All others are counted
  together as of nobody known. So an account whose name is on no bad stamp goes on as always.
- Of the letters that would have to wait, one in `LUCKY_ONE_IN` is looked at all the same. Chance decides which, so
  nobody can use it up for others. An honest letter that comes again and again is let in, and its account is then known.

Meanwhile a stamp that was looked at and does not hold is answered "later" as well: so nobody learns what was looked at.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec import Struct, field

from pennyred.gate.policy import GatePolicy
from pennyred.postage.stamp import Stamp
from pennyred.postage.verification import LicenceCache

LUCKY_ONE_IN = 4
"""Looking costs a check of a signature or two: a tenth of what the rest of the letter costs."""
NOBODY_KNOWN = ""
"""Stands in the place of an account where no licence that holds says whose the stamp is."""


class BadStamps(Protocol):
    """How many bad stamps came in this minute, for all workers together."""

    def count(self, source: str, account: str) -> int:
        """How many came from the network of a source (an IP address), of this account or of nobody known."""
        ...

    def add(self, source: str, account: str, stamps: int) -> None:
        """Count so many more bad stamps from this network, of this account or of nobody known."""
        ...


class Barring(Struct):
    """Decides whether the stamps of one letter are looked at.

    Bad stamps of the letter itself count at once, so that a letter with a thousand costs no more than one with a few.
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
        """The account that a stamp is counted against; `NOBODY_KNOWN` unless its licence was found to hold lately.

        Nothing is verified here.
        """
        key = self._key_of(stamp)
        is_known = key is not None and self.licences.knows(stamp.licence, key)
        return f"{stamp.issuer} {stamp.account}" if is_known else NOBODY_KNOWN

    def is_barred(self, account: str) -> bool:
        """Whether too many bad stamps of an account, or of nobody known, have come."""
        most = self.policy.bad_stamps_max
        if most == 0:
            return False
        earlier = self.book.count(self.source, account) if self.book is not None and self.source else 0
        return earlier + self.own.get(account, 0) >= most

    def may_look(self, account: str) -> bool:
        """Whether a stamp of an account, or of nobody known, is looked at."""
        return not self.is_barred(account) or (account not in self.own and self._lucky())

    def note(self, account: str, stamps: int) -> None:
        """Note how many bad stamps of an account, or of nobody known, were found in this letter."""
        if stamps:
            self.own[account] = self.own.get(account, 0) + stamps

    def worth_asking(self, stamps: Iterable[Stamp]) -> list[Stamp]:
        """The stamps whose office's key is known or worth asking for: of those with none, too many may have come."""
        return [stamp for stamp in stamps if self._key_of(stamp) is not None or self.may_look(NOBODY_KNOWN)]

    def close(self) -> None:
        """Count the letter's bad stamps for its source. To be called when all its stamps have been looked at."""
        if self.book is not None and self.source:
            for account, stamps in self.own.items():
                self.book.add(self.source, account, stamps)

    def _key_of(self, stamp: Stamp) -> bytes | None:
        keys = self.policy.issuers.get(stamp.issuer)
        return keys.get(stamp.licence.selector) if keys is not None else None

    def _lucky(self) -> bool:
        if self._is_lucky is None:
            self._is_lucky = self.draw() % LUCKY_ONE_IN == 0
        return self._is_lucky

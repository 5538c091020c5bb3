"""What a gate asks that has no book of grants, or nobody to find out who a sender is."""

from collections.abc import Iterable, Sequence

from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.grants import Grant
from pennyred.gate.rules.origin import UNPROVEN, Authentication


class NoGrants:
    """A book in which nothing stands. Implements `ports.GrantBook`."""

    is_in_use = False
    is_empty = True
    can_spare = False

    def knows_nothing(self, recipients: Sequence[Sequence[str]], claims: Claims, domains: Iterable[str]) -> bool:  # noqa: ARG002
        """Never asked: `can_spare` is False."""
        return False

    async def grants(self, recipients: Sequence[Sequence[str]], claims: Claims, *, now: int) -> list[list[Grant]]:  # noqa: ARG002
        """No grant for any recipient."""
        return [[] for _ in recipients]

    async def use(self, counters: Sequence[bytes]) -> bool:  # noqa: ARG002
        """Always False: there is nothing to use."""
        return False

    async def give_back(self, counters: Sequence[bytes]) -> None:
        """Do nothing: nothing was taken."""


class NoAuthenticator:
    """Proves nothing, and asks nobody. Implements `ports.Authenticator`."""

    async def authenticate(self, letter: Letter, envelope: Envelope, *, is_vital: bool = True) -> Authentication:  # noqa: ARG002
        """Nothing is proven of any letter."""
        return UNPROVEN

    async def is_sender_proven(self, envelope: Envelope) -> bool:  # noqa: ARG002
        """No sender is proven."""
        return False

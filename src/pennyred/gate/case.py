"""One letter on the desk, with all that is known of it."""

from msgspec import Struct

from pennyred.gate.judging.allowances import TakenAllowances
from pennyred.gate.judging.grants import GrantSearch
from pennyred.gate.judging.standing import Judgement, Standing
from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.policy import GatePolicy
from pennyred.gate.timing import Stopwatch


class Case(Struct, frozen=True):
    """One letter on the desk."""

    policy: GatePolicy
    letter: Letter
    envelope: Envelope
    judgement: Judgement
    search: GrantSearch
    taken: TakenAllowances
    tx: bytes
    """This delivery attempt, for the office."""
    times: Stopwatch

    @property
    def standings(self) -> tuple[Standing, ...]:
        """Every recipient's, in the order of the envelope."""
        return self.judgement.standings

    async def give_back(self) -> None:
        """The letter was not delivered: uncount what came free."""
        await self.taken.give_back()
        await self.search.give_back()

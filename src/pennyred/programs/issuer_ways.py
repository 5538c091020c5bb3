"""How one worker reaches the post offices whose stamps count: the one in this process, and others by HTTP."""

import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from pennyred.config import GateSettings, IssuerSettings
from pennyred.gate.issuers.asking import Asker
from pennyred.gate.issuers.discovery import resolver_of
from pennyred.gate.issuers.http import HttpRedeemer
from pennyred.gate.issuers.keymemory import KeyMemory
from pennyred.gate.issuers.keyquestions import KeyQuestions
from pennyred.gate.issuers.keyring import KeyRing, PrepareKeys
from pennyred.gate.issuers.revocations import Fetch, RevocationList
from pennyred.gate.issuers.routing import IssuerRouter
from pennyred.gate.issuers.trusting import TrustingRedeemer, TrustLimits
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.memory.store import GateState
from pennyred.gate.ports import Redeemer
from pennyred.office.office import Office
from pennyred.postage.errors import Unavailable
from pennyred.postage.licence import Revocations
from pennyred.programs.clock import clock
from pennyred.programs.keysearch import KeySearch
from pennyred.programs.workers.chores import Chores

TOKEN_BYTES_MAX = 4096
TRUST_PAUSE_SECONDS = 1.0

Keys = Mapping[str, Mapping[str, bytes]]
"""Public keys of offices, by domain and selector."""


def read_token(path: Path) -> str:
    """Read a receiver's token. Raises OSError, or ValueError if it is no token or others can read the file."""
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(f"{path} can be read by others: chmod 600 {path}")
    with path.open("rb") as opened:
        token = opened.read(TOKEN_BYTES_MAX + 1).strip()
    if not token or len(token) > TOKEN_BYTES_MAX or any(not 33 <= octet <= 126 for octet in token):
        raise ValueError(f"{path}: no token, which is one line of printable ASCII without spaces")
    return token.decode("ascii")


class Offices:
    """The post offices of one worker. `start` opens connections; the exit stack `parts` closes them."""

    def __init__(
        self,
        gate: GateSettings,
        issuers: Sequence[IssuerSettings],
        log: Any,
        chores: Chores,
        questions: KeyQuestions,
    ) -> None:
        self._gate = gate
        self._issuers = issuers
        self._log = log
        self._chores = chores
        self._elsewhere: dict[str, HttpRedeemer] = {}
        self._revocations: dict[str, Fetch] = {}
        self._own: Keys = {}
        self._trusted: list[TrustingRedeemer] = []
        self._ways: frozenset[str] = frozenset()
        self._search = KeySearch(resolver_of(gate.nameservers), log)
        self._key_memory = KeyMemory(clock)
        self._ring = KeyRing(self._search.find, self._key_memory, questions, clock=time.monotonic)

    def start(self, parts: AsyncExitStack, office: Office | None, state: GateState, letters: LetterLog) -> Redeemer:
        """Return the redeemer that the desk asks about stamps. Raises OSError, ValueError if a token cannot be read."""
        ways: dict[str, Redeemer] = {}
        if office is not None:
            ways[office.issuer] = office.local_redeemer(self._gate.domains)
            self._own = {office.issuer: office.keys.public_keys}
            self._ring.look_for = office.look_for
            self._revocations[office.issuer] = _local_revocations(office)
        for issuer in self._issuers:
            way = HttpRedeemer(Asker(issuer.address, _token(issuer), self._log))
            way.start()
            parts.push_async_callback(way.close)
            ways[issuer.domain] = self._elsewhere[issuer.domain] = way
            self._revocations[issuer.domain] = way.revocations
        self._ways = frozenset(ways)
        self._key_memory.book = state.office_keys
        self._accept()
        parts.push_async_callback(self._ring.close)
        return IssuerRouter(
            {issuer: self._trusting(parts, issuer, way, state, letters) for issuer, way in ways.items()}
        )

    @property
    def keys(self) -> Keys:
        """The known public keys of all offices whose stamps count: always the same mapping, whose content changes."""
        return self._ring.keys

    @property
    def retired(self) -> frozenset[str]:
        """Offices whose stamps no longer count, but which can still be asked: the settings named them at the start."""
        return self._ways - frozenset(self._gate.issuers)

    @property
    def prepare_keys(self) -> PrepareKeys:
        """The call that finds keys which are not known yet."""
        return self._ring.prepare

    def _accept(self) -> None:
        """Tell the key ring whose stamps count, and where their keys come from."""
        listed = [one for one in self._issuers if one.domain in self._gate.issuers]
        own = {issuer: keys for issuer, keys in self._own.items() if issuer in self._gate.issuers}
        self._search.authenticated_only = frozenset(one.domain for one in listed if one.dnssec)
        self._ring.accept(
            own | {one.domain: one.keys for one in listed if one.keys},
            [one.domain for one in listed if not one.keys],
            authenticated_only=self._search.authenticated_only,
        )

    def prepare(self, gate: GateSettings, issuers: Sequence[IssuerSettings]) -> Callable[[], None]:
        """Prepare a reload: returns the call that takes over tokens and keys. If it raises, nothing is changed."""
        for issuer in gate.issuers:
            if issuer not in self._elsewhere and issuer not in self._own:
                raise ValueError(f"{issuer} is a new post office: that takes a restart")
        tokens = {one.domain: _token(one) for one in issuers if one.domain in self._elsewhere}

        def take_over() -> None:
            for domain, token in tokens.items():
                self._elsewhere[domain].asker.replace_token(token)
            self._gate, self._issuers = gate, issuers
            self._search.resolver = resolver_of(gate.nameservers)
            for trusting in self._trusted:
                trusting.limits = _limits(gate)
            self._accept()

        return take_over

    def _trusting(
        self, parts: AsyncExitStack, issuer: str, way: Redeemer, state: GateState, letters: LetterLog
    ) -> Redeemer:
        """Wrap an office's redeemer. Stamps taken on trust before the settings changed are still owed and known."""
        revoked, is_accepting = RevocationList(self._revocations[issuer]), self._gate.on_office_down == "accept"
        trusting = TrustingRedeemer(
            issuer,
            way,
            state.accepted,
            letters,
            limits=_limits(self._gate),
            clock=clock,
            is_revoked=revoked.is_revoked,
            is_accepting=is_accepting,
        )
        self._trusted.append(trusting)
        if is_accepting:
            self._chores.begin(parts, "revocations", revoked.run)
        parts.push_async_callback(_flushed, trusting)
        self._chores.begin(parts, "trust", lambda: trusting.run(TRUST_PAUSE_SECONDS))
        return trusting


async def _flushed(trusting: TrustingRedeemer) -> None:
    """Write down at the end what was spent. If the state does not answer, nobody is left to be told."""
    with suppress(Unavailable):
        await trusting.flush()


def _limits(gate: GateSettings) -> TrustLimits:
    return TrustLimits(gate.accept_per_account, gate.accept_total)


def _local_revocations(office: Office) -> Fetch:
    async def fetch(after: int) -> Revocations:
        return await office.ledger.revocations(after=after)

    return fetch


def _token(issuer: IssuerSettings) -> str:
    if issuer.token_file is None:
        raise ValueError(f"{issuer.domain}: no token_file")
    return read_token(issuer.token_file)

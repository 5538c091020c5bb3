"""One worker's gate at work: its state, its desk, its doors, and what runs beside them."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import msgspec

from pennyred.authentication.checker import Checker
from pennyred.config import GateSettings
from pennyred.postage.errors import Unavailable
from pennyred.programs.activation import PassedSockets, addresses
from pennyred.programs.chores import Chores
from pennyred.programs.gate import (
    build_checker,
    build_desk,
    build_door,
    build_outgoing_door,
    build_quarantine,
    gate_options,
    listen,
    outgoing_options,
    tls_context,
)
from pennyred.programs.office import clock
from pennyred.programs.policy import gate_policy
from pennyred.services.debts import PatientOutbox
from pennyred.services.figures import FigureTally
from pennyred.services.gate import Desk
from pennyred.services.gatelog import LetterLog
from pennyred.services.office import Office
from pennyred.services.settling import pump_outbox
from pennyred.smtp.server import GateServer
from pennyred.smtp.tally import WorkerTally
from pennyred.state.quarantine import Quarantine
from pennyred.state.store import GateState

OUTBOX_PAUSE_SECONDS = 1.0
FIGURES_PAUSE_SECONDS = 5.0
QUARANTINE_PAUSE_SECONDS = 3600.0


class GateWork:
    """Made at the start of a worker; serves from `start` until the parts it was given are ended."""

    def __init__(self, settings: GateSettings, log: Any, tally: WorkerTally, chores: Chores) -> None:
        self._settings = settings
        self._log = log
        self._tally = tally
        self._chores = chores
        self._desk: Desk | None = None
        self._door: GateServer | None = None
        self._outgoing: GateServer | None = None
        self._checkers: list[Checker] = []

    async def start(self, parts: AsyncExitStack, office: Office, passed: PassedSockets) -> None:
        """From the inside out; `parts` end it the other way round. Raises OSError, ValueError, `Unavailable`."""
        gate = self._settings
        state = GateState.open(gate.state, now=clock())
        parts.push_async_callback(state.close)
        figures = FigureTally(state.figures)
        parts.push_async_callback(figures.flush)
        self._chores.begin(parts, "figures", lambda: figures.run(FIGURES_PAUSE_SECONDS))
        letters = LetterLog(self._log)
        outbox = PatientOutbox(state.outbox, letters)
        parts.push_async_callback(outbox.close)
        quarantine = build_quarantine(gate)
        if quarantine is not None:
            self._chores.begin(parts, "quarantine", lambda: self._sweep(quarantine))
        checker = build_checker(gate, self._log)
        self._checkers.append(checker)
        parts.callback(self._close_checkers)
        redeemer = office.local_redeemer(gate.domains)
        policy = gate_policy(gate, {office.issuer: office.keys.public_keys})
        self._desk = build_desk(
            policy,
            redeemer,
            state,
            outbox,
            letters,
            self._tally,
            authenticator=checker,
            quarantine=quarantine,
            note_facts=figures.note,
        )
        self._chores.begin(
            parts, "outbox", lambda: pump_outbox(redeemer, outbox, letters, pause_seconds=OUTBOX_PAUSE_SECONDS)
        )
        self._door = build_door(gate, self._desk, self._log, self._tally)
        await self._door.start(passed.gate or listen(gate.listen))
        # A letter whose final dot is out may take the mail server's whole time to be answered.
        parts.push_async_callback(self._stop, gate.stop_timeout_seconds)
        if gate.outgoing is not None:
            self._outgoing = build_outgoing_door(gate, gate.outgoing, state, letters, self._log)
            await self._outgoing.start(listen(gate.outgoing.listen))

    def reread(self, settings: GateSettings) -> None:
        """Rules and certificates anew; addresses, databases and limits stay. Raises before anything is changed."""
        if self._desk is None or self._door is None:
            return
        running = self._desk.policy
        policy, tls = gate_policy(settings, running.issuers), tls_context(settings)
        # The time the mail server is given stays, so the lease must: a shorter one would end while it answers.
        self._desk.policy = replace(
            policy, lease_seconds=running.lease_seconds, upstream_timeout_seconds=running.upstream_timeout_seconds
        )
        self._replace_checker(settings)
        self._door.replace_rules(gate_options(settings))
        if self._outgoing is not None and settings.outgoing is not None:
            self._outgoing.replace_rules(outgoing_options(settings, settings.outgoing))
        for door in self._doors():
            door.replace_tls(tls)

    def _replace_checker(self, settings: GateSettings) -> None:
        """Ask other name servers, believe other fronts; letters under way keep the one they began with."""
        before = self._settings
        if self._desk is None or (settings.authentication, settings.nameservers) == (
            before.authentication,
            before.nameservers,
        ):
            return
        self._settings = msgspec.structs.replace(
            before, authentication=settings.authentication, nameservers=settings.nameservers
        )
        self._desk.authenticator = build_checker(settings, self._log)
        self._checkers.append(self._desk.authenticator)

    def hurry(self) -> None:
        """Finish no letter in hand when stopping, now or later."""
        for door in self._doors():
            door.hurry()

    def in_hand(self) -> tuple[int, int]:
        """How many connections and letters there are."""
        doors = self._doors()
        return sum(door.sessions for door in doors), sum(door.letters for door in doors)

    def addresses(self, passed: PassedSockets) -> dict[str, Any]:
        """Where mail is taken, and how strictly, for the log."""
        gate = self._settings
        told: dict[str, Any] = {"gate": addresses(passed.gate) or _shown(gate.listen), "mode": gate.mode}
        return told | ({"outgoing": _shown(gate.outgoing.listen)} if gate.outgoing is not None else {})

    def _close_checkers(self) -> None:
        for checker in self._checkers:
            checker.close()

    async def _stop(self, finish_seconds: float) -> None:
        await asyncio.gather(*(door.stop(finish_seconds) for door in self._doors()))

    def _doors(self) -> list[GateServer]:
        return [door for door in (self._door, self._outgoing) if door is not None]

    async def _sweep(self, quarantine: Quarantine) -> None:
        """Let the quarantine forget what is old; where the disk does not answer, next time."""
        while True:
            try:
                swept = await quarantine.sweep(clock())
            except Unavailable as error:
                self._log.warning("sweep failed", error=str(error))
            else:
                if not swept.is_done:
                    continue
            await asyncio.sleep(QUARANTINE_PAUSE_SECONDS)


def _shown(places: tuple[tuple[str, int], ...]) -> list[str]:
    return [f"{host}:{port}" for host, port in places]

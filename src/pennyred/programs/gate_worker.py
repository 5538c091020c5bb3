"""One worker's gate at work: opens its state, its desk and its doors, and runs background work."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from pennyred.config import GateSettings, IssuerSettings, OutgoingSettings
from pennyred.failures import place_name
from pennyred.gate.authentication.checker import Checker
from pennyred.gate.counting import FigureTally
from pennyred.gate.desk import Desk
from pennyred.gate.door.server import GateServer
from pennyred.gate.issuers.keyquestions import KeyQuestions
from pennyred.gate.judging.delivered_texts import DeliveredTexts
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.memory.outbox import OutboxStanding
from pennyred.gate.memory.store import GateState
from pennyred.gate.mirror import Mirror
from pennyred.gate.outbox import BufferedOutbox
from pennyred.gate.outgoing import OutgoingDesk
from pennyred.gate.rules.figures import Fact
from pennyred.gate.settling import pump_outbox
from pennyred.gate.upstream.choice import Upstreams
from pennyred.metrics.meter import Meter
from pennyred.metrics.redeeming import CountedRedeemer
from pennyred.office.office import Office
from pennyred.programs.checks.certificates import ends_at
from pennyred.programs.clock import clock
from pennyred.programs.gate_parts import (
    build_checker,
    build_desk,
    build_door,
    build_outgoing_desk,
    build_outgoing_door,
    gate_options,
    letter_memory,
    listen,
    name_lookup,
    outgoing_options,
    tls_context,
)
from pennyred.programs.housekeeping import PassedTime
from pennyred.programs.issuer_ways import Offices
from pennyred.programs.mirroring import build_mirror, mirrors_authenticator
from pennyred.programs.policy import gate_policy
from pennyred.programs.refusedcopies import RefusedCopies
from pennyred.programs.systemd.activation import PassedSockets, addresses
from pennyred.programs.workers.chores import Chores
from pennyred.programs.workers.tallies import SharedMinute, Tallies

OUTBOX_PAUSE_SECONDS = 1.0
TEXTS_PAUSE_SECONDS = 1.0
FIGURES_PAUSE_SECONDS = 5.0


class GateWork:
    """A worker's gate. It serves from `start` until the exit stack that it was given ends."""

    def __init__(
        self,
        settings: GateSettings,
        issuers: Sequence[IssuerSettings],
        log: Any,
        tallies: Tallies,
        number: int,
        chores: Chores,
        meter: Meter,
        mirror: str = "",
    ) -> None:
        """`number` is the worker's number; only worker 0 logs what is true for all.

        `mirror` is the mailbox of the mirror of the office in this process; empty if there is none.
        """
        self._settings = settings
        self._is_first = number == 0
        questions = KeyQuestions(SharedMinute(tallies.questions.of(number)))
        self._offices = Offices(settings, issuers, log, chores, questions)
        self._log = log
        self._tally = tallies.gate.of(number)
        self._outgoing_tally = tallies.outgoing.of(number)
        self._chores = chores
        self._meter = meter
        self.certificate_end = ends_at(settings.tls_certificate)
        """When the certificate in use expires, in Unix seconds; 0 if there is none."""
        self.memory = letter_memory(settings, log)
        self._mailbox = mirror
        self._mirror: Mirror | None = None
        self._desk: Desk | None = None
        self._door: GateServer | None = None
        self._outgoing: GateServer | None = None
        self._outgoing_desk: OutgoingDesk | None = None
        self._checkers: list[Checker] = []
        self._state: GateState | None = None
        self._outbox: BufferedOutbox | None = None
        self._redeemer: CountedRedeemer | None = None
        self._refusals: RefusedCopies | None = None

    async def start(self, parts: AsyncExitStack, office: Office | None, passed: PassedSockets) -> None:
        """Start the parts, the inner ones first; `parts` ends them in reverse. Raises OSError, ValueError, Unavailable.

        `office` is the office in this process, if there is one.
        """
        gate = self._settings
        state = self._state = GateState.open(gate.state, now=clock())
        parts.push_async_callback(state.close)
        looks = PassedTime("state", state.passed.look, self._log, self._meter, is_telling=self._is_first)
        self._chores.begin(parts, "housekeeping", looks.run)
        figures = FigureTally(state.figures)
        parts.push_async_callback(figures.flush)
        self._chores.begin(parts, "figures", lambda: figures.run(FIGURES_PAUSE_SECONDS))

        def note_facts(letter: Sequence[Fact]) -> None:
            self._meter.letter(letter)
            figures.note(letter)

        texts = DeliveredTexts(state.delivered_texts)
        parts.push_async_callback(texts.flush)
        self._chores.begin(parts, "texts", lambda: texts.run(TEXTS_PAUSE_SECONDS))
        letters = LetterLog(self._log)
        outbox = self._outbox = BufferedOutbox(state.outbox, letters)
        parts.push_async_callback(outbox.close)
        refusals = self._refusals = RefusedCopies(self._log, letters, self._meter, looks, workers=gate.workers)
        self._chores.begin(parts, "quarantine", refusals.run)
        checker = build_checker(gate, self._log)
        self._checkers.append(checker)
        parts.callback(self._close_checkers)
        asked = self._offices.start(parts, office, state, letters)
        redeemer = self._redeemer = CountedRedeemer(asked, self._meter.redemptions)
        policy = replace(gate_policy(gate, self._offices.keys), retired=self._offices.retired)
        self._desk = build_desk(
            policy,
            redeemer,
            state,
            outbox,
            letters,
            self._tally,
            authenticator=checker,
            refusals=refusals.accept(gate),
            note_facts=note_facts,
            note_times=self._meter.took,
            note_failure=self._meter.failed,
            prepare_keys=self._offices.prepare_keys,
            texts=texts,
        )
        self._chores.begin(
            parts,
            "outbox",
            lambda: pump_outbox(redeemer, outbox, letters, clock=clock, pause_seconds=OUTBOX_PAUSE_SECONDS),
        )
        if self._mailbox and office is not None:
            self._mirror = build_mirror(self._mailbox, office, state, mirrors_authenticator(gate, checker), self._log)
        self._door = build_door(gate, self._desk, self._log, self._tally, self.memory, self._mirror)
        await self._door.start(passed.gate or listen(gate.listen))
        # After the final dot, the mail server may take all its time to answer.
        parts.push_async_callback(self._stop)
        if gate.outgoing is not None:
            await self._start_outgoing(gate.outgoing, state, letters)

    async def _start_outgoing(self, outgoing: OutgoingSettings, state: GateState, letters: LetterLog) -> None:
        gate = self._settings
        desk = self._outgoing_desk = build_outgoing_desk(gate, state, letters)
        self._outgoing = build_outgoing_door(gate, outgoing, desk, self._log, self._outgoing_tally, self.memory)
        await self._outgoing.start(listen(outgoing.listen))

    def prepare(self, settings: GateSettings, issuers: Sequence[IssuerSettings]) -> Callable[[], None]:
        """Prepare a reload: returns the call that takes over rules and certificates. All other settings are as before.

        Raises OSError, ValueError or `Unavailable`; then nothing is changed.
        """
        desk, door = self._desk, self._door
        if desk is None or door is None:
            return lambda: None
        policy, tls = gate_policy(settings, self._offices.keys), tls_context(settings)
        take_over_offices = self._offices.prepare(settings, issuers)

        def take_over() -> None:
            take_over_offices()
            desk.policy = replace(policy, issuers=self._offices.keys, retired=self._offices.retired)
            self._take_over_desk(desk, settings)
            door.replace_rules(gate_options(settings))
            if settings.nameservers != self._settings.nameservers:
                door.replace_names(name_lookup(settings))
            if self._outgoing is not None and settings.outgoing is not None:
                self._outgoing.replace_rules(outgoing_options(settings, settings.outgoing))
            for one in self._doors():
                one.replace_tls(tls)
                one.upstreams.relearn()
            self.certificate_end = ends_at(settings.tls_certificate)
            self._settings = settings

        return take_over

    def _take_over_desk(self, desk: Desk, settings: GateSettings) -> None:
        """Use a new quarantine folder, name servers and fronts. Letters under way keep the old ones."""
        before = self._settings
        if self._refusals is not None and settings.quarantine != before.quarantine:
            desk.refusals = self._refusals.accept(settings)
        if (settings.authentication, settings.nameservers) != (before.authentication, before.nameservers):
            desk.authenticator = checker = build_checker(settings, self._log)
            self._checkers.append(checker)
            if self._mirror is not None:
                self._mirror.authenticator = mirrors_authenticator(settings, checker)
        if self._outgoing_desk is not None:
            self._outgoing_desk.delimiter = settings.recipient_delimiter

    def hurry(self) -> None:
        """Make the stop wait for no letter in hand, now or later."""
        for door in self._doors():
            door.hurry()

    def in_hand(self) -> tuple[int, int]:
        """How many connections and how many letters are in hand, for all doors."""
        doors = self._doors()
        return sum(door.sessions for door in doors), sum(door.letters for door in doors)

    def addresses(self, passed: PassedSockets) -> dict[str, Any]:
        """The addresses and modes of the doors, for the log."""
        gate = self._settings
        told: dict[str, Any] = {"gate": addresses(passed.gate) or _shown(gate.listen), "mode": gate.mode}
        return told | ({"outgoing": _shown(gate.outgoing.listen)} if gate.outgoing is not None else {})

    def ways(self) -> list[tuple[str, Upstreams]]:
        """The connections to the mail servers, each with the name of its door."""
        doors = (("incoming", self._door), ("outgoing", self._outgoing))
        return [(name, door.upstreams) for name, door in doors if door is not None]

    @property
    def unwritten(self) -> int:
        """How many settlements are in memory only."""
        return 0 if self._outbox is None else self._outbox.unwritten

    async def outbox_standing(self) -> OutboxStanding:
        """How many settlements wait in the state, and since when; raises `Unavailable`."""
        return OutboxStanding(0, 0, 0) if self._state is None else await self._state.outbox.standing()

    @property
    def is_office_answering(self) -> bool:
        """Whether the office has answered the last question; True before the first."""
        return self._redeemer is None or self._redeemer.is_answering

    def _close_checkers(self) -> None:
        for checker in self._checkers:
            checker.close()

    async def _stop(self) -> None:
        await asyncio.gather(*(door.stop(self._settings.stop_timeout_seconds) for door in self._doors()))

    def _doors(self) -> list[GateServer]:
        return [door for door in (self._door, self._outgoing) if door is not None]


def _shown(places: tuple[tuple[str, int], ...]) -> list[str]:
    return [place_name(host, port) for host, port in places]

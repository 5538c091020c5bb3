"""One worker's office: opens the ledger, serves the HTTP API, and runs background work."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from pennyred.config import OfficeSettings
from pennyred.gate.door.server import listening_socket
from pennyred.gate.door.tlsoffer import server_context
from pennyred.gate.issuers.discovery import find_texts, resolver_of
from pennyred.http.admission import Room
from pennyred.http.exchange import Deadlines
from pennyred.http.server import Reach, WebServer
from pennyred.metrics.exposition import CONTENT_TYPE
from pennyred.office.api.app import make_app
from pennyred.office.api.measured import ApiMetrics
from pennyred.office.ledger.remote.server import LedgerServer
from pennyred.office.office import Office
from pennyred.programs.clock import clock
from pennyred.programs.housekeeping import PassedTime, sweep_ledger
from pennyred.programs.ledger.ownership import Ownership
from pennyred.programs.office import open_office
from pennyred.programs.systemd.activation import PassedSockets
from pennyred.programs.witness import Witness, watch_ledger
from pennyred.programs.workers.chores import Chores
from pennyred.programs.workers.tallies import SharedMinute, Tallies
from pennyred.programs.workers.watch import Watch


class OfficeWork:
    """A worker's office. It serves from `start` until the exit stack `parts` ends."""

    def __init__(
        self,
        settings: OfficeSettings,
        number: int,
        log: Any,
        tallies: Tallies,
        watch: Watch,
        chores: Chores,
        *,
        ownership: Ownership | None,
    ) -> None:
        """`ownership`: there is no other worker, so this one has the ledger's file, and commands ask it."""
        self._settings = settings
        self._number = number
        self._log = log
        self._tallies = tallies
        self._watch = watch
        self._chores = chores
        self._ownership = ownership
        self._office: Office | None = None
        self._api: WebServer | None = None
        networks, meter = settings.metrics_networks, watch.meter
        self._metrics = ApiMetrics(watch.metrics_page, CONTENT_TYPE, networks, meter.request)

    async def start(self, parts: AsyncExitStack, passed: PassedSockets, connections_max: int) -> Office:
        """Start the parts, inner ones first. Raises OSError, ValueError, MalformedKey, SchemaError, `Unavailable`."""
        lock = None if self._ownership is None else self._ownership.lock
        office = self._office = self._watch.office = await parts.enter_async_context(
            open_office(self._settings, self._watch.meter.batch, worker=self._number, lock=lock)
        )
        if self._ownership is not None:
            self._serve_ledger(parts, office, self._ownership)
        witness = Witness(self._settings.signing_key, office.ledger, self._log, clock=clock)
        await witness.look()  # must come before anything is signed
        if self._number == 0:
            parts.push_async_callback(witness.look_last)
            self._chores.begin(parts, "witness", lambda: watch_ledger(witness))
        meter = self._watch.meter
        passed_time = PassedTime("ledger", office.ledger.passed, self._log, meter, is_telling=self._number == 0)
        self._chores.begin(parts, "sweep", lambda: sweep_ledger(office, passed_time, self._log, meter))
        listeners = passed.office or (listening_socket(*self._settings.listen, is_shared=True),)
        api = self._api = WebServer(
            self._app(office),
            listeners[0],
            reach(self._settings, connections_max),
            log=self._log,
            strangers=self._tallies.strangers.of(self._number),
            known=self._tallies.known.of(self._number),
        )
        await api.start()
        parts.push_async_callback(api.stop)
        return office

    def _serve_ledger(self, parts: AsyncExitStack, office: Office, ownership: Ownership) -> None:
        """Let commands use the ledger, as nobody else opens its file."""
        server = LedgerServer(office.ledger, ownership.listener.socket, self._log)
        server.start()
        parts.callback(ownership.listener.remove)
        parts.push_async_callback(server.stop)

    def prepare(self, settings: OfficeSettings) -> Callable[[], None]:
        """Prepare a reload: returns the call that takes over rules, keys and certificate. If it raises (OSError,
        `MalformedKey`), nothing is changed.
        """
        office, api = self._office, self._api
        if office is None or api is None:
            return lambda: None
        keys = office.keys.read()
        api.renew_certificate()  # at once: the next connection needs it, even if the rest is refused

        def take_over() -> None:
            office.keys.take(keys)
            office.take_rules(
                price=settings.price,
                daily_cap=settings.daily_cap,
                find_texts=partial(find_texts, resolver=resolver_of(settings.nameservers)),
            )
            self._metrics.networks = settings.metrics_networks

        return take_over

    def _app(self, office: Office) -> Any:
        asked = self._tallies.asked.of(self._number)
        return make_app(
            office,
            self._log,
            openings=SharedMinute(asked, b"opening "),
            lookups=SharedMinute(asked, b"look-up "),
            probings=SharedMinute(asked, b"probe "),
            metrics=self._metrics,
        )


def require_certificate(settings: OfficeSettings) -> None:
    """Raise OSError, with the file's name, if the API's certificate or key cannot be used."""
    if settings.tls_certificate is not None and settings.tls_key is not None:
        server_context(settings.tls_certificate, settings.tls_key)


def reach(settings: OfficeSettings, connections_max: int) -> Reach:
    """How the office's API is reached; `connections_max` is the most that this machine allows.

    Raises OSError, with the file's name, if its certificate cannot be read.
    """
    require_certificate(settings)
    return Reach(
        settings.tls_certificate,
        settings.tls_key,
        settings.trusted_proxies,
        settings.receiver_networks,
        Room(min(settings.max_connections, connections_max), settings.max_connections_per_network),
        Deadlines(
            request_seconds=settings.request_timeout_seconds,
            body_seconds=settings.body_timeout_seconds,
            answer_seconds=settings.answer_timeout_seconds,
            keep_alive_seconds=settings.keep_alive_seconds,
        ),
    )

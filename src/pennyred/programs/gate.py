"""Builds one worker's gate from the settings: the desk, the way to the mail server, the door."""

import os
import random
import socket
import ssl
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pennyred.config import GateSettings
from pennyred.hostnames import HostNames
from pennyred.postage.policy import Allowances, Exemptions, Mode
from pennyred.programs.office import clock
from pennyred.services.gate import Desk
from pennyred.services.gatelog import LetterLog
from pennyred.services.ports import Redeemer, SettlementOutbox
from pennyred.services.standing import GatePolicy
from pennyred.smtp.admission import network_of
from pennyred.smtp.gatehouse import HOPS_MAX, GateOptions
from pennyred.smtp.security import client_context
from pennyred.smtp.server import GateServer, listening_socket
from pennyred.smtp.spool import SpoolLimits
from pennyred.smtp.tally import WorkerTally
from pennyred.smtp.upstream import IdentityMode, Security, UpstreamOptions, parse_url
from pennyred.smtp.upstreams import Upstreams
from pennyred.state.store import GateState

PASS_KEY_BYTES_MIN = 16
PASS_KEY_BYTES_MAX = 4096


def gate_hostname(gate: GateSettings) -> str:
    """What the gate calls itself: the setting, else this machine's name. Never asks DNS, which can take minutes."""
    return gate.hostname or socket.gethostname()


def gate_policy(gate: GateSettings, issuers: Mapping[str, Mapping[str, bytes]]) -> GatePolicy:
    """The settings in the core's own types; raises OSError or ValueError where the pass key cannot be read."""
    return GatePolicy(
        hostname=gate_hostname(gate),
        issuers=issuers,
        mode=Mode(gate.mode),
        price=gate.price,
        exemptions=Exemptions(gate.exempt.networks, gate.exempt.senders, frozenset(gate.exempt.recipients)),
        allowances=Allowances(
            gate.allowance.per_day, gate.allowance.per_source_per_day, gate.allowance.bounces_per_day
        ),
        strict_body=gate.altered_body == "reject",
        pass_key=read_pass_key(gate.pass_key) if gate.pass_key else None,
        lease_seconds=gate.lease_seconds,
        upstream_timeout_seconds=gate.upstream_timeout_seconds,
    )


def gate_options(gate: GateSettings) -> GateOptions:
    """The settings as the door knows them. In monitor mode no letter is refused for what it is."""
    is_refusing = gate.mode != "monitor"
    return GateOptions(
        hostname=gate_hostname(gate),
        spool=SpoolLimits(gate.max_size, memory_bytes_max=gate.memory_per_letter, directory=gate.spool),
        issuers=gate.issuers,
        price=gate.price,
        help_url=gate.help_url,
        is_bare_newline_refused=gate.bare_newline == "reject" and is_refusing,
        is_mixed_split=gate.mixed == "split",
        is_trace_added=gate.upstream_identity == "none",
        hops_max=HOPS_MAX if is_refusing else 0,
        trusted_fronts=gate.trusted_fronts,
        is_proxied=gate.fronts_speak == "proxy",
        transfer_timeout_seconds=gate.transfer_timeout_seconds,
        read_timeout_seconds=gate.read_timeout_seconds,
        session_timeout_seconds=gate.session_timeout_seconds,
        connections_max=gate.max_connections,
        connections_per_network_max=gate.max_connections_per_network,
        uncounted_networks=gate.exempt.networks,
        bad_stamps_max=gate.max_bad_stamps_per_minute if is_refusing else 0,
        recipients_max=gate.max_recipients,
        errors_max=gate.max_errors,
        idle_commands_max=gate.max_idle_commands,
    )


def upstream_tls(gate: GateSettings) -> ssl.SSLContext | None:
    """Whom to believe that it is the mail server, where one is reached by TLS; raises OSError."""
    if all(parse_url(url).security is Security.NONE for url in gate.upstream):
        return None
    return client_context(gate.upstream_tls_ca, is_verified=gate.upstream_tls_verify)


def upstream_options(gate: GateSettings) -> list[UpstreamOptions]:
    """The settings as the ways to the mail servers know them; the connections to each are shared by the workers.

    Raises OSError where the authorities' certificates cannot be read.
    """
    tls = upstream_tls(gate)
    return [
        UpstreamOptions(
            endpoint=parse_url(url),
            hostname=gate_hostname(gate),
            identity=IdentityMode(gate.upstream_identity),
            tls=tls,
            connections_max=max(1, gate.upstream_connections // gate.workers),
            answer_timeout_seconds=gate.upstream_timeout_seconds,
        )
        for url in gate.upstream
    ]


def build_desk(
    policy: GatePolicy,
    redeemer: Redeemer,
    state: GateState,
    outbox: SettlementOutbox,
    log: LetterLog,
    tally: WorkerTally,
) -> Desk:
    """The desk, with the clock and randomness of this machine."""
    return Desk(
        policy,
        redeemer,
        state.allowances,
        outbox,
        state.partly,
        clock=clock,
        random_bytes=os.urandom,
        log=log,
        note_bad_stamps=lambda source, count: tally.add_bad_stamps(network_of(source), count),
    )


def build_door(gate: GateSettings, desk: Desk, log: Any, tally: WorkerTally) -> GateServer:
    """The door, not yet listening. Raises OSError where long letters could not be kept."""
    try_spool(gate)
    names = HostNames().lookup if gate.upstream_identity in ("xclient", "xforward") else None
    upstreams = Upstreams(
        upstream_options(gate), log, clock=time.monotonic, random=random.random, is_spread=gate.upstream_spread
    )
    return GateServer(gate_options(gate), desk, upstreams, tls_context(gate), name_lookup=names, log=log, tally=tally)


def try_spool(gate: GateSettings) -> None:
    """Make a file as long letters do, so that a wrong folder is heard of before the first of them; raises OSError."""
    with tempfile.TemporaryFile(dir=gate.spool):
        pass


def listen(gate: GateSettings) -> list[socket.socket]:
    """One socket for each address; shared with the other workers. Raises OSError."""
    sockets: list[socket.socket] = []
    try:
        for host, port in gate.listen:
            sockets.append(listening_socket(host, port, is_shared=True))
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


def tls_context(gate: GateSettings) -> ssl.SSLContext | None:
    """For STARTTLS, where a certificate is set; raises OSError where it cannot be read, and says which file it was."""
    if gate.tls_certificate is None or gate.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.options |= ssl.OP_NO_RENEGOTIATION  # a way to have us work for nothing
    for path in (gate.tls_certificate, gate.tls_key):
        path.open("rb").close()  # its error has the file's name, which the library's has not
    try:
        context.load_cert_chain(gate.tls_certificate, gate.tls_key)
    except ssl.SSLError as error:
        why = "not its key" if error.reason == "KEY_VALUES_MISMATCH" else error.reason or str(error)
        raise OSError(f"tls_certificate {gate.tls_certificate}, tls_key {gate.tls_key}: {why}") from error
    return context


def read_pass_key(path: Path) -> bytes:
    """The secret that sister gates share; raises OSError, or ValueError where it is too short to be one."""
    with path.open("rb") as opened:
        key = opened.read(PASS_KEY_BYTES_MAX).strip()
    if len(key) < PASS_KEY_BYTES_MIN:
        raise ValueError(f"{path}: a pass key has at least {PASS_KEY_BYTES_MIN} bytes")
    return key

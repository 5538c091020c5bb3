"""Builds one worker's gate from the settings: the desk, the connections to the mail server, the door."""

import os
import random
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pennyred.config import GateSettings, OutgoingSettings
from pennyred.gate.authentication.checker import Checker
from pennyred.gate.desk import Desk
from pennyred.gate.door.admission import CountedBadStamps
from pennyred.gate.door.gatehouse import HOPS_MAX, GateOptions, NameLookup
from pennyred.gate.door.hostnames import HostNames
from pennyred.gate.door.server import GateServer, listening_socket
from pennyred.gate.door.tally import WorkerTally
from pennyred.gate.door.tlsoffer import server_context
from pennyred.gate.issuers.discovery import resolver_of
from pennyred.gate.issuers.keyring import PrepareKeys, all_known
from pennyred.gate.judging.delivered_texts import DeliveredTexts
from pennyred.gate.judging.former_aliases import FormerNames
from pennyred.gate.judging.judge import Judging
from pennyred.gate.letterbox import GateDesk, MirrorDesk
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.memory.store import GateState
from pennyred.gate.outgoing import OutgoingDesk
from pennyred.gate.policy import GatePolicy
from pennyred.gate.ports import Authenticator, Redeemer, Refusals, SettlementOutbox
from pennyred.gate.rules.figures import Fact
from pennyred.gate.rules.passes import PASS_OCTETS_MAX
from pennyred.gate.smtp.memory_budget import LetterMemory
from pennyred.gate.smtp.spool import SpoolLimits
from pennyred.gate.timing import Stopwatch
from pennyred.gate.upstream.choice import Upstreams
from pennyred.gate.upstream.deadlines import Deadlines
from pennyred.gate.upstream.endpoint import IdentityMode, Security, UpstreamOptions, parse_url
from pennyred.gate.upstream.tls import client_context
from pennyred.postage.reasons import Reason
from pennyred.programs.clock import clock
from pennyred.programs.policy import gate_hostname

RESULTS_OCTETS_MAX = 40 * 1024
"""The most octets of the gate's own Authentication-Results and Received fields, whatever a sender's letter has."""


def gate_options(gate: GateSettings) -> GateOptions:
    """The options of the door, from the settings. In mode "monitor" no letter is refused for what it is."""
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
        added_octets=RESULTS_OCTETS_MAX + (PASS_OCTETS_MAX * gate.max_recipients if gate.pass_key is not None else 0),
        hops_max=HOPS_MAX if is_refusing else 0,
        trusted_fronts=gate.trusted_fronts,
        is_proxied=gate.fronts_speak == "proxy",
        transfer_timeout_seconds=gate.transfer_timeout_seconds,
        read_timeout_seconds=gate.read_timeout_seconds,
        session_timeout_seconds=gate.session_timeout_seconds,
        connections_max=gate.max_connections,
        connections_per_network_max=gate.max_connections_per_network,
        uncounted_networks=gate.exempt.networks,
        recipients_max=gate.max_recipients,
        errors_max=gate.max_errors,
        idle_commands_max=gate.max_idle_commands,
    )


def outgoing_options(gate: GateSettings, outgoing: OutgoingSettings) -> GateOptions:
    """The options of the door for outgoing mail: it takes mail of the house's users only, and asks no price."""
    return replace(
        gate_options(gate),
        is_priced=False,
        clients=outgoing.networks,
        trusted_fronts=outgoing.networks,
        is_proxied=False,
        uncounted_networks=outgoing.networks,
        is_bare_newline_refused=False,
        is_mixed_split=False,
        is_named_once=False,
        is_trace_added=False,
        added_octets=0,
    )


def upstream_tls(gate: GateSettings, urls: Sequence[str]) -> ssl.SSLContext | None:
    """The TLS context for mail servers, if one is reached by TLS; else None. Raises OSError."""
    if all(parse_url(url).security is Security.NONE for url in urls):
        return None
    return client_context(gate.upstream_tls_ca, is_verified=gate.upstream_tls_verify)


def upstream_options(gate: GateSettings, outgoing: OutgoingSettings | None = None) -> list[UpstreamOptions]:
    """The options for each mail server, from the settings; its connections are shared out equally among workers.

    With `outgoing`, the options for the mail servers of outgoing mail. Raises OSError if the authorities'
    certificates cannot be read.
    """
    way = outgoing or gate
    tls = upstream_tls(gate, way.upstream)
    return [
        UpstreamOptions(
            endpoint=parse_url(url),
            hostname=gate_hostname(gate),
            deadlines=_deadlines(gate),
            identity=IdentityMode(way.upstream_identity),
            tls=tls,
            is_chunking=gate.upstream_chunking,
            connections_max=max(1, gate.upstream_connections // gate.workers),
            connections_per_network_max=max(1, _share(gate) // gate.workers),
        )
        for url in way.upstream
    ]


def _deadlines(gate: GateSettings) -> Deadlines:
    return Deadlines(
        greeting_seconds=gate.upstream_greeting_timeout_seconds,
        command_seconds=gate.upstream_mail_timeout_seconds,
        recipient_seconds=gate.upstream_rcpt_timeout_seconds,
        data_seconds=gate.upstream_data_timeout_seconds,
        block_seconds=gate.upstream_block_timeout_seconds,
        answer_seconds=gate.upstream_timeout_seconds,
    )


def _share(gate: GateSettings) -> int:
    """How many connections to a mail server one network may use: at most half, whatever is set."""
    return min(gate.upstream_connections_per_network, -(-gate.upstream_connections // 2))


def build_desk(
    policy: GatePolicy,
    redeemer: Redeemer,
    state: GateState,
    outbox: SettlementOutbox,
    log: LetterLog,
    tally: WorkerTally,
    *,
    authenticator: Authenticator | None = None,
    refusals: Refusals | None = None,
    note_facts: Callable[[Sequence[Fact]], None] | None = None,
    note_times: Callable[[Stopwatch], None] | None = None,
    note_failure: Callable[[Reason, int], None] | None = None,
    prepare_keys: PrepareKeys = all_known,
    texts: DeliveredTexts | None = None,
) -> Desk:
    """Build the desk, with the clock and the random numbers of this machine."""
    return Desk(
        policy,
        redeemer,
        state.allowances,
        outbox,
        state.part_deliveries,
        clock=clock,
        random_bytes=os.urandom,
        log=log,
        judging=Judging(
            random_bytes=os.urandom,
            grant_book=state.grant_book,
            prepare_keys=prepare_keys,
            former=FormerNames(state.paid_names),
            texts=texts,
            bad_stamps=CountedBadStamps(tally),
        ),
        authenticator=authenticator,
        refusals=refusals,
        note_facts=note_facts,
        note_times=note_times,
        note_failure=note_failure,
    )


def build_checker(gate: GateSettings, log: Any) -> Checker:
    """Build the checker that finds out who the senders are (SPF, DKIM, DMARC, ARC)."""
    how = gate.authentication
    return Checker(
        nameservers=gate.nameservers,
        timeout_seconds=how.timeout_seconds,
        trusted_sealers=how.arc_sealers,
        trusted_fronts=how.fronts,
        on_error=lambda error: log.error("letter.not_authenticated", exc_info=error),
    )


def letter_memory(gate: GateSettings, log: Any) -> LetterMemory:
    """The memory budget of one worker, for the letters of all doors."""
    return LetterMemory(gate.memory_for_letters, log)


def build_door(
    gate: GateSettings,
    desk: GateDesk,
    log: Any,
    tally: WorkerTally,
    memory: LetterMemory,
    mirror: MirrorDesk | None = None,
) -> GateServer:
    """Build the door, which does not listen yet. Raises OSError if long letters could not be kept on disk."""
    try_spool(gate)
    ways = _ways(upstream_options(gate), log, is_spread=gate.upstream_spread)
    names, tls = name_lookup(gate), tls_context(gate)
    return GateServer(
        gate_options(gate), desk, ways, tls, name_lookup=names, log=log, tally=tally, memory=memory, mirror=mirror
    )


def name_lookup(gate: GateSettings) -> NameLookup | None:
    """The look-up of clients' host names, if the mail server is told them; else None."""
    is_told = gate.upstream_identity in ("xclient", "xforward")
    return HostNames(resolver_of(gate.nameservers)).lookup if is_told else None


def build_outgoing_desk(gate: GateSettings, state: GateState, letters: LetterLog) -> OutgoingDesk:
    """Build the desk for outgoing mail, which learns to whom users write."""
    return OutgoingDesk(
        state.correspondents, domains=gate.domains, delimiter=gate.recipient_delimiter, clock=clock, log=letters
    )


def build_outgoing_door(
    gate: GateSettings,
    outgoing: OutgoingSettings,
    desk: GateDesk,
    log: Any,
    tally: WorkerTally,
    memory: LetterMemory,
) -> GateServer:
    """Build the door for outgoing mail, which does not listen yet. Raises OSError as `build_door` does."""
    ways = _ways(upstream_options(gate, outgoing), log, is_spread=False)
    options, tls = outgoing_options(gate, outgoing), tls_context(gate)
    return GateServer(options, desk, ways, tls, log=log, tally=tally, memory=memory)


def _ways(options: Sequence[UpstreamOptions], log: Any, *, is_spread: bool) -> Upstreams:
    return Upstreams(options, log, clock=time.monotonic, random=random.random, is_spread=is_spread)


def try_spool(gate: GateSettings) -> None:
    """Make a file as for a long letter, so that a wrong folder is noticed at the start; raises OSError."""
    with tempfile.TemporaryFile(dir=gate.spool):
        pass


def listen(addresses: Sequence[tuple[str, int]]) -> list[socket.socket]:
    """One listening socket for each address, shared with the other workers. Raises OSError."""
    sockets: list[socket.socket] = []
    try:
        for host, port in addresses:
            sockets.append(listening_socket(host, port, is_shared=True))
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


def tls_context(gate: GateSettings) -> ssl.SSLContext | None:
    """The context for STARTTLS, if a certificate is set; else None. Raises OSError that names a file it cannot read."""
    if gate.tls_certificate is None or gate.tls_key is None:
        return None
    return server_context(gate.tls_certificate, gate.tls_key, ciphers=gate.tls_ciphers, minimum=gate.tls_minimum)

"""Checks files, ledger, mail server, other offices and the DNS. A probe returns complaints."""

import asyncio
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pennyred.config import Complaint, GateSettings, OfficeSettings, Settings
from pennyred.failures import lasts, told
from pennyred.gate.issuers.discovery import find_key, key_name, resolver_of
from pennyred.gate.memory.recipientrules import stored_rules
from pennyred.gate.upstream.dialogue import OWN_SESSION
from pennyred.gate.upstream.endpoint import Endpoint, parse_url
from pennyred.gate.upstream.probing import Probe, probe_upstream
from pennyred.office.keys import OfficeKeys, key_files
from pennyred.postage.errors import PennyRedError, Unavailable
from pennyred.programs.checks import certificates
from pennyred.programs.checks.dnsprobes import dns_complaints
from pennyred.programs.checks.officeprobes import KEYS_MAX, issuer_complaints
from pennyred.programs.checks.ownerprobes import owner_complaints
from pennyred.programs.checks.programprobes import program_complaints
from pennyred.programs.clock import clock
from pennyred.programs.gate_parts import tls_context, try_spool, upstream_options, upstream_tls
from pennyred.programs.ledger.opening import open_ledger
from pennyred.programs.office_worker import require_certificate
from pennyred.programs.policy import gate_hostname, read_pass_key

FOREIGN_RECIPIENT = "postmaster@open-relay-test.example.net"
"""A recipient that nobody has: example.net is reserved (RFC 2606), so no mail server should accept it."""
PROBE_SECONDS = 10.0
"""The time for each reply of the mail server."""


async def all_complaints(settings: Settings) -> list[Complaint]:
    """All complaints about what the settings name."""
    found: list[Complaint] = []
    if settings.gate is not None:
        found += _gate_files(settings, settings.gate)
        found += await _upstreams(settings, settings.gate)
        found += await _outgoing(settings, settings.gate)
        found += await issuer_complaints(settings)
    if settings.office is not None:
        found += await _office_files(settings, settings.office)
        found += await _published(settings, settings.office)
    found += owner_complaints(settings) + program_complaints(settings)
    return found + await dns_complaints(settings)


def _gate_files(settings: Settings, gate: GateSettings) -> list[Complaint]:
    found = []
    try:
        if tls_context(gate) is not None and gate.tls_certificate is not None:
            flaws = certificates.flaws(gate.tls_certificate, gate_hostname(gate), clock())
            found += [_about(settings, "gate.tls_certificate", *flaw) for flaw in flaws]
    except (OSError, ValueError) as error:
        found.append(_about(settings, "gate.tls_certificate", _text(error), "a certificate and its key in PEM files"))
    try:
        upstream_tls(gate, gate.upstream)
    except OSError as error:
        found.append(
            _about(settings, "gate.upstream_tls_ca", _text(error), "certificates of authorities in a PEM file")
        )
    if gate.pass_key is not None:
        try:
            read_pass_key(gate.pass_key)
        except (OSError, ValueError) as error:
            found.append(_about(settings, "gate.pass_key", _text(error), "a file of at least 16 random bytes"))
        found += _secrecy(settings, "gate.pass_key", gate.pass_key)
    try:
        try_spool(gate)
    except OSError as error:
        found.append(_about(settings, "gate.spool", _text(error), "a folder to write to, or none for the system's"))
    found += _state(settings, gate.state)
    if gate.tls_key is not None:
        found += _secrecy(settings, "gate.tls_key", gate.tls_key)
    if gate.quarantine is not None and not _is_writable(gate.quarantine.folder):
        what = f"{gate.quarantine.folder} cannot be written to"
        found.append(_about(settings, "gate.quarantine.folder", what, "a folder, or a place for one"))
    return found


def _state(settings: Settings, state: Path | str) -> list[Complaint]:
    if isinstance(state, Path) and not state.parent.is_dir():
        return [_about(settings, "gate.state", f"{state.parent} is no folder", "a folder to write to")]
    try:
        stored_rules(state)
    except Unavailable as error:
        expected = "a database that answers" if isinstance(state, str) else "a file of the gate's own"
        return [_about(settings, "gate.state", _text(error), expected, is_later=not lasts(error))]
    return []


def _is_writable(folder: Path) -> bool:
    """Whether a folder can be written to, or can be made."""
    existing = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


async def _upstreams(settings: Settings, gate: GateSettings) -> list[Complaint]:
    """Complaints about the mail servers, which are asked in parallel."""
    try:
        options = [one.with_patience(PROBE_SECONDS) for one in upstream_options(gate)]
    except OSError:  # said already
        return []
    if any(_is_here(gate, one.endpoint) for one in options):
        return [_about(settings, "gate.upstream", "the gate itself", "the mail server behind it")]
    probes = await asyncio.gather(*(probe_upstream(one, FOREIGN_RECIPIENT) for one in options))
    found = zip(gate.upstream, probes, strict=True)
    return [complaint for url, probe in found for complaint in _upstream(settings, gate, url, probe)]


async def _outgoing(settings: Settings, gate: GateSettings) -> list[Complaint]:
    """Complaints about the servers for outgoing mail: they must answer. That they relay is their purpose."""
    outgoing = gate.outgoing
    if outgoing is None:
        return []
    try:
        options = [one.with_patience(PROBE_SECONDS) for one in upstream_options(gate, outgoing)]
    except OSError:  # said already
        return []
    probes = await asyncio.gather(*(probe_upstream(one, FOREIGN_RECIPIENT) for one in options))
    found = zip(outgoing.upstream, probes, strict=True)
    return [one for url, probe in found for one in _way_out(settings, outgoing.upstream_identity, url, probe)]


def _way_out(settings: Settings, identity: str, url: str, probe: Probe) -> list[Complaint]:
    key = "gate.outgoing.upstream"
    if probe.error:
        expected = f"a mail server at {url} that sends mail out"
        return [_about(settings, key, probe.error, expected, is_later=not probe.is_lasting)]
    if not probe.can_be_told:
        what = f"the mail server at {url} does not offer {identity.upper()} to this gate, so no letter would go out"
        return [_about(settings, "gate.outgoing.upstream_identity", what, '"none", or one that is offered')]
    if probe.denied and identity in ("none", "xforward"):  # with others, the server was asked on behalf of a stranger
        what = f"the mail server sends no mail of this gate's to other domains: {probe.denied}"
        return [_about(settings, key, what, "a listener that relays for this gate (config/postfix/outgoing.master.cf)")]
    if probe.put_off:
        what = f"the mail server puts outgoing mail off: {probe.put_off}"
        return [_about(settings, key, what, "a mail server that takes mail", is_later=True)]
    return []


def _is_here(gate: GateSettings, endpoint: Endpoint) -> bool:
    """Whether the gate itself listens there, as far as the settings tell."""
    here = {endpoint.host}
    if endpoint.host in ("localhost", "127.0.0.1", "::1"):
        here |= {"0.0.0.0", "::", "127.0.0.1", "::1"}  # noqa: S104 - compared, not listened at
    return any(host in here and port == endpoint.port for host, port in gate.listen)


def _upstream(settings: Settings, gate: GateSettings, url: str, probe: Probe) -> list[Complaint]:
    which = f" at {url}" if len(gate.upstream) > 1 else ""
    if probe.silent:
        what = f"some addresses of {parse_url(url).host} do not answer, and others do: {'; '.join(probe.silent)}"
        answer = _about(settings, "gate.upstream", what, "a mail server at each, or no such address", is_later=True)
        return [answer, *_upstream(settings, gate, url, replace(probe, silent=()))]
    match probe:
        case Probe(error=error) if error:
            remedy = ""
            if "TLS: its certificate" in error:
                remedy = ", or its authority's certificate in upstream_tls_ca"
            elif OWN_SESSION in error:
                remedy = " that asks the gate for no login, nor for TLS unless by smtps:// or smtp+starttls://"
            expected = f"a mail server at {url}{remedy}"
            return [_about(settings, "gate.upstream", error, expected, is_later=not probe.is_lasting)]
        case Probe(can_be_told=False):
            identity = gate.upstream_identity
            return [
                _about(
                    settings,
                    "gate.upstream_identity",
                    f"the mail server{which} does not offer {identity.upper()} to this gate, "
                    "so no letter would be handed over",
                    f"smtpd_authorized_{identity}_hosts set to this gate's address on that listener (config/postfix)",
                )
            ]
        case Probe(not_understood=kinds) if found := _not_understood(settings, gate, which, kinds):
            return found
        case Probe(is_open_relay=True):
            return [
                _about(
                    settings,
                    "gate.upstream",
                    f"the mail server{which} is an OPEN RELAY behind this gate: "
                    f"a stranger may send to {FOREIGN_RECIPIENT}",
                    "a refusal: set mynetworks= and smtpd_relay_restrictions on that listener (config/postfix)",
                )
            ]
        case _:
            return _lesser(settings, which, probe)


def _lesser(settings: Settings, which: str, probe: Probe) -> list[Complaint]:
    """Complaints about what keeps some letters waiting."""
    found = []
    if probe.knows_no_chunks:
        what = f"the mail server{which}, or a filter before it, offers CHUNKING and does not know BDAT"
        found.append(_about(settings, "gate.upstream_chunking", what, "false: else some letters hear 451 first"))
    if probe.put_off:
        unknown = "puts strangers off, so it is not known whether it is an open relay"
        what = f"the mail server{which} {unknown}: {probe.put_off}"
        expected = "a mail server that takes mail; where it greylists, ask again later"
        found.append(_about(settings, "gate.upstream", what, expected, is_later=True))
    return found


def _not_understood(
    settings: Settings, gate: GateSettings, which: str, kinds: Sequence[tuple[str, str]]
) -> list[Complaint]:
    """Complaints about kinds of clients that the mail server does not understand, if such clients can come here.

    An IPv6 client needs an IPv6 address to connect to, or a front that tells of it.
    """
    can_be_ipv6 = any(":" in host for host, _ in gate.listen) or bool(gate.trusted_fronts)
    return [
        _about(
            settings,
            "gate.upstream_identity",
            f"the mail server{which} does not understand {kind}, all of whom would hear 451 for ever: {said}",
            "inet_protocols = all there, if it is a Postfix" if "IPv6" in kind else "a mail server that does",
        )
        for kind, said in kinds
        if can_be_ipv6 or "IPv6" not in kind
    ]


async def _office_files(settings: Settings, office: OfficeSettings) -> list[Complaint]:
    found = []
    try:
        OfficeKeys(office.signing_key)
    except (PennyRedError, OSError) as error:
        found.append(_about(settings, "office.signing_key", _text(error), "a key file, as `pennyred init` writes it"))
    for path in key_files(office.signing_key).values():
        found += _secrecy(settings, "office.signing_key", path)
    try:
        require_certificate(office)
    except OSError as error:
        found.append(_about(settings, "office.tls_certificate", _text(error), "a certificate and its key in PEM files"))
    if office.tls_key is not None:
        found += _secrecy(settings, "office.tls_key", office.tls_key)
    if isinstance(office.ledger, Path) and not office.ledger.exists():
        found.append(_about(settings, "office.ledger", f"{office.ledger} does not exist", "a ledger: `pennyred init`"))
        return found
    try:
        await (await open_ledger(office.ledger)).close()
    except PennyRedError as error:
        is_later = isinstance(error, Unavailable) and not lasts(error)
        found.append(_about(settings, "office.ledger", _text(error), "a ledger that can be opened", is_later=is_later))
    return found


async def _published(settings: Settings, office: OfficeSettings) -> list[Complaint]:
    """Complaints about the office's keys that are not in the DNS."""
    gate = settings.gate
    resolver = resolver_of(office.nameservers or (gate.nameservers if gate is not None else ()))
    try:
        keys = OfficeKeys(office.signing_key).public_keys
    except (PennyRedError, OSError):  # said already
        return []
    newest = list(keys.items())[-KEYS_MAX:]
    looked_up = (find_key(office.domain, selector, resolver) for selector, _ in newest)
    answers = await asyncio.gather(*looked_up, return_exceptions=True)
    found = []
    for (selector, key), answer in zip(newest, answers, strict=True):
        name = key_name(office.domain, selector)
        if isinstance(answer, Unavailable):
            expected = f"an answer for {name}, later"
            found.append(_about(settings, "office.domain", _text(answer), expected, is_later=True))
        elif isinstance(answer, BaseException):
            raise answer
        elif answer != key:
            what = "another key is published" if answer else "the key is not published"
            found.append(_about(settings, "office.domain", f"{what} at {name}", "the record `pennyred dns` prints"))
    return found


def _secrecy(settings: Settings, key: str, path: Path) -> list[Complaint]:
    try:
        mode = path.stat().st_mode
    except OSError:
        return []
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return [_about(settings, key, f"{path} can be read by others", f"chmod 600 {path}")]
    return []


def _about(settings: Settings, key: str, what: str, expected: str, *, is_later: bool = False) -> Complaint:
    return Complaint(str(settings.file), key, what, expected, is_later)


def _text(error: Exception) -> str:
    """The text of an error, with the file's name; the complaint says what is expected."""
    return told(error).partition("; ")[0] if isinstance(error, OSError) else str(error).partition("; ")[0]

"""Runs all methods to find out who a letter's sender is (implements `gate.ports.Authenticator`).

What needs the letter's body is done first, and always waited for. What needs the DNS is done in a thread that has only
the header: at the timeout it may be left behind, and ends by itself.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import NamedTuple, TypeVar

from pennyred.gate.authentication.alignment import Alignment, Organisations, Registered, author_domain, check_alignment
from pennyred.gate.authentication.arc import ArcAnswer, ArcChain, check_arc, read_chain
from pennyred.gate.authentication.bodies import body_hashes
from pennyred.gate.authentication.dkim import DkimAnswer, DkimSignature, check_dkim, read_signatures, wants_simple_body
from pennyred.gate.authentication.dns_shares import Turns
from pennyred.gate.authentication.fronts import believe_fronts, can_be_retold
from pennyred.gate.authentication.lookups import Lookups, Servers
from pennyred.gate.authentication.signatures import BodyHashes
from pennyred.gate.authentication.spf import check_spf
from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.rules.origin import Authentication, Finding, Result
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import HeaderSection
from pennyred.postage.networks import parse_source, source_networks

THREADS = 64
"""The most letters that wait for the DNS at once; a waiting thread costs only its stack."""
HASHING_THREADS = 4
GRACE_SECONDS = 0.5
"""Extra time for a thread whose time is over, to return what it has found."""
KEEP_PROVEN_SECONDS = 30.0
PROVEN_MAX = 2_000
UNSURE = Authentication(is_unsure=True, might_be_signed=True)

_T = TypeVar("_T")


class Checker:
    """Finds out who the senders of letters are, for one event loop; must be closed at the end."""

    def __init__(
        self,
        *,
        timeout_seconds: float,
        nameservers: Sequence[tuple[str, int]] = (),
        threads: int = THREADS,
        trusted_sealers: Iterable[str] = (),
        trusted_fronts: Iterable[str] = (),
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        """`nameservers` are addresses with ports; if empty, the system's. `trusted_sealers` are domains (`d=`) whose
        ARC seals are believed. `trusted_fronts` are authserv-ids of fronts whose `Authentication-Results` are believed.
        `on_error` is called with unexpected exceptions; without it they are silent, and the answer is unsure.
        """
        self._servers = Servers(nameservers)
        self._timeout_seconds = timeout_seconds
        self._sealers = frozenset(name.lower() for name in trusted_sealers)
        self._fronts = frozenset(name.lower() for name in trusted_fronts)
        self._on_error = on_error
        self._registered = Registered()
        self._turns = Turns(threads)
        self._proven: OrderedDict[tuple[bytes, str], tuple[float, bool | None]] = OrderedDict()
        """By MAIL FROM and client: until when the answer of `is_sender_proven` is kept, and the answer."""
        self._asking = ThreadPoolExecutor(threads, thread_name_prefix="authentication")
        self._hashing = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="body-hash")

    async def authenticate(self, letter: Letter, envelope: Envelope, *, is_vital: bool = True) -> Authentication:
        """Find out what is proven of the letter. Raises nothing: if something goes wrong, the answer is unsure.

        If half of the threads wait for the DNS, only vital questions are asked, and not for networks that have made
        many letters wait (`Turns`). So strangers with silent name servers do not stop others from being recognised.
        """
        network = _network(envelope)
        if not self._turns.is_open(network, is_vital=is_vital):
            return UNSURE
        try:
            async with self._turns.turn(network, self._timeout_seconds, client=_client(envelope)):
                found = await self._authenticate(letter, envelope)
            registered = self._registered.of
            return replace(
                found,
                organisation=registered(found.organisation),
                sending_organisation=registered(found.sender_domain),
            )
        except TimeoutError:
            return UNSURE
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not cost a wanted letter
            if self._on_error is not None:
                self._on_error(error)
            return UNSURE

    async def is_sender_proven(self, envelope: Envelope) -> bool | None:
        """Whether SPF proves the domain of MAIL FROM, before there is a letter. None if that is not known now: the DNS
        is silent, or no thread is free to ask it. Raises nothing. The answer is kept for a while, because it is
        needed at each RCPT.
        """
        network = _network(envelope)
        known = self._proven.get((envelope.sender, envelope.source_ip))
        if known is not None and known[0] > time.monotonic():
            return known[1]
        if not envelope.sender:
            return False
        if not self._turns.is_open(network, is_vital=False):
            return None
        is_proven: bool | None = None
        try:
            async with self._turns.turn(network, self._timeout_seconds, client=_client(envelope)):
                spf = await self._in_thread(lambda deadline: check_spf(envelope, Lookups(self._servers, deadline)))
            if spf.finding.result is not Result.TEMPERROR:
                is_proven = bool(spf.proven)
        except Exception as error:  # noqa: BLE001 - as above
            if self._on_error is not None and not isinstance(error, TimeoutError):
                self._on_error(error)
        self._proven[envelope.sender, envelope.source_ip] = (time.monotonic() + KEEP_PROVEN_SECONDS, is_proven)
        while len(self._proven) > PROVEN_MAX:
            self._proven.popitem(last=False)
        return is_proven

    def close(self) -> None:
        """Take no more letters. Threads end by themselves within the timeout."""
        self._asking.shutdown(wait=False, cancel_futures=True)
        self._hashing.shutdown(wait=False, cancel_futures=True)

    async def _authenticate(self, letter: Letter, envelope: Envelope) -> Authentication:
        header = letter.header
        if envelope.is_from_front and self._fronts:
            believed = await self._in_thread(lambda _: self._believed(letter, envelope))
            if believed is not None:
                return believed
        signatures = read_signatures(header)
        chain = read_chain(header, self._sealers)
        wants_simple = wants_simple_body(signatures) or (chain is not None and chain.wants_simple_body)
        bodies = await body_hashes(letter, wants_simple=wants_simple, executor=self._hashing)
        return await self._in_thread(
            lambda deadline: _Work(
                header, envelope, signatures, chain, bodies, Lookups(self._servers, deadline), self._registered
            ).done()
        )

    def _believed(self, letter: Letter, envelope: Envelope) -> Authentication | None:
        header = letter.header
        author = author_domain(header)
        if not author or not can_be_retold(header, envelope):
            return None
        return believe_fronts(header, self._fronts, author, hides_lines=letter.relaxed_hash != letter.body_hash)

    async def _in_thread(self, work: Callable[[float], _T]) -> _T:
        """Do the work in a thread; it is given its deadline (`time.monotonic`). Raises `TimeoutError` if it does not
        end in time, or does not begin.
        """
        deadline = time.monotonic() + self._timeout_seconds
        async with asyncio.timeout(self._timeout_seconds + GRACE_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(self._asking, work, deadline)


@dataclass(frozen=True, slots=True)
class _Work:
    """The work of a thread for one letter."""

    header: HeaderSection
    envelope: Envelope
    signatures: tuple[DkimSignature, ...]
    chain: ArcChain | None
    bodies: BodyHashes
    lookups: Lookups
    registered: Registered

    def done(self) -> Authentication:
        """Ask the DNS, run each method, and join the results."""
        author = author_domain(self.header)
        organisations = Organisations(self.lookups, self.registered)
        # DKIM comes first: it asks little, and SPF may have to wait for a chain of strangers' servers. If a server is
        # silent for one, the other may still prove the sender.
        dkim = check_dkim(self.signatures, self.header, self.bodies, self.lookups)
        signers = _domains(dkim, Result.PASS)
        self.lookups.forgive()
        dmarc = check_alignment(author, "", signers, organisations) if signers else None
        # Of a letter that was altered, only a signature proves the author that leaves no room for a thief's words.
        whole = [one for one in dkim if one.leaves_no_room]
        by_whole = _domains(whole, Result.PASS)
        by_signature = dmarc
        if by_whole != signers:
            by_signature = check_alignment(author, "", by_whole, organisations) if by_whole else None
        self.lookups.forgive()
        spf = check_spf(self.envelope, self.lookups)
        if dmarc is None or not dmarc.is_aligned:
            dmarc = check_alignment(author, spf.proven, signers, organisations)
        findings = [spf.finding, *(one.finding for one in dkim)]
        is_final = not _might_vouch(findings)
        findings += [] if dkim else [Finding("dkim", Result.NONE)]
        findings.append(dmarc.finding)
        is_proven = dmarc.is_aligned
        is_silent = dmarc.finding.result is Result.TEMPERROR and _are_kin(author, [spf.proven, *signers])
        is_final &= is_proven or not is_silent
        arc = None
        if self.chain is not None:
            arc = check_arc(self.chain, self.header, self.bodies, self.lookups)
            findings.append(arc.finding)
            is_proven = is_proven or author in arc.authors
            is_final &= is_proven or not _might_vouch([arc.finding])
        signed = _signed_text(author, whole, by_signature, arc)
        author = author if is_proven else ""
        organisation = author or spf.proven or next(iter(signers), "")
        is_unsure = _might_vouch(findings)
        domains = frozenset(filter(None, [spf.proven, *signers]))
        return Authentication(
            tuple(findings), domains, spf.proven, author, organisation,
            is_author_signed=signed.by_author and bool(author), is_id_signed=signed.with_id,
            might_be_signed=signed.perhaps, is_unsure=is_unsure, is_final=is_unsure and is_final,
        )  # fmt: skip


class _SignedText(NamedTuple):
    """What signatures that leave no room for a thief's words say of the text."""

    by_author: bool
    with_id: bool
    """Whether they cover the Message-ID, too."""
    perhaps: bool
    """Not by the author as far as is known, but the DNS has not answered what could prove it."""


def _signed_text(
    author: str, whole: Sequence[DkimAnswer], by_signature: Alignment | None, arc: ArcAnswer | None
) -> _SignedText:
    """`whole` are the answers for DKIM signatures that leave no room; `by_signature` says whether one that holds is the
    author's.
    """
    by_author = by_signature is not None and by_signature.is_aligned
    # Which of several signers it is that proves the author does not matter where all of them cover it.
    with_id = by_author and all(one.covers_id for one in whole if one.finding.result is Result.PASS)
    perhaps = _are_kin(author, _domains(whole, Result.TEMPERROR))
    if by_signature is not None and by_signature.finding.result is Result.TEMPERROR:
        perhaps |= _are_kin(author, _domains(whole, Result.PASS))
    if arc is not None:
        is_sealed = arc.leaves_no_room and author in arc.authors
        with_id |= is_sealed and arc.covers_id
        by_author |= is_sealed
        perhaps |= _might_vouch([arc.finding])
    return _SignedText(by_author, with_id, perhaps and not by_author)


def _network(envelope: Envelope) -> str:
    """The network that a letter comes from; empty if it is not known."""
    try:
        return source_networks(parse_source(envelope.source_ip))[-1] if envelope.source_known else ""
    except MalformedAddress:
        return ""


def _client(envelope: Envelope) -> str:
    """The client that brings a letter: an IPv4 address or an IPv6 /64 (one customer's); empty if it is not known."""
    try:
        source = parse_source(envelope.source_ip) if envelope.source_known else None
    except MalformedAddress:
        return ""
    return source_networks(source)[0] if isinstance(source, IPv6Address) else str(source or "")


def _domains(answers: Iterable[DkimAnswer], result: Result) -> list[str]:
    return [one.domain for one in answers if one.finding.result is result]


def _might_vouch(findings: Iterable[Finding]) -> bool:
    """Whether one of these has no answer yet, so that a domain might still be proven."""
    return any(finding.result is Result.TEMPERROR for finding in findings)


def _are_kin(author: str, others: Iterable[str]) -> bool:
    """Whether one of these might be of the author's organisation: the last two labels are the same."""
    return any(other and other.split(".")[-2:] == author.split(".")[-2:] for other in others)

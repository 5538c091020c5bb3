"""All methods together: who a letter's sender is (implements `gate.ports.Authenticator`).

What needs the letter's body is done first, and waited for. What needs the DNS is done in a thread that has the header
only: it may be left behind at the timeout, and then ends by itself.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import TypeVar

from pennyred.gate.authentication.alignment import Organisations, check_alignment
from pennyred.gate.authentication.arc import ArcChain, check_arc, read_chain
from pennyred.gate.authentication.author import author_domain
from pennyred.gate.authentication.bodies import body_hashes
from pennyred.gate.authentication.dkim import DkimSignature, check_dkim, read_signatures, wants_simple_body
from pennyred.gate.authentication.dns_shares import Turns
from pennyred.gate.authentication.fronts import believe_fronts, can_be_retold
from pennyred.gate.authentication.lookups import Lookups, Servers
from pennyred.gate.authentication.registered import Registered
from pennyred.gate.authentication.signatures import BodyHashes
from pennyred.gate.authentication.spf import check_spf
from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.rules.origin import Authentication, Finding, Result
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import HeaderSection
from pennyred.postage.networks import parse_source, source_networks

TIMEOUT_SECONDS = 10.0
THREADS = 64
"""Letters that may wait for the DNS at once; a waiting thread costs its stack and nothing else."""
HASHING_THREADS = 4
GRACE_SECONDS = 0.5
"""For a thread whose time is over to say what it has found until then."""
KEEP_PROVEN_SECONDS = 30.0
PROVEN_MAX = 2_000
UNSURE = Authentication(is_unsure=True)

_T = TypeVar("_T")


class Checker:
    """Finds out where letters come from, for one event loop; `close` it."""

    def __init__(
        self,
        *,
        nameservers: Sequence[tuple[str, int]] = (),
        timeout_seconds: float = TIMEOUT_SECONDS,
        threads: int = THREADS,
        trusted_sealers: Iterable[str] = (),
        trusted_fronts: Iterable[str] = (),
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        """`nameservers` are hosts (addresses) with ports, else the system's. `trusted_sealers` are domains (`d=`) whose
        ARC seals are believed, `trusted_fronts` authserv-ids of fronts whose `Authentication-Results` are. `on_error`
        hears of mistakes of ours, which are else answered as unsure in silence.
        """
        self._servers = Servers(nameservers)
        self._timeout_seconds = timeout_seconds
        self._sealers = frozenset(name.lower() for name in trusted_sealers)
        self._fronts = frozenset(name.lower() for name in trusted_fronts)
        self._on_error = on_error
        self._registered = Registered()
        self._turns = Turns(threads)
        self._proven: OrderedDict[tuple[bytes, str], tuple[float, bool | None]] = OrderedDict()
        """Of MAIL FROM and client: until when the answer is kept, and the answer of `is_sender_proven`."""
        self._asking = ThreadPoolExecutor(threads, thread_name_prefix="authentication")
        self._hashing = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="body-hash")

    async def authenticate(self, letter: Letter, envelope: Envelope, *, is_vital: bool = True) -> Authentication:
        """All that is proven of the letter. Raises nothing: what goes wrong makes the answer unsure.

        Where half of the threads wait for the DNS, only what is vital is asked, and only of networks that have not kept
        many waiting (`Turns`): strangers whose servers are silent must not keep others from being recognised.
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
        """Whether SPF proves the domain of MAIL FROM, before there is a letter; None where that is not known now: the
        DNS is silent, or no thread is free to ask it. Raises nothing. The answer is kept for a while: a client asks
        with each RCPT.
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
        """Take no more letters; threads end by themselves, within the timeout."""
        self._asking.shutdown(wait=False, cancel_futures=True)
        self._hashing.shutdown(wait=False, cancel_futures=True)

    async def _authenticate(self, letter: Letter, envelope: Envelope) -> Authentication:
        header = letter.header
        if envelope.is_from_front and self._fronts:
            believed = await self._in_thread(lambda _: self._believed(header, envelope))
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

    def _believed(self, header: HeaderSection, envelope: Envelope) -> Authentication | None:
        author = author_domain(header)
        return believe_fronts(header, self._fronts, author) if author and can_be_retold(header, envelope) else None

    async def _in_thread(self, work: Callable[[float], _T]) -> _T:
        """Do the work, told until when by `time.monotonic`; raises `TimeoutError` where it does not come to its end in
        time, or is not even begun.
        """
        deadline = time.monotonic() + self._timeout_seconds
        async with asyncio.timeout(self._timeout_seconds + GRACE_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(self._asking, work, deadline)


@dataclass(frozen=True, slots=True)
class _Work:
    """What a thread does for one letter."""

    header: HeaderSection
    envelope: Envelope
    signatures: tuple[DkimSignature, ...]
    chain: ArcChain | None
    bodies: BodyHashes
    lookups: Lookups
    registered: Registered

    def done(self) -> Authentication:
        """Ask the DNS, judge, put it all together."""
        author = author_domain(self.header)
        organisations = Organisations(self.lookups, self.registered)
        # DKIM first: its few questions are soon answered, and SPF's may wait for a chain of strangers' servers. Who is
        # silent in one must not cost what the other can prove.
        dkim = check_dkim(self.signatures, self.header, self.bodies, self.lookups)
        signers = [one.domain for one in dkim if one.finding.result is Result.PASS]
        self.lookups.forgive()
        dmarc = check_alignment(author, "", signers, organisations) if signers else None
        self.lookups.forgive()
        spf = check_spf(self.envelope, self.lookups)
        if dmarc is None or not dmarc.is_aligned:
            dmarc = check_alignment(author, spf.proven, signers, organisations)
        findings = [spf.finding, *(one.finding for one in dkim)]
        findings += [] if dkim else [Finding("dkim", Result.NONE)]
        findings.append(dmarc.finding)
        is_proven = dmarc.is_aligned
        is_final = not _might_vouch([spf.finding, *(one.finding for one in dkim)])
        is_silent = dmarc.finding.result is Result.TEMPERROR and _are_kin(author, [spf.proven, *signers])
        is_final &= is_proven or not is_silent
        if self.chain is not None:
            arc = check_arc(self.chain, self.header, self.bodies, self.lookups)
            findings.append(arc.finding)
            is_proven = is_proven or author in arc.authors
            is_final &= is_proven or not _might_vouch([arc.finding])
        author = author if is_proven else ""
        organisation = author or spf.proven or next(iter(signers), "")
        is_unsure = any(finding.result is Result.TEMPERROR for finding in findings)
        domains = frozenset(filter(None, [spf.proven, *signers]))
        return Authentication(
            tuple(findings), domains, spf.proven, author, organisation,
            is_unsure=is_unsure, is_final=is_unsure and is_final,
        )  # fmt: skip


def _network(envelope: Envelope) -> str:
    """Where a letter comes from, as far as that is known."""
    try:
        return source_networks(parse_source(envelope.source_ip))[-1] if envelope.source_known else ""
    except MalformedAddress:
        return ""


def _client(envelope: Envelope) -> str:
    """Who brings a letter, as far as that is known: an IPv4 address, and of IPv6 the least that one customer has."""
    try:
        source = parse_source(envelope.source_ip) if envelope.source_known else None
    except MalformedAddress:
        return ""
    return source_networks(source)[0] if isinstance(source, IPv6Address) else str(source or "")


def _might_vouch(findings: Iterable[Finding]) -> bool:
    """Whether one of these has no answer, so that a domain may vouch that does not now."""
    return any(finding.result is Result.TEMPERROR for finding in findings)


def _are_kin(author: str, others: Iterable[str]) -> bool:
    """Whether one of these could be found to be of the author's organisation: they share their last two labels."""
    return any(other and other.split(".")[-2:] == author.split(".")[-2:] for other in others)

"""SPF (RFC 7208): whether the domain of MAIL FROM (of HELO for `<>`) lets this client send. pyspf judges by records
that are looked up here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import spf

from pennyred.gate.authentication.lookups import Lookups, Temporary, TooMany
from pennyred.gate.letterbox import Envelope
from pennyred.gate.rules.origin import Finding, Result
from pennyred.postage.address import canonical_domain
from pennyred.postage.errors import MalformedAddress

QUESTIONS_MAX = 60
"""The most questions. Ten mechanisms (RFC 7208 section 4.6.4) of ten mail servers each would be 110: never honest."""
RECORD_CHARACTERS_MAX = 4096
"""The longest record. RFC 7208 section 3.4 asks for at most 512 octets; long lists of networks have more."""
TERM_CHARACTERS_MAX = 512
"""The longest term: the library's expressions take time that grows with the square of its length."""
LOCAL_PART_CHARACTERS_MAX = 256


@dataclass(frozen=True, slots=True)
class SpfAnswer:
    """The result of SPF."""

    finding: Finding
    domain: str = ""
    """The domain that was checked, canonical; empty if there was none."""

    @property
    def proven(self) -> str:
        """The domain, if the client may send for it; else empty."""
        return self.domain if self.finding.result is Result.PASS else ""


def check_spf(envelope: Envelope, lookups: Lookups) -> SpfAnswer:
    """Check the envelope. Expected errors are in the result, not raised."""
    local, domain = _mailbox(envelope)
    name = "smtp.mailfrom" if envelope.sender else "smtp.helo"
    result = _result(envelope, local, domain, lookups) if domain and envelope.source_known else Result.NONE
    return SpfAnswer(Finding("spf", result, ((name, domain),) if domain else ()), domain)


def _mailbox(envelope: Envelope) -> tuple[str, str]:
    """The local part and domain to check (RFC 7208 section 2.4); the domain is empty if it is no DNS name."""
    local, _, domain = envelope.sender.decode("utf-8", "replace").rpartition("@")
    if not envelope.sender:
        local, domain = "postmaster", envelope.helo
    try:
        canonical = canonical_domain(domain)
    except MalformedAddress:
        return "", ""
    if canonical.startswith("[") or "." not in canonical or canonical.replace(".", "").isdigit():
        return "", ""
    return local[:LOCAL_PART_CHARACTERS_MAX] or "postmaster", canonical


def _result(envelope: Envelope, local: str, domain: str, lookups: Lookups) -> Result:
    try:
        address = str(ip_address(envelope.source_ip))
    except ValueError:
        return Result.NONE
    query = _Query(address, local, domain, envelope.helo, lookups)
    try:
        result = Result(query.check()[0])
    except Exception:  # noqa: BLE001 - the library meets a stranger's record here, and its parser has no list of errors
        return Result.PERMERROR
    return Result.TEMPERROR if query.is_client_nameless and result is not Result.PASS else result


class _Query(spf.query):  # type: ignore[misc]
    """One check by the library; all its questions go through `dns`."""

    def __init__(self, address: str, local: str, domain: str, helo: str, lookups: Lookups) -> None:
        super().__init__(i=address, s=f"{local}@{domain}", h=helo)
        self.l, self.o, self.d = local, domain, domain  # the library would split at the first @, not at the last
        self.is_client_nameless = False
        """Whether the look-up of the client's own names has failed."""
        self._lookups = lookups
        self._questions_left = QUESTIONS_MAX
        self._is_term_void = False

    def check_lookups(self) -> None:
        """Count a further term that asks the DNS."""
        self._is_term_void = False
        super().check_lookups()

    def dns(self, name: str, qtype: str, cnames: object = None, ignore_void: bool = False) -> list[Any]:  # noqa: ARG002
        """Ask the DNS, and count terms with void look-ups (RFC 7208 section 4.6.4). The caller may change the list."""
        if not self._questions_left:
            raise spf.PermError("too many questions to the DNS")
        self._questions_left -= 1
        try:
            records = self._lookups.ask(str(name), qtype)
        except Temporary as error:
            raise spf.TempError(str(error)) from error
        except TooMany as error:
            raise spf.PermError(str(error)) from error
        if not records and not ignore_void and not self._is_term_void:
            self._is_term_void = True
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError("too many terms without an answer")
        return [[record] for record in records] if qtype == "TXT" else list(records)

    def dns_spf(self, domain: str) -> str | None:
        """The SPF record of a domain, if it is within the limits."""
        record: str | None = super().dns_spf(domain)
        if record is not None:
            is_long = len(record) > RECORD_CHARACTERS_MAX
            if is_long or max(map(len, record.split(" "))) > TERM_CHARACTERS_MAX:
                raise spf.PermError("the record is too long")
        return record

    def dns_mx(self, domain: str) -> Iterator[str]:
        """The addresses of the mail servers, by preference; each is looked up when it is needed (section 5.4). If one
        look-up fails, the check fails only if no other server matches.
        """
        servers = sorted(self.dns(domain, "MX"))
        if len(servers) > spf.MAX_MX:
            raise spf.PermError("too many MX records")
        silent: spf.TempError | None = None
        for _, server in servers:
            try:
                yield from self.dns_a(server, self.A)
            except spf.TempError as error:
                silent = error
        if silent is not None:
            raise silent

    def cidrmatch(self, addresses: Iterable[str], length: int) -> bool:
        """Whether the client is in the network of one of these addresses, which are looked up one by one."""
        return any(super(_Query, self).cidrmatch([address], length) for address in addresses)

    def validated_ptrs(self) -> list[str]:
        """The client's names that lead back to it. A failed look-up is skipped (section 5.5), because the names are the
        client's, not the domain's, and another term may let it send.
        """
        found: list[str] = []
        try:
            names = self.dns_ptr(self.i)[: spf.MAX_PTR]
        except spf.TempError:
            self.is_client_nameless = True
            return found
        for name in names:
            try:
                if self.cidrmatch(self.dns_a(name, self.A), self.cidrmax):
                    found.append(name)
            except spf.TempError:
                self.is_client_nameless = True
        return found

    def get_explanation(self, spec: str) -> None:  # noqa: ARG002
        """Do not look the explanation up: nobody reads it."""
        return

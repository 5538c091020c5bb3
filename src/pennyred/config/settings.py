"""All settings. Each field is a key of the settings file; config/pennyred.toml explains every one."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

import msgspec

Network = IPv4Network | IPv6Network
Database = Path | str
"""The path of an SQLite file, or the URL of a PostgreSQL database. A URL may hold a password, so it is never shown."""


class ExemptSettings(msgspec.Struct, frozen=True):
    """`[gate.exempt]`: who needs no stamp, besides postmaster and abuse."""

    networks: tuple[Network, ...] = ()
    senders: dict[str, tuple[Network, ...]] = {}
    recipients: tuple[str, ...] = ()


class AllowanceSettings(msgspec.Struct, frozen=True):
    """`[gate.allowance]`: how many recipients come free on a UTC day."""

    per_day: int = 20
    per_source_per_day: int = 1000
    bounces_per_day: int = 20
    bounces_per_source_per_day: int = 100
    replies_per_source_per_day: int = 200


class RecipientSettings(msgspec.Struct, frozen=True):
    """One table of the file that `recipient_rules` names: the rules for one address or domain."""

    price: int | None = None
    mode: Literal["require", "bulk", "monitor"] | None = None
    free: bool = False
    """Whether it takes mail without a stamp."""
    networks: tuple[Network, ...] = ()
    """Networks that are exempt for this recipient, besides those of `[gate.exempt]`."""
    senders: dict[str, tuple[Network, ...]] = {}


class AuthenticationSettings(msgspec.Struct, frozen=True):
    """`[gate.authentication]`: how the gate finds out who a sender is."""

    check: Literal["needed", "always", "never"] = "needed"
    timeout_seconds: int = 8
    fronts: tuple[str, ...] = ()
    """The authserv-ids (RFC 8601 section 2.5) of `trusted_fronts` that have authenticated the sender already."""
    arc_sealers: tuple[str, ...] = ()
    """The domains whose ARC seals are believed (RFC 8617)."""


class OutgoingSettings(msgspec.Struct, frozen=True):
    """`[gate.outgoing]`: a listener for outgoing mail; those to whom our users write may then write back free."""

    listen: tuple[tuple[str, int], ...] = (("127.0.0.1", 2526),)
    upstream: tuple[str, ...] = ("smtp://127.0.0.1:10027",)
    upstream_identity: Literal["xclient", "xforward", "proxy", "none"] = "none"
    networks: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    """The networks whose mail is taken. Mail from others is refused: else this would be an open relay."""


class QuarantineSettings(msgspec.Struct, frozen=True):
    """`[gate.quarantine]`: copies of refused letters."""

    folder: Path = Path("refused")
    days: int = 30
    max_size: int = 1_000_000_000
    """How many bytes all copies may take; beyond, the oldest copies from the network with the most go first."""


class GateSettings(msgspec.Struct, frozen=True):
    """`[gate]`: the SMTP proxy in front of a mail server."""

    listen: tuple[tuple[str, int], ...] = (("127.0.0.1", 2525),)
    upstream: tuple[str, ...] = ("smtp://127.0.0.1:10025",)
    """The mail servers' URLs, in order of preference."""
    upstream_spread: bool = False
    upstream_identity: Literal["xclient", "xforward", "proxy", "none"] = "xclient"
    upstream_chunking: bool = True
    """Whether letters go by BDAT to a mail server that offers CHUNKING."""
    upstream_tls_ca: Path | None = None
    upstream_tls_verify: bool = True
    upstream_connections: int = 50
    upstream_connections_per_network: int = 20
    upstream_timeout_seconds: int = 600
    upstream_greeting_timeout_seconds: int = 300
    upstream_mail_timeout_seconds: int = 300
    upstream_rcpt_timeout_seconds: int = 300
    upstream_data_timeout_seconds: int = 120
    upstream_block_timeout_seconds: int = 180
    stop_timeout_seconds: int = 600
    transfer_timeout_seconds: int = 600
    hostname: str = ""
    """The name in greeting and replies; empty means the name of this machine."""
    domains: tuple[str, ...] = ()
    trusted_fronts: tuple[Network, ...] = ()
    fronts_speak: Literal["smtp", "proxy"] = "smtp"
    mode: Literal["require", "bulk", "monitor"] = "require"
    issuers: tuple[str, ...] = ()
    price: int = 1
    workers: int = 1
    max_size: int = 50_000_000
    state: Path = Path("gate.db")
    on_office_down: Literal["defer", "accept"] = "defer"
    accept_per_account: int = 20
    """With "accept": how many stamps of one account may be accepted and not yet redeemed."""
    accept_total: int = 1000
    """With "accept": how many stamps of all accounts may be accepted and not yet redeemed."""
    altered_body: Literal["accept", "reject"] = "accept"
    subject_tags: tuple[str, ...] = ()
    """What gateways in front of this gate put at the beginning of a Subject, besides one short tag in brackets."""
    bare_newline: Literal["normalize", "reject"] = "normalize"
    mixed: Literal["split", "reject"] = "split"
    help_url: str = ""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_minimum: Literal["1.0", "1.1", "1.2", "1.3"] = "1.0"
    tls_ciphers: str = ""
    """A list of cipher suites in OpenSSL's form; empty means all that Postfix takes."""
    pass_key: Path | None = None
    max_connections: int = 2000
    """How many connections all workers together may have."""
    max_connections_per_network: int = 50
    max_bad_stamps_per_minute: int = 5
    max_recipients: int = 1000
    max_errors: int = 20
    max_idle_commands: int = 100
    memory_per_letter: int = 256_000
    memory_for_letters: int = 128_000_000
    """How many bytes of memory each worker may use for letters."""
    spool: Path | None = None
    """The folder for long letters; None means the system's folder for temporary files."""
    read_timeout_seconds: int = 300
    session_timeout_seconds: int = 3600
    nameservers: tuple[tuple[str, int], ...] = ()
    """Address and port of each DNS server; empty means this machine's."""
    recipient_rules: dict[str, RecipientSettings] = {}
    """The content of the named file, by address or domain."""
    recipient_delimiter: str = "+"
    forwarders: dict[str, tuple[Network, ...]] = {}
    aliases: dict[str, tuple[str, ...]] = {}
    alias_maps: tuple[str, ...] = ()
    """The content of each named file."""
    metrics: tuple[str, int] | None = None
    """Address and port where /metrics, /healthz and /readyz are answered; None means nowhere."""
    exempt: ExemptSettings = ExemptSettings()
    allowance: AllowanceSettings = AllowanceSettings()
    authentication: AuthenticationSettings = AuthenticationSettings()
    outgoing: OutgoingSettings | None = None
    quarantine: QuarantineSettings | None = None

    @property
    def lease_seconds(self) -> int:
        """How long a hold lasts: the time limits of transfer and mail server together, and a tenth more, rounded up."""
        return -(-11 * (self.transfer_timeout_seconds + self.upstream_timeout_seconds) // 10)


class OfficeSettings(msgspec.Struct, frozen=True):
    """`[office]`: the post office."""

    domain: str
    listen: tuple[str, int] = ("127.0.0.1", 8025)
    ledger: Database = Path("ledger.db")
    signing_key: Path = Path("office.key")
    daily_cap: int = 1000
    """How many stamps a new account may use on one UTC day."""
    price: int = 1
    """The price announced to senders: how many stamps the gates here ask for each recipient."""
    mirror: str = ""
    """The mailbox for probes, canonical; empty: none. The gate of this file takes its letters."""
    workers: int = 1
    """How many processes serve the API; with a gate in the same file, the gate's number counts."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[Network, ...] = ()
    """The networks of proxies whose X-Forwarded-For is believed."""
    receiver_networks: tuple[Network, ...] = ()
    """The networks of receivers' gates, which strangers cannot shut out."""
    max_connections: int = 500
    """How many connections strangers may have, at all workers together; proxies and gates have as many again."""
    max_connections_per_network: int = 50
    request_timeout_seconds: int = 20
    """How long a client may take to the end of a request's header, TLS included."""
    body_timeout_seconds: int = 30
    answer_timeout_seconds: int = 30
    keep_alive_seconds: int = 15
    nameservers: tuple[tuple[str, int], ...] = ()
    """Address and port of each DNS server; empty means this machine's."""
    metrics_networks: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    """The networks that may ask the API for /metrics."""


class IssuerSettings(msgspec.Struct, frozen=True):
    """`[[issuer]]`: a post office elsewhere."""

    domain: str
    url: str = ""
    """The address of its API; empty means https and its domain."""
    token_file: Path | None = None
    keys: dict[str, bytes] = {}
    """Pinned public keys by selector; without any, the keys in DNS count."""
    dnssec: bool = False
    """Whether a key in DNS counts only if a resolver on this machine has verified it by DNSSEC."""
    allow_http: bool = False
    """Whether http is allowed inside a private network; on this machine it always is."""
    retired: bool = False
    """Whether its stamps no longer count; then it is only asked whether a letter that comes again was paid before."""

    @property
    def address(self) -> str:
        """The URL of its API."""
        return self.url or f"https://{self.domain}"


class RelaySettings(msgspec.Struct, frozen=True):
    """`[relay]`: the proxy on the sender's side that stamps what passes."""

    listen: tuple[tuple[str, int], ...] = (("127.0.0.1", 2587),)
    upstream: str = "smtp://127.0.0.1:25"


class Settings(msgspec.Struct, frozen=True):
    """The content of one settings file."""

    file: Path
    gate: GateSettings | None = None
    office: OfficeSettings | None = None
    relay: RelaySettings | None = None
    issuer: tuple[IssuerSettings, ...] = ()

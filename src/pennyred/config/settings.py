"""Everything that can be set. A field is a key of the file; config/pennyred.toml says what each is for."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

import msgspec

Network = IPv4Network | IPv6Network
Database = Path | str
"""SQLite's file, or the URL of a PostgreSQL database (which may hold a password: it is shown to nobody)."""


class ExemptSettings(msgspec.Struct, frozen=True):
    """`[gate.exempt]`: who needs no stamp, besides postmaster and abuse."""

    networks: tuple[Network, ...] = ()
    senders: dict[str, tuple[Network, ...]] = {}
    recipients: tuple[str, ...] = ()


class AllowanceSettings(msgspec.Struct, frozen=True):
    """`[gate.allowance]`: what comes free a UTC day, in recipients."""

    per_day: int = 20
    per_source_per_day: int = 1000
    bounces_per_day: int = 20
    bounces_per_source_per_day: int = 100
    replies_per_source_per_day: int = 200


class RecipientSettings(msgspec.Struct, frozen=True):
    """One table of the file that `recipient_rules` names: what an address or domain has of its own."""

    price: int | None = None
    mode: Literal["require", "bulk", "monitor"] | None = None
    free: bool = False
    """Takes unstamped mail."""
    networks: tuple[Network, ...] = ()
    """Exempt for this recipient, besides `[gate.exempt]`."""
    senders: dict[str, tuple[Network, ...]] = {}


class AuthenticationSettings(msgspec.Struct, frozen=True):
    """`[gate.authentication]`: how it is found out who a sender is."""

    check: Literal["needed", "always", "never"] = "needed"
    timeout_seconds: int = 8
    fronts: tuple[str, ...] = ()
    """authserv-ids (RFC 8601 section 2.5) of `trusted_fronts` that have done it already."""
    arc_sealers: tuple[str, ...] = ()
    """Domains whose ARC seals are believed (RFC 8617)."""


class OutgoingSettings(msgspec.Struct, frozen=True):
    """`[gate.outgoing]`: the listener that outgoing mail passes, so that those our users write to may write back."""

    listen: tuple[tuple[str, int], ...] = (("127.0.0.1", 2526),)
    upstream: tuple[str, ...] = ("smtp://127.0.0.1:10027",)
    upstream_identity: Literal["xclient", "xforward", "proxy", "none"] = "none"
    networks: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    """Whose mail is taken; nobody else's, or it would be an open relay."""


class QuarantineSettings(msgspec.Struct, frozen=True):
    """`[gate.quarantine]`: copies of refused letters."""

    folder: Path = Path("refused")
    days: int = 30
    max_size: int = 1_000_000_000
    """Of all copies; beyond, the oldest of the network that takes most go first."""


class GateSettings(msgspec.Struct, frozen=True):
    """`[gate]`: the SMTP proxy in front of a mail server."""

    listen: tuple[tuple[str, int], ...] = (("127.0.0.1", 2525),)
    upstream: tuple[str, ...] = ("smtp://127.0.0.1:10025",)
    """In order of preference."""
    upstream_spread: bool = False
    upstream_identity: Literal["xclient", "xforward", "proxy", "none"] = "xclient"
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
    """Empty: the name of this machine."""
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
    """Stamps accepted and not yet redeemed, where it is "accept"."""
    accept_total: int = 1000
    altered_body: Literal["accept", "reject"] = "accept"
    bare_newline: Literal["normalize", "reject"] = "normalize"
    mixed: Literal["split", "reject"] = "split"
    help_url: str = ""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_minimum: Literal["1.0", "1.1", "1.2", "1.3"] = "1.0"
    tls_ciphers: str = ""
    """As OpenSSL writes lists; empty: as many as Postfix takes."""
    pass_key: Path | None = None
    max_connections: int = 2000
    """Of all workers together."""
    max_connections_per_network: int = 50
    max_bad_stamps_per_minute: int = 5
    max_recipients: int = 1000
    max_errors: int = 20
    max_idle_commands: int = 100
    memory_per_letter: int = 256_000
    memory_for_letters: int = 128_000_000
    """Of each worker."""
    spool: Path | None = None
    """None: the system's folder for temporary files."""
    read_timeout_seconds: int = 300
    session_timeout_seconds: int = 3600
    nameservers: tuple[tuple[str, int], ...] = ()
    """Empty: this machine's."""
    recipient_rules: dict[str, RecipientSettings] = {}
    """What the file says, by address or domain."""
    recipient_delimiter: str = "+"
    forwarders: dict[str, tuple[Network, ...]] = {}
    aliases: dict[str, tuple[str, ...]] = {}
    alias_maps: tuple[str, ...] = ()
    """What the files say."""
    metrics: tuple[str, int] | None = None
    """Where /metrics, /healthz and /readyz are answered; None: nowhere."""
    exempt: ExemptSettings = ExemptSettings()
    allowance: AllowanceSettings = AllowanceSettings()
    authentication: AuthenticationSettings = AuthenticationSettings()
    outgoing: OutgoingSettings | None = None
    quarantine: QuarantineSettings | None = None

    @property
    def lease_seconds(self) -> int:
        """How long a hold lasts: the transfer limit plus the mail server's, and a tenth, rounded up."""
        return -(-11 * (self.transfer_timeout_seconds + self.upstream_timeout_seconds) // 10)


class OfficeSettings(msgspec.Struct, frozen=True):
    """`[office]`: the post office."""

    domain: str
    listen: tuple[str, int] = ("127.0.0.1", 8025)
    ledger: Database = Path("ledger.db")
    signing_key: Path = Path("office.key")
    daily_cap: int = 1000
    """Stamps a UTC day of a new account."""
    price: int = 1
    """Announced to senders: what the gates here ask a recipient."""
    workers: int = 1
    """Processes; with a gate in the same file, its number goes."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[Network, ...] = ()
    """Whose X-Forwarded-For is believed."""
    receiver_networks: tuple[Network, ...] = ()
    """Where gates of receivers are: strangers cannot shut them out."""
    max_connections: int = 500
    """Of strangers, all workers together; as many again of proxies and gates."""
    max_connections_per_network: int = 50
    request_timeout_seconds: int = 20
    """To the end of a request's header, TLS included."""
    body_timeout_seconds: int = 30
    answer_timeout_seconds: int = 30
    keep_alive_seconds: int = 15
    nameservers: tuple[tuple[str, int], ...] = ()
    """Empty: this machine's."""
    metrics_networks: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    """Who may ask its API for /metrics."""


class IssuerSettings(msgspec.Struct, frozen=True):
    """`[[issuer]]`: a post office elsewhere."""

    domain: str
    url: str = ""
    """Empty: https and its domain."""
    token_file: Path | None = None
    keys: dict[str, bytes] = {}
    """Pinned public keys by selector; none: DNS has them."""
    dnssec: bool = False
    """Whether a key in DNS counts only where DNSSEC vouches for it, by a resolver on this machine."""
    allow_http: bool = False
    """Within a private network; on this machine http is allowed anyway."""
    retired: bool = False
    """Its stamps count no more; it is only asked whether it was paid for a letter that comes again."""

    @property
    def address(self) -> str:
        """Where it is asked."""
        return self.url or f"https://{self.domain}"


class RelaySettings(msgspec.Struct, frozen=True):
    """`[relay]`: the proxy on the sender's side that stamps what passes."""

    listen: tuple[tuple[str, int], ...] = (("127.0.0.1", 2587),)
    upstream: str = "smtp://127.0.0.1:25"


class Settings(msgspec.Struct, frozen=True):
    """One settings file."""

    file: Path
    gate: GateSettings | None = None
    office: OfficeSettings | None = None
    relay: RelaySettings | None = None
    issuer: tuple[IssuerSettings, ...] = ()

"""The whole settings file: which keys it may have, how each is converted, and which must fit together."""

from collections.abc import Iterator
from typing import Any

import msgspec

from pennyred.config import kinds, values
from pennyred.config.issuers import contradictions_of_issuers
from pennyred.config.kinds import Convert
from pennyred.config.recipients import read_recipient_rules
from pennyred.config.settings import (
    AllowanceSettings,
    AuthenticationSettings,
    ExemptSettings,
    GateSettings,
    IssuerSettings,
    OfficeSettings,
    OutgoingSettings,
    QuarantineSettings,
    RelaySettings,
    Settings,
)
from pennyred.config.tables import Tables
from pennyred.days import DAY_SECONDS

UPSTREAMS_MAX = 16
LETTER_BYTES_MIN = 64_000
"""The lowest `max_size`: every mail server must take letters of this size (RFC 5321 section 4.5.3.1.7)."""
MEMORY_BYTES_MIN = 64_000_000
"""The lowest `memory_for_letters`: the longest allowed header section takes a quarter of it. With less, such a letter
would wait for ever."""


class Reader(Tables):
    """Reads one settings file that is parsed as TOML; what is wrong goes to `complaints`."""

    def settings(self, document: dict[str, Any]) -> Settings:
        """The settings of a whole document, after checking that its parts fit together."""
        self.unknown("", document, ("gate", "office", "relay", "issuer"))
        office = self.table(document, "office", OfficeSettings, self._office(), required=("domain",))
        if office is not None and (office.tls_certificate is None) != (office.tls_key is None):
            self.complain("office.tls_key", "one of tls_certificate and tls_key is set", "both or none")
        issuers = tuple(
            self.struct(f"issuer[{place}]", one, IssuerSettings, self._issuer(), required=("domain",))
            for place, one in enumerate(self._tables(document))
        )
        gate = self.table(document, "gate", GateSettings, self._gate())
        relay = self.table(document, "relay", RelaySettings, self._relay())
        if relay is not None:
            self.complain("relay", "the stamping relay is not built yet", "no [relay] table")
        if gate is None and office is None and relay is None:
            self.complain("", "nothing to run", "a [gate] or an [office] table")
        if office is not None and office.mirror and gate is None:
            self.complain("office.mirror", "no gate in this file takes its letters", "a [gate] table, or no mirror")
        if gate is not None:
            gate = self._joined(gate, office, issuers)
        return Settings(self.file, gate, office, relay, issuers)

    def _joined(
        self, gate: GateSettings, office: OfficeSettings | None, issuers: tuple[IssuerSettings, ...]
    ) -> GateSettings:
        """The gate with defaults that depend on other tables, after checking what depends on more than one key."""
        if not gate.issuers:
            own = (office.domain,) if office is not None else ()
            elsewhere = (one.domain for one in issuers if not one.retired)
            gate = msgspec.structs.replace(gate, issuers=(*own, *elsewhere))
        for key, what, expected in contradictions_of_issuers(gate, office, issuers):
            self.complain(key, what, expected)
        for key, is_wrong, what, expected in _contradictions(gate):
            if is_wrong:
                self.complain(f"gate.{key}", what, expected)
        return gate

    def _upstream(self) -> dict[str, Convert]:
        return {
            "upstream": kinds.one_or_several(values.upstream_url, UPSTREAMS_MAX),
            "upstream_spread": kinds.typed(bool, "true or false"),
            "upstream_identity": kinds.choice("xclient", "xforward", "proxy", "none"),
            "upstream_chunking": kinds.typed(bool, "true or false"),
            "upstream_tls_ca": self.path,
            "upstream_tls_verify": kinds.typed(bool, "true or false"),
            "upstream_connections": kinds.number(1, 10_000),
            "upstream_connections_per_network": kinds.number(1, 10_000),
            "upstream_timeout_seconds": kinds.number(1, 3600),
            "upstream_greeting_timeout_seconds": kinds.number(1, 3600),
            "upstream_mail_timeout_seconds": kinds.number(1, 3600),
            "upstream_rcpt_timeout_seconds": kinds.number(1, 3600),
            "upstream_data_timeout_seconds": kinds.number(1, 3600),
            "upstream_block_timeout_seconds": kinds.number(1, 3600),
        }

    def _gate(self) -> dict[str, Convert]:
        networks = kinds.texts(values.network)
        return {
            "listen": kinds.some(kinds.texts(values.listen_address), "at least one address and port"),
            **self._upstream(),
            "stop_timeout_seconds": kinds.number(1, 3600),
            "transfer_timeout_seconds": kinds.number(1, 3600),
            "hostname": kinds.text(lambda text: text and values.domain(text)),
            "domains": kinds.texts(values.domain),
            "trusted_fronts": networks,
            "fronts_speak": kinds.choice("smtp", "proxy"),
            "mode": kinds.choice("require", "bulk", "monitor"),
            "issuers": kinds.texts(values.domain),
            "price": kinds.number(1, 1000),
            "workers": kinds.number(1, 64),
            "max_size": kinds.size,
            "state": self.database,
            "on_office_down": kinds.choice("defer", "accept"),
            "accept_per_account": kinds.number(0, 1_000_000),
            "accept_total": kinds.number(0, 1_000_000),
            "altered_body": kinds.choice("accept", "reject"),
            "subject_tags": kinds.few_texts(values.subject_tag, values.SUBJECT_TAGS_MAX),
            "bare_newline": kinds.choice("normalize", "reject"),
            "mixed": kinds.choice("split", "reject"),
            "help_url": kinds.text(values.printable_url),
            "tls_certificate": self.path,
            "tls_key": self.path,
            "tls_minimum": kinds.choice("1.0", "1.1", "1.2", "1.3"),
            "tls_ciphers": kinds.text(values.ciphers),
            "pass_key": self.path,
            "max_connections": kinds.number(1, 1_000_000),
            "max_connections_per_network": kinds.number(1, 60_000),
            "max_bad_stamps_per_minute": kinds.number(1, 60_000),
            "max_recipients": kinds.number(1, 10_000),
            "max_errors": kinds.number(1, 10_000),
            "max_idle_commands": kinds.number(1, 1_000_000),
            "memory_per_letter": kinds.size,
            "memory_for_letters": kinds.size,
            "spool": self.path,
            "read_timeout_seconds": kinds.number(1, 3600),
            "session_timeout_seconds": kinds.number(1, DAY_SECONDS),
            "nameservers": kinds.texts(values.nameserver),
            "recipient_rules": lambda value: read_recipient_rules(self, value),
            "recipient_delimiter": kinds.text(values.delimiter),
            "forwarders": kinds.by_name(values.domain, values.network, '{"old.example" = ["192.0.2.0/24"]}'),
            "aliases": kinds.by_name(
                values.mailbox, values.mailbox, '{"info@example.org" = ["ann@example.org"]}', at_least_one=True
            ),
            "alias_maps": kinds.texts(self.text_of),
            "metrics": kinds.text(lambda text: values.listen_address(text) if text else None),
            "exempt": lambda value: self.struct("gate.exempt", value, ExemptSettings, self._exempt()),
            "allowance": lambda value: self.struct("gate.allowance", value, AllowanceSettings, self._allowance()),
            "authentication": lambda value: self.struct(
                "gate.authentication", value, AuthenticationSettings, self._authentication()
            ),
            "outgoing": lambda value: self.struct("gate.outgoing", value, OutgoingSettings, self._outgoing()),
            "quarantine": lambda value: self.struct("gate.quarantine", value, QuarantineSettings, self._quarantine()),
        }

    def _exempt(self) -> dict[str, Convert]:
        example = '{"news.example" = [], "cron@web.example" = ["192.0.2.0/24"]}'
        return {
            "networks": kinds.texts(values.network),
            "senders": kinds.by_name(values.mailbox_or_domain, values.network, example),
            "recipients": kinds.texts(values.mailbox_or_domain),
        }

    def _allowance(self) -> dict[str, Convert]:
        names = [one.name for one in msgspec.structs.fields(AllowanceSettings)]
        return dict.fromkeys(names, kinds.number(0, 1_000_000_000))

    def _authentication(self) -> dict[str, Convert]:
        return {
            "check": kinds.choice("needed", "always", "never"),
            "timeout_seconds": kinds.number(1, 60),
            "fronts": kinds.texts(values.domain),
            "arc_sealers": kinds.texts(values.domain),
        }

    def _outgoing(self) -> dict[str, Convert]:
        return {
            "listen": kinds.some(kinds.texts(values.listen_address), "at least one address and port"),
            "upstream": kinds.one_or_several(values.upstream_url, UPSTREAMS_MAX),
            "upstream_identity": kinds.choice("xclient", "xforward", "proxy", "none"),
            "networks": kinds.texts(values.network),
        }

    def _quarantine(self) -> dict[str, Convert]:
        return {"folder": self.path, "days": kinds.number(1, 3650), "max_size": kinds.size}

    def _office(self) -> dict[str, Convert]:
        return {
            "domain": kinds.text(values.domain),
            "listen": kinds.text(values.listen_address),
            "ledger": self.database,
            "signing_key": self.path,
            "daily_cap": kinds.number(0, 1_000_000_000),
            "price": kinds.number(1, 1000),
            "mirror": kinds.text(lambda text: text and values.mirror(text)),
            "workers": kinds.number(1, 64),
            "tls_certificate": self.path,
            "tls_key": self.path,
            "trusted_proxies": kinds.texts(values.network),
            "receiver_networks": kinds.texts(values.network),
            "max_connections": kinds.number(1, 100_000),
            "max_connections_per_network": kinds.number(1, 60_000),
            "request_timeout_seconds": kinds.number(1, 600),
            "body_timeout_seconds": kinds.number(1, 600),
            "answer_timeout_seconds": kinds.number(1, 600),
            "keep_alive_seconds": kinds.number(1, 600),
            "nameservers": kinds.texts(values.nameserver),
            "metrics_networks": kinds.texts(values.network),
        }

    def _issuer(self) -> dict[str, Convert]:
        return {
            "domain": kinds.text(values.domain),
            "url": kinds.text(lambda text: text and values.office_url(text)),
            "token_file": self.path,
            "keys": kinds.names(values.selector, values.public_key, '{s1 = "base64"}'),
            "dnssec": kinds.typed(bool, "true or false"),
            "allow_http": kinds.typed(bool, "true or false"),
            "retired": kinds.typed(bool, "true or false"),
        }

    def _tables(self, document: dict[str, Any]) -> list[Any]:
        tables = document.get("issuer", [])
        if not isinstance(tables, list):
            self.complain("issuer", "not a list of tables", "[[issuer]]")
            return []
        return tables

    def _relay(self) -> dict[str, Convert]:
        return {"listen": kinds.texts(values.listen_address), "upstream": kinds.text(values.upstream_url)}


def _contradictions(gate: GateSettings) -> Iterator[tuple[str, bool, str, str]]:
    """Checks of settings that are right one by one but may not fit together.

    Yields for each: the key, whether it is wrong, what is wrong, and what was expected.
    """
    is_half = (gate.tls_certificate is None) != (gate.tls_key is None)
    yield "tls_key", is_half, "one of tls_certificate and tls_key is set", "both or none"
    are_mixed = len({url.startswith("lmtp") for url in gate.upstream}) > 1
    yield "upstream", are_mixed, "some are smtp and some lmtp", "all alike: a letter may go to any of them"
    is_small = gate.max_size < LETTER_BYTES_MIN
    yield "max_size", is_small, f"{gate.max_size} bytes", "at least 64KB; did you mean MB?"
    is_tight = gate.memory_for_letters < MEMORY_BYTES_MIN
    yield "memory_for_letters", is_tight, f"{gate.memory_for_letters} bytes", "at least 64MB, for each worker"
    are_few = gate.upstream_connections < gate.workers
    yield "upstream_connections", are_few, "fewer than there are workers", f"at least {gate.workers}"
    is_alone = gate.fronts_speak == "proxy" and not gate.trusted_fronts
    yield "fronts_speak", is_alone, "nobody is a front whose PROXY is believed", "trusted_fronts"
    is_unbelievable = bool(gate.authentication.fronts) and not gate.trusted_fronts
    yield "authentication.fronts", is_unbelievable, "nobody is a front that could be believed", "trusted_fronts"

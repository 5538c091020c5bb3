"""One settings document: which keys it may have, what each means, and what they say of each other."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pennyred.config import kinds, values
from pennyred.config.complaints import COMPLAINTS_MAX, Complaint
from pennyred.config.kinds import Convert
from pennyred.config.settings import (
    AllowanceSettings,
    ExemptSettings,
    GateSettings,
    IssuerSettings,
    OfficeSettings,
    RelaySettings,
    Settings,
)

T = TypeVar("T", bound=msgspec.Struct)
UPSTREAMS_MAX = 16
LETTER_BYTES_MIN = 64_000
"""RFC 5321 section 4.5.3.1.7: as much as every mail server takes."""


@dataclass(slots=True)
class Reader:
    """Reads one document; what is wrong goes to `complaints`, and the default is used to go on."""

    file: Path
    folder: Path
    complaints: list[Complaint] = field(default_factory=list)

    def settings(self, document: dict[str, Any]) -> Settings:
        """The whole document, and what its parts say of each other."""
        self._unknown("", document, ("gate", "office", "relay", "issuer"))
        office = self._table(document, "office", OfficeSettings, self._office(), required=("domain",))
        issuers = tuple(
            self._struct(f"issuer[{place}]", one, IssuerSettings, self._issuer(), required=("domain",))
            for place, one in enumerate(self._tables(document))
        )
        gate = self._table(document, "gate", GateSettings, self._gate())
        if issuers:
            self._complain("issuer", "post offices reached by HTTP are not built yet", "no [[issuer]] table")
        relay = self._table(document, "relay", RelaySettings, self._relay())
        if relay is not None:
            self._complain("relay", "the stamping relay is not built yet", "no [relay] table")
        if gate is None and office is None and relay is None:
            self._complain("", "nothing to run", "a [gate] or an [office] table")
        if gate is not None:
            gate = self._joined(gate, office)
        return Settings(self.file, gate, office, relay, issuers)

    def _joined(self, gate: GateSettings, office: OfficeSettings | None) -> GateSettings:
        """The gate, with what depends on more than one key."""
        if not gate.issuers and office is not None:
            gate = msgspec.structs.replace(gate, issuers=(office.domain,))
        if not gate.issuers:
            self._complain("gate.issuers", "no post office whose stamps count", "its domain")
        for issuer in gate.issuers:
            if office is None or issuer != (office.domain or issuer):
                self._complain(
                    "gate.issuers",
                    f"{issuer} is not the [office] of this file",
                    "that one: others by HTTP are not built yet",
                )
        for key, is_wrong, what, expected in _contradictions(gate):
            if is_wrong:
                self._complain(f"gate.{key}", what, expected)
        return gate

    def _gate(self) -> dict[str, Convert]:
        networks = kinds.texts(values.network)
        return {
            "listen": kinds.some(kinds.texts(values.listen_address), "at least one address and port"),
            "upstream": kinds.one_or_several(values.upstream_url, UPSTREAMS_MAX),
            "upstream_spread": kinds.typed(bool, "true or false"),
            "upstream_identity": kinds.choice("xclient", "xforward", "proxy", "none"),
            "upstream_tls_ca": self._path,
            "upstream_tls_verify": kinds.typed(bool, "true or false"),
            "upstream_connections": kinds.number(1, 10_000),
            "upstream_timeout_seconds": kinds.number(1, 3600),
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
            "state": self._database,
            "on_office_down": kinds.choice("defer", "accept"),
            "altered_body": kinds.choice("accept", "reject"),
            "bare_newline": kinds.choice("normalize", "reject"),
            "mixed": kinds.choice("split", "reject"),
            "help_url": kinds.text(values.printable_url),
            "tls_certificate": self._path,
            "tls_key": self._path,
            "pass_key": self._path,
            "max_connections": kinds.number(1, 1_000_000),
            "max_connections_per_network": kinds.number(1, 60_000),
            "max_bad_stamps_per_minute": kinds.number(1, 60_000),
            "max_recipients": kinds.number(1, 10_000),
            "max_errors": kinds.number(1, 10_000),
            "max_idle_commands": kinds.number(1, 1_000_000),
            "memory_per_letter": kinds.size,
            "spool": self._path,
            "read_timeout_seconds": kinds.number(1, 3600),
            "session_timeout_seconds": kinds.number(1, 86_400),
            "exempt": lambda value: self._struct("gate.exempt", value, ExemptSettings, self._exempt()),
            "allowance": lambda value: self._struct("gate.allowance", value, AllowanceSettings, self._allowance()),
        }

    def _exempt(self) -> dict[str, Convert]:
        def senders(value: dict[str, list[str]]) -> dict[str, Any]:
            names = kinds.each(((f'"{name}"', name) for name in value), values.mailbox_or_domain)
            items = [(f'"{name}"', network) for name, networks in value.items() for network in networks]
            kinds.each(items, values.network)
            return {
                name: tuple(map(values.network, networks)) for name, networks in zip(names, value.values(), strict=True)
            }

        expected = 'a table like {"news.example" = ["192.0.2.0/24"]}'
        return {
            "networks": kinds.texts(values.network),
            "senders": kinds.typed(dict[str, list[str]], expected, senders),
            "recipients": kinds.texts(values.mailbox_or_domain),
        }

    def _allowance(self) -> dict[str, Convert]:
        return dict.fromkeys(("per_day", "per_source_per_day", "bounces_per_day"), kinds.number(0, 1_000_000_000))

    def _office(self) -> dict[str, Convert]:
        return {
            "domain": kinds.text(values.domain),
            "listen": kinds.text(values.listen_address),
            "ledger": self._database,
            "signing_key": self._path,
            "daily_cap": kinds.number(0, 1_000_000_000),
            "price": kinds.number(1, 1000),
        }

    def _issuer(self) -> dict[str, Convert]:
        return {
            "domain": kinds.text(values.domain),
            "url": kinds.text(values.web_url),
            "token_file": self._path,
            "keys": kinds.typed(dict[str, str], 'a table like {s1 = "base64"}'),
        }

    def _relay(self) -> dict[str, Convert]:
        return {"listen": kinds.texts(values.listen_address), "upstream": kinds.text(values.upstream_url)}

    def _path(self, value: Any) -> Path | None:
        text = kinds.text()(value)
        if "\0" in text:
            raise ValueError("a path")
        return self.folder / text if text else None

    def _database(self, value: Any) -> Path:
        return values.database_url(kinds.text()(value), self.folder)

    def _tables(self, document: dict[str, Any]) -> list[Any]:
        tables = document.get("issuer", [])
        if not isinstance(tables, list):
            self._complain("issuer", "not a list of tables", "[[issuer]]")
            return []
        return tables

    def _table(
        self,
        document: dict[str, Any],
        key: str,
        kind: type[T],
        known: dict[str, Convert],
        required: tuple[str, ...] = (),
    ) -> T | None:
        return self._struct(key, document[key], kind, known, required) if key in document else None

    def _struct(
        self, name: str, table: Any, kind: type[T], known: dict[str, Convert], required: tuple[str, ...] = ()
    ) -> T:
        """One table of the file as its struct; keys that are wrong take their default, after a complaint."""
        if not isinstance(table, dict):
            self._complain(name, "not a table", f"[{name}]")
            return kind(**dict.fromkeys(required, ""))
        self._unknown(name, table, tuple(known))
        given = self._default_paths(kind) | dict.fromkeys(required, "")
        for key, convert in known.items():
            if key in table:
                given |= self._converted(name, key, table[key], convert)
            elif key in required:
                self._complain(f"{name}.{key}", "missing", "a value")
        return kind(**given)

    def _converted(self, name: str, key: str, value: Any, convert: Convert) -> dict[str, Any]:
        """What a key of a table means, by the key; nothing, after a complaint, where that cannot be known."""
        try:
            return {key: convert(value)}
        except kinds.WrongItems as error:
            for place, item, expected in error.items:
                self._complain(f"{name}.{key}{place}", f"{_shown(item)} will not do", expected)
        except ValueError as error:
            self._complain(f"{name}.{key}", f"{_shown(value)} will not do", str(error))
        return {}

    def _default_paths(self, kind: type[msgspec.Struct]) -> dict[str, Any]:
        """Defaults that are paths, taken relative to the settings file like those that are written."""
        return {
            one.name: self.folder / one.default for one in msgspec.structs.fields(kind) if isinstance(one.default, Path)
        }

    def _unknown(self, name: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                expected = f'"{close[0]}"?' if close else "one of " + ", ".join(known)
                self._complain(f"{name}.{key}" if name else key, "unknown key", expected)

    def _complain(self, key: str, what: str, expected: str) -> None:
        if len(self.complaints) < COMPLAINTS_MAX:
            self.complaints.append(Complaint(str(self.file), _printable(key), _printable(what), expected))


def _shown(value: Any) -> str:
    """A value as it is written in TOML, or nearly so, and not for ever."""
    match value:
        case bool():
            text = str(value).lower()
        case str():
            text = f'"{value}"'
        case _:
            text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:300])


def _contradictions(gate: GateSettings) -> Iterator[tuple[str, bool, str, str]]:
    """Settings that are right one by one: the key, whether it goes ill with others, what it is, what it may be."""
    is_half = (gate.tls_certificate is None) != (gate.tls_key is None)
    yield "tls_key", is_half, "one of tls_certificate and tls_key is set", "both or none"
    are_mixed = len({url.startswith("lmtp") for url in gate.upstream}) > 1
    yield "upstream", are_mixed, "some are smtp and some lmtp", "all alike: a letter may go to any of them"
    is_small = gate.max_size < LETTER_BYTES_MIN
    yield "max_size", is_small, f"{gate.max_size} bytes", "at least 64KB; did you mean MB?"
    are_few = gate.upstream_connections < gate.workers
    yield "upstream_connections", are_few, "fewer than there are workers", f"at least {gate.workers}"
    is_alone = gate.fronts_speak == "proxy" and not gate.trusted_fronts
    yield "fronts_speak", is_alone, "nobody is a front whose PROXY is believed", "trusted_fronts"
    yield "on_office_down", gate.on_office_down == "accept", '"accept" is not built yet', '"defer"'

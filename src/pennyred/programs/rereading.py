"""Which settings a reload (SIGHUP) takes over. Changes to all others wait for the next start, and are named.

A key that is in none of these lists waits. So a new setting is never taken over by half, or without a word.
"""

import hashlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pennyred.config import GateSettings, IssuerSettings, Settings, read_settings

GATE = frozenset(
    (
        "trusted_fronts", "fronts_speak", "mode", "issuers", "price", "altered_body", "subject_tags", "bare_newline",
        "mixed", "help_url", "tls_certificate", "tls_key", "tls_minimum", "tls_ciphers", "pass_key", "recipient_rules",
        "recipient_delimiter", "forwarders", "aliases", "alias_maps", "exempt", "allowance", "authentication",
        "quarantine", "nameservers", "accept_per_account", "accept_total", "stop_timeout_seconds",
        "max_connections_per_network", "max_bad_stamps_per_minute", "max_recipients", "max_errors",
        "max_idle_commands", "read_timeout_seconds", "session_timeout_seconds",
    )
)  # fmt: skip
OUTGOING = frozenset(("networks",))
OFFICE = frozenset(("daily_cap", "price", "nameservers", "metrics_networks"))
ISSUER = frozenset(("token_file", "keys", "dnssec", "retired"))
_READ_ONCE = ("upstream_tls_ca",)
"""Files of the gate that are read only at the start: their content is compared too."""
_FILE_BYTES_MAX = 4 * 2**20

Table = TypeVar("Table", bound=msgspec.Struct)


class Started:
    """The settings with which a service was started; made once, for all its workers."""

    def __init__(self, settings: Settings, workers: int | None = None) -> None:
        """`workers`, if given, replaces the setting."""
        self._workers = workers
        self.settings = self._with_workers(settings)
        self._files = _contents(settings.gate)

    def read_again(self) -> Settings:
        """Read the settings file again; raises `BadSettings`."""
        return self._with_workers(read_settings(self.settings.file))

    def with_rules_of(self, new: Settings) -> Settings:
        """The settings to use after a reload: new where a reload takes over, and all others as at the start."""
        return msgspec.structs.replace(
            self.settings,
            gate=_gate(self.settings.gate, new.gate),
            office=_with(self.settings.office, new.office, OFFICE),
            issuer=_issuers(self.settings.issuer, new.issuer),
        )

    def waiting(self, new: Settings) -> list[str]:
        """The changed settings that wait for the next start, by their names in the file, like `gate.listen`."""
        old = self.settings
        found = _names("gate", old.gate, new.gate, GATE | {"outgoing"})
        if old.gate is not None and new.gate is not None:
            found += _names("gate.outgoing", old.gate.outgoing, new.gate.outgoing, OUTGOING)
            now = _contents(new.gate)
            altered = [f"gate.{key}" for key in _READ_ONCE if self._files[key] != now[key]]
            found += [name for name in altered if name not in found]
        found += _names("office", old.office, new.office, OFFICE)
        before, after = ({one.domain: one for one in some} for some in (old.issuer, new.issuer))
        for domain in dict.fromkeys([*before, *after]):
            found += _names(f"issuer[{domain}]", before.get(domain), after.get(domain), ISSUER)
        return found

    def _with_workers(self, settings: Settings) -> Settings:
        if self._workers is None:
            return settings
        gate, office = settings.gate, settings.office
        return msgspec.structs.replace(
            settings,
            gate=None if gate is None else msgspec.structs.replace(gate, workers=self._workers),
            office=None if office is None else msgspec.structs.replace(office, workers=self._workers),
        )


def _names(name: str, old: msgspec.Struct | None, new: msgspec.Struct | None, taken_over: frozenset[str]) -> list[str]:
    if old is None or new is None:
        return [name] if old is not new else []
    keys = [field.name for field in msgspec.structs.fields(old) if field.name not in taken_over]
    return [f"{name}.{key}" for key in keys if getattr(old, key) != getattr(new, key)]


def _with(old: Table | None, new: Table | None, taken_over: frozenset[str]) -> Table | None:
    if old is None or new is None:
        return old
    changes: dict[str, Any] = {key: getattr(new, key) for key in taken_over}
    return msgspec.structs.replace(old, **changes)


def _gate(old: GateSettings | None, new: GateSettings | None) -> GateSettings | None:
    found = _with(old, new, GATE)
    if found is None or new is None:
        return found
    return msgspec.structs.replace(found, outgoing=_with(found.outgoing, new.outgoing, OUTGOING))


def _issuers(old: tuple[IssuerSettings, ...], new: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
    """The old issuers, without those that are no longer named."""
    after = {one.domain: one for one in new}
    return tuple(
        taken for one in old if one.domain in after and (taken := _with(one, after[one.domain], ISSUER)) is not None
    )


def _contents(gate: GateSettings | None) -> dict[str, bytes]:
    return {key: _digest(None if gate is None else getattr(gate, key)) for key in _READ_ONCE}


def _digest(path: Path | None) -> bytes:
    """A hash of a file's content; empty if it cannot be read."""
    if path is None:
        return b""
    try:
        with path.open("rb") as opened:
            return hashlib.sha256(opened.read(_FILE_BYTES_MAX)).digest()
    except OSError:
        return b""

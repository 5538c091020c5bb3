"""Builds a gate's rules from its settings, from the files they name, and from its state."""

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from pennyred.config import GateSettings
from pennyred.config.settings import RecipientSettings
from pennyred.gate.memory.recipientrules import stored_rules
from pennyred.gate.policy import Check, GatePolicy
from pennyred.gate.rules.exemptions import Allowances, Exemptions, Mode
from pennyred.gate.rules.recipients import Aliases, RecipientRule, RecipientRules, read_alias_map

PASS_KEY_BYTES_MIN = 16
PASS_KEY_BYTES_MAX = 4096


def gate_hostname(gate: GateSettings) -> str:
    """The gate's host name: the setting, or this machine's name. The DNS is not asked: it can take minutes."""
    return gate.hostname or socket.gethostname()


def gate_policy(gate: GateSettings, issuers: Mapping[str, Mapping[str, bytes]]) -> GatePolicy:
    """The gate's rules, in the types of `gate.policy`.

    Raises OSError or ValueError if the pass key cannot be read, and Unavailable if the state cannot.
    """
    return GatePolicy(
        hostname=gate_hostname(gate),
        issuers=issuers,
        mode=Mode(gate.mode),
        price=gate.price,
        exemptions=Exemptions(gate.exempt.networks, gate.exempt.senders, frozenset(gate.exempt.recipients)),
        allowances=Allowances(**msgspec.structs.asdict(gate.allowance)),
        recipients=RecipientRules(_recipient_rules(gate), gate.recipient_delimiter),
        aliases=gate_aliases(gate),
        forwarders=gate.forwarders,
        check=Check(gate.authentication.check),
        fronts=frozenset(gate.authentication.fronts),
        is_strict=gate.altered_body == "reject",
        subject_tags=tuple(gate.subject_tags),
        bad_stamps_max=gate.max_bad_stamps_per_minute if gate.mode != "monitor" else 0,
        pass_key=read_pass_key(gate.pass_key) if gate.pass_key else None,
        lease_seconds=gate.lease_seconds,
        upstream_timeout_seconds=gate.upstream_timeout_seconds,
    )


def read_pass_key(path: Path) -> bytes:
    """Read the secret that sister gates share; raises OSError, or ValueError if it is too short."""
    with path.open("rb") as opened:
        key = opened.read(PASS_KEY_BYTES_MAX).strip()
    if len(key) < PASS_KEY_BYTES_MIN:
        raise ValueError(f"{path}: a pass key has at least {PASS_KEY_BYTES_MIN} bytes")
    return key


def _recipient_rules(gate: GateSettings) -> dict[str, RecipientRule]:
    """The rules set by command and those of the file. The file's count first: an admin can see and version it."""
    rules = {
        one.name: RecipientRule(one.price, _mode(one.mode), _free(one.name) if one.is_free else None)
        for one in stored_rules(gate.state)
    }
    return rules | {name: _rule(name, one) for name, one in gate.recipient_rules.items()}


def _rule(name: str, settings: RecipientSettings) -> RecipientRule:
    names = frozenset({name}) if settings.free else frozenset()
    exemptions = Exemptions(settings.networks, settings.senders, names)
    return RecipientRule(settings.price, _mode(settings.mode), exemptions)


def _mode(name: str | None) -> Mode | None:
    return Mode(name) if name else None


def _free(name: str) -> Exemptions:
    return Exemptions(recipients=frozenset({name}))


def gate_aliases(gate: GateSettings) -> Aliases:
    """The aliases in the settings, and in the alias maps that they name."""
    return Aliases(_aliases(gate), gate.recipient_delimiter)


def _aliases(gate: GateSettings) -> Iterator[tuple[str, str]]:
    for alias, targets in gate.aliases.items():
        yield from ((alias, target) for target in targets)
    for text in gate.alias_maps:
        yield from read_alias_map(text, gate.domains[0] if gate.domains else "")

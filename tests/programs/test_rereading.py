"""What a reload takes over and what it names, key by key of every table."""

from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from pennyred.config.settings import (
    AllowanceSettings,
    AuthenticationSettings,
    ExemptSettings,
    GateSettings,
    IssuerSettings,
    OfficeSettings,
    OutgoingSettings,
    QuarantineSettings,
    RecipientSettings,
    Settings,
)
from pennyred.programs.rereading import GATE, ISSUER, OFFICE, OUTGOING, Started

FILE = Path("pennyred.toml")
HERE = IssuerSettings("post.example.net", url="https://a.example")
STARTED = Settings(
    FILE,
    GateSettings(outgoing=OutgoingSettings(), quarantine=QuarantineSettings()),
    OfficeSettings("post.example.org"),
    issuer=(HERE,),
)
OTHERS = {
    "exempt": ExemptSettings(recipients=("a@b.example",)),
    "allowance": AllowanceSettings(per_day=1),
    "authentication": AuthenticationSettings(check="always"),
    "quarantine": QuarantineSettings(days=1),
    "recipient_rules": {"bob@example.org": RecipientSettings(price=2)},
    "networks": (ip_network("192.0.2.0/24"),),
}


def other(table, key):
    """Another value of the same kind."""
    value = getattr(table, key)
    if key in OTHERS:
        return OTHERS[key]
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x"
        case tuple():
            return (*value, "new")
        case dict():
            return {**value, "new": ()}
        case _:
            return Path("new")


def keys(table, besides=()):
    return [field.name for field in msgspec.structs.fields(table) if field.name not in besides]


def changed(table, key):
    return msgspec.structs.replace(table, **{key: other(table, key)})


@pytest.mark.parametrize("key", keys(STARTED.gate, ["outgoing"]))
def test_every_key_of_the_gate_is_taken_over_or_named(key):
    new = msgspec.structs.replace(STARTED, gate=changed(STARTED.gate, key))
    started = Started(STARTED)
    rules = started.with_rules_of(new)
    assert started.waiting(new) == ([] if key in GATE else [f"gate.{key}"])
    assert rules.gate == (new.gate if key in GATE else STARTED.gate)


@pytest.mark.parametrize("key", keys(STARTED.gate.outgoing))
def test_every_key_of_outgoing_is_taken_over_or_named(key):
    gate = msgspec.structs.replace(STARTED.gate, outgoing=changed(STARTED.gate.outgoing, key))
    new, started = msgspec.structs.replace(STARTED, gate=gate), Started(STARTED)
    assert started.waiting(new) == ([] if key in OUTGOING else [f"gate.outgoing.{key}"])
    assert started.with_rules_of(new).gate == (gate if key in OUTGOING else STARTED.gate)


@pytest.mark.parametrize("key", keys(STARTED.office))
def test_every_key_of_the_office_is_taken_over_or_named(key):
    new = msgspec.structs.replace(STARTED, office=changed(STARTED.office, key))
    started = Started(STARTED)
    assert started.waiting(new) == ([] if key in OFFICE else [f"office.{key}"])
    assert started.with_rules_of(new).office == (new.office if key in OFFICE else STARTED.office)


@pytest.mark.parametrize("key", keys(HERE, ["domain"]))
def test_every_key_of_an_issuer_is_taken_over_or_named(key):
    new = msgspec.structs.replace(STARTED, issuer=(changed(HERE, key),))
    started = Started(STARTED)
    assert started.waiting(new) == ([] if key in ISSUER else [f"issuer[post.example.net].{key}"])
    assert started.with_rules_of(new).issuer == (new.issuer if key in ISSUER else STARTED.issuer)


def test_tables_that_come_or_go_are_named():
    started = Started(STARTED)
    new = msgspec.structs.replace(
        STARTED,
        gate=msgspec.structs.replace(STARTED.gate, outgoing=None),
        office=None,
        issuer=(IssuerSettings("other.example"),),
    )
    assert started.waiting(new) == ["gate.outgoing", "office", "issuer[post.example.net]", "issuer[other.example]"]
    rules = started.with_rules_of(new)
    assert rules.office == STARTED.office
    assert rules.gate.outgoing == STARTED.gate.outgoing
    assert rules.issuer == ()
    assert Started(msgspec.structs.replace(STARTED, gate=None)).waiting(STARTED) == ["gate"]


def test_many_changes_are_all_named_and_none_when_they_are_taken_back():
    gate = msgspec.structs.replace(STARTED.gate, listen=(("0.0.0.0", 25),), upstream_chunking=False, workers=4)
    started = Started(STARTED)
    new = msgspec.structs.replace(STARTED, gate=gate)
    assert started.waiting(new) == ["gate.listen", "gate.upstream_chunking", "gate.workers"]
    assert started.waiting(STARTED) == []


def test_a_file_that_is_read_at_the_start_only_is_named_when_it_says_something_else(tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("old")
    settings = msgspec.structs.replace(STARTED, gate=msgspec.structs.replace(STARTED.gate, upstream_tls_ca=ca))
    started = Started(settings)
    assert started.waiting(settings) == []
    ca.write_text("new")
    assert started.waiting(settings) == ["gate.upstream_tls_ca"]


def test_workers_of_the_command_line_go_before_the_files(tmp_path):
    file = tmp_path / "pennyred.toml"
    file.write_text('[gate]\nworkers = 2\n[office]\ndomain = "post.example.org"\n')
    from pennyred.config import read_settings

    started = Started(read_settings(file), workers=3)
    assert (started.settings.gate.workers, started.settings.office.workers) == (3, 3)
    assert started.waiting(started.read_again()) == []

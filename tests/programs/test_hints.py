"""What an admin may want to think about."""

import asyncio
from ipaddress import ip_network
from pathlib import Path

import dns.exception
import dns.resolver
import pytest

from pennyred.config.settings import GateSettings, OutgoingSettings, QuarantineSettings, Settings
from pennyred.programs.checks.hints import all_hints


class Zone:
    """Answers for MX by a table; an exception is raised."""

    def __init__(self, **of_domain) -> None:
        self.of_domain = {domain.replace("_", "."): hosts for domain, hosts in of_domain.items()}

    async def resolve(self, domain, kind, lifetime):
        assert kind == "MX"
        assert lifetime < 10
        hosts = self.of_domain[domain]
        if isinstance(hosts, Exception):
            raise hosts
        return [type("MX", (), {"exchange": f"{host}."}) for host in hosts]


def hints(zone=None, **gate):
    settings = Settings(Path("x.toml"), GateSettings(hostname="mx.example.org", **{"mode": "monitor"} | gate))
    return {one.key: f"{one.what}, {one.expected}" for one in asyncio.run(all_hints(settings, zone))}


def test_without_a_gate_there_is_nothing_to_say():
    assert asyncio.run(all_hints(Settings(Path("x.toml")))) == []


def test_workers_that_have_one_connection_to_the_mail_server_each_are_named():
    assert hints(workers=8, upstream_connections=16) == {}
    assert hints(workers=1, upstream_connections=1) == {}
    assert hints(workers=8, upstream_connections=15) == {
        "gate.upstream_connections": "less than two for each worker, so clients of one network may use them all, "
        "at least 16, or fewer workers"
    }


def test_a_gate_that_is_the_only_mx_needs_no_hint():
    assert hints(Zone(example_org=["MX.example.org"]), domains=("example.org",)) == {}


def test_another_mx_needs_a_gate_too():
    zone = Zone(example_org=["mx.example.org", "mx2.example.org"])
    assert "mx2.example.org receives for example.org too" in hints(zone, domains=("example.org",))["gate.domains"]


def test_a_gate_that_is_no_mx_may_be_misnamed():
    zone = Zone(example_org=["mx1.example.org"])
    assert hints(zone, domains=("example.org",)) == {
        "gate.hostname": "mx.example.org is no MX of example.org, one of mx1.example.org"
    }


@pytest.mark.parametrize("trouble", [dns.resolver.NXDOMAIN(), dns.exception.Timeout(), OSError("no network")])
def test_dns_that_says_nothing_is_no_hint(trouble):
    assert hints(Zone(example_org=trouble), domains=("example.org",)) == {}


@pytest.mark.parametrize(
    ("mixed", "fronts_speak", "is_said"),
    [("split", "smtp", True), ("reject", "smtp", False), ("split", "proxy", False)],
)
def test_fronts_may_have_taken_the_whole_letter(mixed, fronts_speak, is_said):
    said = hints(trusted_fronts=(ip_network("127.0.0.1/32"),), mixed=mixed, fronts_speak=fronts_speak)
    assert ("gate.mixed" in said) == is_said


@pytest.mark.parametrize("mode", ["bulk", "require"])
def test_a_gate_that_refuses_should_keep_copies_and_learn_whom_users_write_to(mode):
    assert set(hints(mode=mode)) == {"gate.quarantine", "gate.outgoing"}
    assert hints(mode=mode, quarantine=QuarantineSettings(), outgoing=OutgoingSettings()) == {}
    small = QuarantineSettings(max_size=199_999_999)
    assert set(hints(mode=mode, quarantine=small, outgoing=OutgoingSettings())) == {"gate.quarantine.max_size"}


def test_aliases_that_go_round_in_a_circle_or_stand_for_several_are_named():
    a, b = "a@example.org", "b@example.org"
    assert hints(aliases={a: (b,), b: ("c@example.org",)}) == {}
    assert hints(aliases={a: (b,)}, alias_maps=("b@example.org a@example.org\n",)) == {
        "gate.alias_maps": f"{a} leads to {b} leads to {a}, no circle: its mail arrives nowhere"
    }
    said = hints(alias_maps=("".join(f"all{n}@example.org {a}, {b}\n" for n in range(9)),))["gate.alias_maps"]
    assert said.startswith("all0@example.org, all1@example.org")
    assert "and others stand for several addresses, and a stamp pays one recipient" in said

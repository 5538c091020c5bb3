"""The usual numbers are the settings': no part of the gate has others of its own, whoever builds it."""

from dataclasses import MISSING, fields, replace

import msgspec
import pytest

from pennyred.config.settings import AllowanceSettings, GateSettings, OfficeSettings
from pennyred.gate.policy import GatePolicy
from pennyred.gate.rules.exemptions import Allowances
from pennyred.http.admission import Room
from pennyred.http.exchange import Deadlines
from pennyred.programs.gate_parts import gate_options, upstream_options
from pennyred.programs.policy import gate_policy

USUAL = GateSettings(hostname="gate.example.org")
NUMBERS = [one.name for one in msgspec.structs.fields(USUAL) if type(getattr(USUAL, one.name)) is int]
OTHER = msgspec.structs.replace(USUAL, **{name: getattr(USUAL, name) + 10 for name in NUMBERS})


def built(gate):
    [upstream] = upstream_options(gate)
    return gate_options(gate), upstream, upstream.deadlines


@pytest.mark.parametrize(("usual", "other"), [*zip(built(USUAL), built(OTHER), strict=True)])
def test_what_the_settings_say_has_no_second_default(usual, other):
    told = [one for one in fields(usual) if getattr(usual, one.name) != getattr(other, one.name)]
    assert told
    assert [one.name for one in told if one.default is not MISSING] == []


def test_what_a_policy_has_by_itself_is_what_the_settings_say(tmp_path):
    usual = msgspec.structs.replace(USUAL, state=tmp_path / "gate.db")
    told, alone = gate_policy(usual, {}), GatePolicy("gate.example.org", {})
    assert told == replace(alone, aliases=told.aliases)
    other = msgspec.structs.replace(usual, allowance=AllowanceSettings(1, 2, 3, 4, 5))
    assert gate_policy(other, {}).allowances == Allowances(1, 2, 3, 4, 5)


def test_a_gates_pages_which_have_no_settings_of_their_own_wait_as_long_as_the_api_does():
    usual = OfficeSettings("post.example.org")
    assert Room() == Room(usual.max_connections, usual.max_connections_per_network)
    assert Deadlines() == Deadlines(
        request_seconds=usual.request_timeout_seconds,
        body_seconds=usual.body_timeout_seconds,
        answer_seconds=usual.answer_timeout_seconds,
        keep_alive_seconds=usual.keep_alive_seconds,
    )

"""The SIZE that is announced leaves room for the gate's own fields, and follows the mail server's."""

import asyncio
from ipaddress import ip_network

import pytest
from tests.support.fake_upstream import KEYWORDS, FakeUpstream
from tests.support.smtp_gate import FakeDesk, Gate, eventually

from pennyred.config.settings import GateSettings, OutgoingSettings
from pennyred.gate.door.trace import received_field
from pennyred.gate.rules.authres import FINDINGS_MAX, PROPERTIES_MAX, authentication_results_field
from pennyred.gate.rules.origin import Finding, Result
from pennyred.gate.rules.passes import PASS_OCTETS_MAX, mint_pass
from pennyred.gate.smtp.spool import SpoolLimits
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.postage.reasons import Reason
from pennyred.programs.gate_parts import RESULTS_OCTETS_MAX, gate_options, outgoing_options

OTHERS = tuple(word for word in KEYWORDS if not word.startswith("SIZE"))


async def announced(gate: Gate) -> int:
    client = await gate.connect(hello=b"")
    await client.reply()
    hello = await client.say(b"EHLO client.example")
    [size] = [line[9:] for line in hello.split(b"\r\n") if line[4:].startswith(b"SIZE")]
    await client.close()
    return int(size)


@pytest.mark.parametrize(
    ("own", "upstream", "added", "expected"),
    [
        (50_000_000, "SIZE 10240000", 40_000, 10_200_000),
        (10_000_000, "SIZE 10240000", 40_000, 10_000_000),
        (10_220_000, "SIZE 10240000", 40_000, 10_200_000),
        (50_000_000, "SIZE 10240000", 0, 10_240_000),
        (50_000_000, "SIZE 70000", 40_000, 35_000),
        (50_000_000, "SIZE 0", 40_000, 50_000_000),
        (50_000_000, "SIZE", 40_000, 50_000_000),
    ],
)
def test_what_both_take_with_the_gates_fields_above_it(own, upstream, added, expected):
    async def story():
        spool, options = SpoolLimits(letter_bytes_max=own), {"added_octets": added}
        async with FakeUpstream((*OTHERS, upstream)) as server, Gate(server, spool=spool, options=options) as gate:
            assert await announced(gate) == expected

    asyncio.run(story())


def test_a_letter_of_the_announced_size_fits_with_the_fields():
    fields = b"X-Added: " + b"y" * 900 + b"\r\n"

    async def story():
        options = {"added_octets": 1000}
        desk = FakeDesk(fields=fields)
        async with FakeUpstream((*OTHERS, "SIZE 100000")) as server, Gate(server, desk, options=options) as gate:
            size = await announced(gate)
            head = b"Subject: x\r\n\r\n"
            letter = head + b"x" * (size - len(head) - 2) + b"\r\n"
            client = await gate.connect()
            assert (await client.say(b"MAIL FROM:<a@example.com> SIZE=%d" % size)).startswith(b"250")
            await client.say(b"RCPT TO:<b@example.org>")
            await client.say(b"DATA")
            client.send(letter)
            assert (await client.say(b".")).startswith(b"250")
            assert len(letter) == size
            assert len(server.letters[0].letter) <= 100_000

    asyncio.run(story())


def test_the_room_is_enough_for_the_longest_fields_there_can_be():
    properties = tuple((f"header.x{number}", '"' * 300) for number in range(PROPERTIES_MAX + 3))
    findings = [Finding("dkim", Result.TEMPERROR, properties)] * (FINDINGS_MAX + 3)
    results = authentication_results_field("m" * 253, [(reason, ()) for reason in Reason], findings)
    client = ClientIdentity("2001:db8::1", helo="h" * 3000, name="n" * 3000)
    date = "Sun, 22 Nov 2026 10:00:00 +0000"
    trace = received_field(client, "m" * 253, "UTF8SMTPS", "f" * 12, b"r" * 320, date)
    assert len(results) + len(trace) <= RESULTS_OCTETS_MAX
    assert len(mint_pass(b"k" * 32, bytes(32), 99_999)) <= PASS_OCTETS_MAX


def test_passes_are_counted_where_there_are_passes_and_outgoing_mail_is_as_it_was(tmp_path):
    plain, with_passes = GateSettings(), GateSettings(pass_key=tmp_path / "pass.key", max_recipients=100)
    assert gate_options(plain).added_octets == RESULTS_OCTETS_MAX
    assert gate_options(with_passes).added_octets == RESULTS_OCTETS_MAX + 100 * PASS_OCTETS_MAX
    outgoing = OutgoingSettings(networks=(ip_network("127.0.0.0/8"),))
    assert outgoing_options(with_passes, outgoing).added_octets == 0


@pytest.mark.parametrize("state", ["idle", "in use", "never asked"])
def test_what_the_mail_server_offers_is_asked_again_when_the_settings_are_reread(state):
    async def story():
        async with FakeUpstream((*OTHERS, "SIZE 1000000")) as server, Gate(server) as gate:
            client = await gate.connect()
            if state != "never asked":
                assert await announced(gate) == 1_000_000
                await client.envelope()
            if state == "idle":
                await client.say(b"RSET")
                await eventually(lambda: gate.pool.idle_count == 1)
            server.keywords = (*OTHERS, "SIZE 2000000")
            gate.pool.relearn()
            await eventually(lambda: gate.pool.capabilities and gate.pool.capabilities.size_max == 2_000_000)
            assert await announced(gate) == 2_000_000
            if state == "in use":
                await client.say(b"DATA")
                client.send(b"Subject: x\r\n\r\nhello\r\n")
                assert (await client.say(b".")).startswith(b"250")
            assert await announced(gate) == 2_000_000
            assert (await client.mail()).startswith(b"250")
            assert gate.pool.idle_count <= 2

    asyncio.run(story())


def test_while_the_mail_server_does_not_answer_what_was_known_counts():
    async def story():
        async with FakeUpstream((*OTHERS, "SIZE 1000000")) as server, Gate(server) as gate:
            assert await announced(gate) == 1_000_000
            await server.stop()
            gate.pool.relearn()
            await eventually(lambda: gate.pool.status()[0].is_up is False)
            assert gate.pool.capabilities.size_max == 1_000_000

    asyncio.run(story())


def test_a_client_that_comes_while_the_mail_server_is_being_asked_waits_for_what_it_says():
    """As the first one of a new worker does, which looks by itself whether the mail server is there."""

    async def story():
        async with FakeUpstream((*OTHERS, "SIZE 1000000")) as server, Gate(server) as gate:
            may_greet = asyncio.Event()
            server.answers[b"220"].append((may_greet, b"220 upstream.example.org ESMTP\r\n"))
            gate.pool.look()
            await eventually(lambda: server.open_count == 1)
            asking = asyncio.ensure_future(announced(gate))
            await eventually(lambda: gate.server.sessions == 1)
            may_greet.set()
            assert await asking == 1_000_000
            assert gate.pool.open_count == 1

    asyncio.run(story())

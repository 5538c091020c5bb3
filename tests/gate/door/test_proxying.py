"""PROXY from a front: what it tells is the client, and nobody else may tell it."""

import asyncio
import contextlib
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_upstream import FakeUpstream
from tests.support.smtp_gate import Gate, eventually

from pennyred.gate.door import arrival
from pennyred.gate.door.proxying import MalformedHeader, parse_header
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.gate.upstream.xclient import proxy_header

V1 = b"PROXY TCP4 198.51.100.7 192.0.2.25 40000 25\r\n"
V2 = proxy_header(ClientIdentity("198.51.100.7", 40000, destination="192.0.2.25", destination_port=25))
LOCAL = proxy_header(None)
PEER = ("198.51.100.7", 40000, "192.0.2.25", 25)
ON_LOOPBACK = (ip_network("127.0.0.0/8"),)


def unmapped(address):
    return getattr(address, "ipv4_mapped", None) or address


@given(st.ip_addresses().map(unmapped), st.integers(0, 65535), st.ip_addresses().map(unmapped), st.binary(max_size=50))
def test_what_is_told_is_heard(address, port, target, rest):
    """Never in another family than the client's: a destination of the other one is not told."""
    client = ClientIdentity(str(address), port, destination=str(target), destination_port=25)
    header = proxy_header(client)
    peer, octets = parse_header(header + rest)
    assert header[13] == {4: 0x11, 6: 0x21}[address.version]
    assert (peer.address, peer.port, octets) == (str(address), port, len(header))
    is_told = target.version == address.version
    anywhere = "0.0.0.0" if address.version == 4 else "::"
    assert (peer.destination, peer.destination_port) == ((str(target), 25) if is_told else (anywhere, 0))


@pytest.mark.parametrize(
    ("address", "family"), [("198.51.100.7", 0x11), ("::ffff:198.51.100.7", 0x11), ("2001:db8::7", 0x21)]
)
def test_a_client_of_unknown_destination_keeps_its_family(address, family):
    header = proxy_header(ClientIdentity(address))
    assert header[13] == family
    assert b"\xff\xff" not in header


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (V1, PEER),
        (b"PROXY TCP6 2001:db8::7 2001:db8::25 1 25\r\n", ("2001:db8::7", 1, "2001:db8::25", 25)),
        (b"PROXY TCP6 ::ffff:198.51.100.7 ::1 1 25\r\n", ("198.51.100.7", 1, "::1", 25)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff:f...f:ffff whatever 65535 65535\r\n", None),
        (V2, PEER),
        (V2[:14] + b"\x00\x10" + V2[16:] + b"\x20\x00\x01x", PEER),
        (LOCAL, None),
        (V2[:13] + b"\x31\x00\xd8" + bytes(216), None),
    ],
    ids=[
        "v1",
        "v1 IPv6",
        "v1 mapped",
        "v1 unknown",
        "v1 unknown with more",
        "v2",
        "v2 with a TLV",
        "v2 local",
        "v2 unix",
    ],
)
def test_every_kind_is_read_once_it_has_come_whole(header, peer):
    for end in range(len(header)):
        assert parse_header(header[:end]) is None
    assert parse_header(header + b"EHLO x\r\n") == (peer, len(header))


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO x\r\n",
        b"PROXY TCP4 198.51.100.7 192.0.2.25 40000\r\n",
        b"PROXY TCP4 198.51.100.7 192.0.2.25 99999 25\r\n",
        b"PROXY TCP4 2001:db8::7 192.0.2.25 1 25\r\n",
        b"PROXY TCP4 198.51.100.777 192.0.2.25 1 25\r\n",
        b"PROXY TCP4  198.51.100.7 192.0.2.25 1 25\r\n",
        b"PROXY UDP4 198.51.100.7 192.0.2.25 1 25\r\n",
        b"PROXY TCP4 198.51.100.7 192.0.2.25 1 25\n" + b" " * 100,
        b"PROXY UNKNOWNS\r\n",
        b"PROXY " + b"x" * 200,
        V2[:12] + b"\x11" + V2[13:],
        V2[:12] + b"\x22" + V2[13:],
        V2[:14] + b"\x00\x08" + bytes(8),
        V2[:14] + b"\xff\xff",
    ],
)
def test_what_is_none_is_named_as_soon_as_that_is_certain(header):
    with pytest.raises(MalformedHeader):
        parse_header(header)


def story_of(story, **options):
    async def whole():
        options.setdefault("trusted_fronts", ON_LOOPBACK)
        async with FakeUpstream() as upstream, Gate(upstream, options={"is_proxied": True} | options) as gate:
            await story(gate)
        return gate

    return asyncio.run(whole())


async def raw_client(gate):
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    return reader, writer


@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("piece", [1, 1000])
def test_a_client_is_who_its_front_says(header, piece):
    async def story(gate):
        reader, writer = await raw_client(gate)
        said = header + b"EHLO c.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
        for start in range(0, len(said), piece):
            writer.write(said[start : start + piece])
            await writer.drain()
        writer.write(b"Subject: x\r\n\r\n.\r\nQUIT\r\n")
        heard = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        assert heard.startswith(b"220 ")
        assert b"XCLIENT" not in heard, "it is a client, and no front"
        [envelope] = gate.desk.envelopes
        assert (envelope.source_ip, envelope.source_known) == ("198.51.100.7", True)

    story_of(story)


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
def test_a_health_check_is_greeted_as_the_front_itself(header):
    async def story(gate):
        reader, writer = await raw_client(gate)
        writer.write(header + b"QUIT\r\n")
        assert [line[:3] for line in (await asyncio.wait_for(reader.read(), 20)).splitlines()] == [b"220", b"221"]
        writer.close()

    story_of(story)


@pytest.mark.parametrize("said", [b"EHLO c.example\r\n", b"PROXY TCP4 nonsense\r\n", V2[:12] + b"\x99" * 10])
def test_a_front_without_a_header_hears_nothing(said):
    async def story(gate):
        reader, writer = await raw_client(gate)
        writer.write(said)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        assert not gate.server.sessions

    story_of(story)


def test_a_front_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(arrival, "HEADER_SECONDS_MAX", 0.05)

    async def story(gate):
        reader, writer = await raw_client(gate)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.close()

    story_of(story)


@pytest.mark.parametrize("header", [V1, V2])
def test_from_anybody_else_it_is_a_line_like_any_other(header):
    async def story(gate):
        client = await gate.connect()
        client.send(header)
        assert (await client.reply()).startswith(b"500")
        client.send(b"QUIT\r\n")
        await client.rest()
        await eventually(lambda: not gate.server.sessions)
        assert gate.desk.envelopes == []

    story_of(story, trusted_fronts=(ip_network("192.0.2.0/24"),))
    story_of(story, is_proxied=False)


def test_fronts_that_are_said_to_speak_proxy_from_now_on_are_not_taken_for_ones_that_speak_xclient():
    """What comes through such a front is its clients' own words: by XCLIENT anybody could be anybody."""

    async def story(gate):
        gate.server.replace_rules(replace(gate.server._house.options, is_proxied=True, trusted_fronts=ON_LOOPBACK))
        reader, writer = await raw_client(gate)
        writer.write(b"EHLO c.example\r\nXCLIENT ADDR=192.0.2.77\r\nQUIT\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()

    story_of(story, is_proxied=False, trusted_fronts=())

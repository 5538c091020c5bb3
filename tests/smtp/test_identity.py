"""Who the client is: what trusted fronts tell, what the mail server is told, and that nobody else is believed."""

import asyncio
import contextlib
from ipaddress import ip_network

import pytest
from fake_upstream import FakeUpstream
from hypothesis import given
from hypothesis import strategies as st
from smtp_gate import Gate

from pennyred.smtp.identity import (
    ClientIdentity,
    MalformedIdentity,
    parse_attributes,
    plain_address,
    proxy_header,
    told_of,
    xclient_command,
)

LOOPBACK = {"trusted_fronts": (ip_network("127.0.0.0/8"),)}
ALL = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN")


def test_attributes_are_read_as_postfix_writes_them():
    assert parse_attributes(b"NAME=spike.example ADDR=192.0.2.1 PORT=25 PROTO=esmtp HELO=a+2Bb") == {
        "NAME": "spike.example", "ADDR": "192.0.2.1", "PORT": "25", "PROTO": "ESMTP", "HELO": "a+b",
    }  # fmt: skip
    assert parse_attributes(b"addr=IPV6:2001:DB8:0::1") == {"ADDR": "2001:db8::1"}
    assert parse_attributes(b"NAME=[UNAVAILABLE] ADDR=[unavailable] HELO=[TEMPUNAVAIL]") == {
        "NAME": None, "ADDR": None, "HELO": None,
    }  # fmt: skip
    assert parse_attributes(b"LOGIN=x DESTADDR=192.0.2.1 IDENT=1234 SOURCE=REMOTE") == {}


@pytest.mark.parametrize(
    "argument",
    [
        b"", b"ADDR", b"ADDR=", b"ADDR=300.1.1.1", b"ADDR=host.example", b"PORT=70000", b"PORT=-1",
        b"PROTO=HTTP", b"FOO=bar", b"HELO=a+0Db", b"NAME=" + b"x" * 300, b"HELO=x " * 100,
    ],
)  # fmt: skip
def test_other_attributes_are_refused(argument):
    with pytest.raises(MalformedIdentity):
        parse_attributes(argument)


@given(st.binary(max_size=300))
def test_any_argument_is_read_or_refused(argument):
    with contextlib.suppress(MalformedIdentity):
        told_of(ClientIdentity("192.0.2.1"), parse_attributes(argument))


@given(
    st.text(max_size=60).filter(lambda text: text.isprintable() and text), st.sampled_from(["192.0.2.7", "2001:db8::7"])
)
def test_what_is_told_is_what_is_understood(helo, address):
    client = ClientIdentity(address, helo=helo, name="h.example", protocol="SMTP")
    line = xclient_command(client, ALL)
    assert line.startswith(b"XCLIENT ")
    assert len(line) <= 510
    assert line.rpartition(b" ")[2].startswith(b"ADDR=")
    attributes = parse_attributes(line.removeprefix(b"XCLIENT "))
    if attributes["HELO"] is not None:
        assert told_of(ClientIdentity(""), attributes) == client


def test_a_name_that_cannot_be_known_now_is_said_to_be_so():
    assert b"NAME=[TEMPUNAVAIL] " in xclient_command(ClientIdentity("192.0.2.1", name=None), ALL)


def test_mapped_addresses_are_what_they_map():
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("fe80::1%eth0") == "fe80::1"


def test_proxy_headers_follow_the_protocol():
    mixed = proxy_header(ClientIdentity("2001:db8::1", 5), ("192.0.2.1", 25))
    assert mixed[12:16] == b"\x21\x21\x00\x24"
    assert len(mixed) == 16 + 36
    assert mixed[-4:] == b"\x00\x05\x00\x19"
    assert proxy_header(None, ("192.0.2.1", 25))[12:] == b"\x20\x00\x00\x00"


def test_xforward_of_a_trusted_front_holds_for_one_transaction():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options=LOOPBACK) as gate:
            client = await gate.connect(b"")
            await client.reply()
            hello = await client.say(b"EHLO front.example")
            assert b"XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n" in hello
            assert b"XCLIENT NAME ADDR PORT PROTO HELO\r\n" in hello
            line = b"XFORWARD NAME=spam.example ADDR=203.0.113.9 PORT=4711 PROTO=SMTP HELO=spam"
            assert (await client.say(line)).startswith(b"250")
            assert (await client.mail()).startswith(b"250")
            assert (await client.mail()).startswith(b"250")
            told, untold = gate.desk.envelopes
            assert (told.source_ip, told.source_known, told.helo) == ("203.0.113.9", True, "spam")
            assert told.client_name == "spam.example"
            assert (untold.source_ip, untold.source_known) == ("127.0.0.1", False)
            xclients = [line for line in upstream.commands if line.startswith(b"XCLIENT")]
            assert xclients[0].endswith(
                b"NAME=spam.example PORT=[UNAVAILABLE] PROTO=SMTP HELO=spam ADDR=203.0.113.9\r\n"
            )
            assert b"ADDR=127.0.0.1" in xclients[1]

    asyncio.run(story())


def test_a_front_that_tells_only_the_address_lends_nobody_its_own_name():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options=LOOPBACK) as gate:
            client = await gate.connect(b"EHLO front.example")
            await client.say(b"XFORWARD ADDR=203.0.113.9")
            await client.mail()
            assert gate.desk.envelopes[0].helo == ""
            await client.say(b"XFORWARD ADDR=[UNAVAILABLE]")
            await client.mail()
            assert not gate.desk.envelopes[1].source_known

    asyncio.run(story())


def test_xclient_of_a_trusted_front_begins_the_session_anew():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options=LOOPBACK) as gate:
            client = await gate.connect(b"EHLO front.example")
            await client.envelope()
            assert (await client.say(b"XCLIENT ADDR=IPV6:2001:db8::9")).startswith(b"503")
            await client.say(b"RSET")
            assert (await client.say(b"XCLIENT NAME=c.example ADDR=IPV6:2001:db8::9")).startswith(b"220")
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"503")
            assert (await client.say(b"EHLO c.example")).startswith(b"250")
            await client.mail()
            await client.mail()
            assert {(e.source_ip, e.source_known, e.helo) for e in gate.desk.envelopes} == {
                ("2001:db8::9", True, "c.example")
            }

    asyncio.run(story())


def test_malformed_attributes_are_refused_and_change_nothing():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options=LOOPBACK) as gate:
            client = await gate.connect()
            assert (await client.say(b"XCLIENT ADDR=nonsense")).startswith(b"501")
            assert (await client.mail()).startswith(b"250")
            assert not gate.desk.envelopes[0].source_known

    asyncio.run(story())


def test_names_are_looked_up_where_no_front_tells_them():
    asked = []

    async def lookup(address):
        asked.append(address)
        return "c.example.net"

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, name_lookup=lookup) as gate:
            client = await gate.connect()
            await client.mail()
            await client.mail()
            assert asked == ["127.0.0.1"]
            assert gate.desk.envelopes[0].client_name == "c.example.net"
            assert any(b"NAME=c.example.net" in line for line in upstream.commands)

    asyncio.run(story())

"""Who the client is: what trusted fronts tell, what the mail server is told, and that nobody else is believed."""

import asyncio
import contextlib
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_upstream import FakeUpstream
from tests.support.smtp_gate import Gate

from pennyred.gate.letterbox import HostName
from pennyred.gate.upstream.identity import ClientIdentity, MalformedIdentity, parse_attributes, plain_address, told_of
from pennyred.gate.upstream.xclient import is_host_name, xclient_commands, xforward_commands

LOOPBACK = {"trusted_fronts": (ip_network("127.0.0.0/8"),)}
ALL = frozenset(("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT", "REVERSE_NAME"))


def test_attributes_are_read_as_postfix_writes_them():
    assert parse_attributes(b"NAME=spike.example ADDR=192.0.2.1 PORT=25 PROTO=esmtp HELO=a+2Bb") == {
        "NAME": "spike.example", "ADDR": "192.0.2.1", "PORT": "25", "PROTO": "ESMTP", "HELO": "a+b",
    }  # fmt: skip
    assert parse_attributes(b"addr=IPV6:2001:DB8:0::1") == {"ADDR": "2001:db8::1"}
    assert parse_attributes(b"NAME=[UNAVAILABLE] ADDR=[unavailable] HELO=[TEMPUNAVAIL]") == {
        "NAME": "", "ADDR": None, "HELO": None,
    }  # fmt: skip
    assert parse_attributes(b"NAME=[TEMPUNAVAIL] REVERSE_NAME=a.example") == {"NAME": None, "REVERSE_NAME": "a.example"}
    assert parse_attributes(b"LOGIN=x DESTADDR=IPV6:::1 DESTPORT=25 IDENT=1234 SOURCE=REMOTE") == {
        "LOGIN": "x", "DESTADDR": "::1", "DESTPORT": "25",
    }  # fmt: skip


@pytest.mark.parametrize(
    "argument",
    [
        b"", b"ADDR", b"ADDR=", b"ADDR=300.1.1.1", b"ADDR=host.example", b"PORT=70000", b"PORT=-1",
        b"PROTO=HTTP", b"FOO=bar", b"HELO=a+0Db", b"DESTPORT=x", b"DESTADDR=here", b"NAME=" + b"x" * 300, b"HELO=x " * 100,
    ],
)  # fmt: skip
def test_other_attributes_are_refused(argument):
    with pytest.raises(MalformedIdentity):
        parse_attributes(argument)


@given(st.binary(max_size=300))
def test_any_argument_is_read_or_refused(argument):
    with contextlib.suppress(MalformedIdentity):
        told_of(ClientIdentity("192.0.2.1"), parse_attributes(argument))


words = st.text(max_size=60).filter(lambda text: text.isprintable() and text)
labels = st.from_regex(r"[a-z]([a-z0-9_-]{0,61}[a-z0-9])?", fullmatch=True)
host_names = st.lists(labels, min_size=1, max_size=4).map(".".join).filter(lambda name: len(name) <= 255)


@given(words, words, host_names, host_names, st.sampled_from([("192.0.2.7", "192.0.2.1"), ("2001:db8::7", "::1")]))
def test_what_is_told_is_what_is_understood(helo, login, name, reverse, ends):
    address, destination = ends
    client = ClientIdentity(
        address, 0, helo, name, "SMTP", reverse, is_reverse_known=True, login=login, destination=destination,
        destination_port=25,
    )  # fmt: skip
    lines = xclient_commands(client, ALL)
    understood = {}
    for line in lines:
        assert line.startswith(b"XCLIENT ")
        assert len(line) <= 510
        assert line is lines[-1] or b"ADDR=" not in line
        understood |= parse_attributes(line.removeprefix(b"XCLIENT "))
    assert lines[-1].rpartition(b" ")[2].startswith(b"ADDR=")
    if None not in (understood["HELO"], understood["LOGIN"]):
        assert told_of(ClientIdentity(""), understood) == client


def test_names_too_long_for_one_line_go_ahead_and_the_address_comes_last():
    name, reverse = (".".join([letter * 63] * 4) for letter in "ab")
    client = ClientIdentity("192.0.2.7", 0, "h" * 150, name, reverse_name=reverse, is_reverse_known=True)
    first, second, last = xclient_commands(client, ALL)
    assert first == b"XCLIENT NAME=" + name.encode()
    assert second == b"XCLIENT REVERSE_NAME=" + reverse.encode()
    assert last.endswith(b" ADDR=192.0.2.7")


def test_a_destination_of_another_family_than_the_clients_is_not_told():
    """A Postfix without IPv6 would understand nothing of an IPv4 client for it."""
    [line] = xclient_commands(ClientIdentity("192.0.2.7", destination="2001:db8::25", destination_port=25), ALL)
    assert b"DESTADDR=[UNAVAILABLE] DESTPORT=[UNAVAILABLE] ADDR=192.0.2.7" in line


def test_only_what_a_mail_server_takes_is_told():
    client = ClientIdentity("192.0.2.7", 4711, "h.example", "n.example", login="ann", destination="192.0.2.1")
    assert xclient_commands(client, frozenset(("ADDR", "PROTO", "TTL"))) == (b"XCLIENT PROTO=ESMTP ADDR=192.0.2.7",)
    assert xforward_commands(client, frozenset(("ADDR",))) == [b"XFORWARD ADDR=192.0.2.7"]


def test_a_name_that_cannot_be_known_now_is_said_to_be_so():
    [line] = xclient_commands(
        ClientIdentity("192.0.2.1", name=None, reverse_name="r.example", is_reverse_known=True), ALL
    )
    assert b"NAME=[TEMPUNAVAIL] REVERSE_NAME=r.example " in line


def test_a_reverse_name_that_nobody_has_looked_for_is_not_told():
    assert b"REVERSE_NAME" not in xclient_commands(ClientIdentity("192.0.2.1"), ALL)[0]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("mail.example.org", True), ("a_b.example", True), ("a", True), ("1-2.example", True), ("a.1", True),
        ("x" * 63, True), ("", False), ("-a.example", False), ("a-.example", False), ("a.-b", False), ("1.2.3.4", False),
        ("a..b", False), (".a", False), ("a.", False), ("x" * 64, False), ("a\\032b", False), ("ä.example", False),
        ("*.example", False), ("a.example\n", False), (".".join(["x" * 63] * 5), False),
    ],
)  # fmt: skip
def test_what_postfix_takes_for_no_host_name_is_told_as_none(name, is_one):
    """It would refuse the whole command, and whoever writes "-x" into his PTR record would hear "later" for ever."""
    assert is_host_name(name) == is_one
    [line] = xclient_commands(ClientIdentity("192.0.2.1", name=name), frozenset(("NAME", "ADDR")))
    assert line == b"XCLIENT NAME=%b ADDR=192.0.2.1" % (name.encode() if is_one else b"[UNAVAILABLE]")


def test_mapped_addresses_are_what_they_map():
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("fe80::1%eth0") == "fe80::1"


def test_xforward_of_a_trusted_front_holds_for_one_transaction():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options=LOOPBACK) as gate:
            client = await gate.connect(b"")
            await client.reply()
            hello = await client.say(b"EHLO front.example")
            assert b"XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n" in hello
            assert b"XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME\r\n" in hello
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
        return HostName("c.example.net", "c.example.net")

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, name_lookup=lookup) as gate:
            client = await gate.connect()
            await client.mail()
            await client.mail()
            assert asked == ["127.0.0.1"]
            assert gate.desk.envelopes[0].client_name == "c.example.net"
            assert any(b"NAME=c.example.net" in line for line in upstream.commands)

    asyncio.run(story())

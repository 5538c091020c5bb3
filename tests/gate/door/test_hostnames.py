"""A client's name is believed only where it leads back to the client."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from pennyred.gate.door.hostnames import HostNames
from pennyred.gate.letterbox import HostName

ZONE = {
    ("1.2.0.192.in-addr.arpa.", "PTR"): ["mail.example.org."],
    ("mail.example.org.", "A"): ["192.0.2.1"],
    ("2.2.0.192.in-addr.arpa.", "PTR"): ["mail.example.org."],
    ("3.2.0.192.in-addr.arpa.", "PTR"): ["nowhere.example.org."],
    ("4.2.0.192.in-addr.arpa.", "PTR"): ["wrong.example.org.", "MX.example.org."],
    ("wrong.example.org.", "A"): ["192.0.2.99"],
    ("mx.example.org.", "A"): ["192.0.2.98", "192.0.2.4"],
    ("6.2.0.192.in-addr.arpa.", "PTR"): ["silent.example.org."],
    ("7.2.0.192.in-addr.arpa.", "PTR"): ["silent.example.org.", "named.example.org."],
    ("named.example.org.", "A"): ["192.0.2.7"],
}
SERVFAIL = ("9.2.0.192.in-addr.arpa.", "silent.example.org.")


@pytest.fixture
def resolver() -> Iterator[tuple[dns.asyncresolver.Resolver, list[str]]]:
    """A resolver of a real server on loopback, and what that server was asked."""
    asked: list[str] = []
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            query, client = server.recvfrom(4096)
            if not query:
                return
            message = dns.message.from_wire(query)
            [question] = message.question
            name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
            asked.append(f"{name} {kind}")
            answer = dns.message.make_response(message)
            records = ZONE.get((name, kind))
            if name in SERVFAIL:
                answer.set_rcode(dns.rcode.SERVFAIL)
            elif records:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
            else:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            server.sendto(answer.to_wire(), client)

    thread = threading.Thread(target=serve)
    thread.start()
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = server.getsockname()[1]
    resolver.lifetime = 5
    yield resolver, asked
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.sendto(b"", server.getsockname())
    thread.join()
    server.close()


@pytest.mark.parametrize(
    ("address", "verified", "reverse"),
    [
        ("192.0.2.1", "mail.example.org", "mail.example.org"),
        ("192.0.2.2", "", "mail.example.org"),
        ("192.0.2.3", "", "nowhere.example.org"),
        ("192.0.2.4", "mx.example.org", "mx.example.org"),
        ("192.0.2.5", "", ""),
        ("192.0.2.6", None, "silent.example.org"),
        ("192.0.2.7", "named.example.org", "named.example.org"),
        ("192.0.2.9", None, None),
        ("127.0.0.1", "localhost", "localhost"),
        ("::1", "localhost", "localhost"),
        ("unix socket", None, None),
    ],
)
def test_the_name_is_verified(resolver, address, verified, reverse):
    """PTR and A agree: the name; they do not, or there is none: empty; no answer: not known now."""
    assert asyncio.run(HostNames(resolver[0]).lookup(address)) == HostName(verified, reverse)


def test_an_address_is_asked_about_once(resolver):
    async def ask() -> None:
        names = HostNames(resolver[0])
        await asyncio.gather(*(names.lookup("192.0.2.1") for _ in range(10)))
        await names.lookup("192.0.2.1")

    asyncio.run(ask())
    assert len(resolver[1]) == 2


def test_the_memory_of_names_is_bounded(resolver, monkeypatch):
    monkeypatch.setattr("pennyred.gate.door.hostnames.NAMES_MAX", 2)

    async def ask() -> int:
        names = HostNames(resolver[0])
        for last in (1, 2, 3, 4):
            await names.lookup(f"192.0.2.{last}")
        return len(names._known)

    assert asyncio.run(ask()) == 2


def test_addresses_without_a_name_push_out_none_that_has_one(resolver, monkeypatch):
    """Whoever has a network has more of them than any memory."""
    monkeypatch.setattr("pennyred.gate.door.hostnames.NAMES_MAX", 8)
    server, asked = resolver

    async def ask() -> None:
        names = HostNames(server)
        assert (await names.lookup("192.0.2.1")).verified == "mail.example.org"
        for last in range(100, 200):
            assert (await names.lookup(f"192.0.2.{last}")).verified == ""
        assert (await names.lookup("192.0.2.1")).verified == "mail.example.org"

    asyncio.run(ask())
    assert asked.count("1.2.0.192.in-addr.arpa. PTR") == 1

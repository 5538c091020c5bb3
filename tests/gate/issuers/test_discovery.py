"""An office's key in DNS: there, not there, or not to be known now; asked of a real server on loopback."""

import asyncio
from collections.abc import Mapping

import dns.asyncresolver
import dns.exception
import dns.message
import dns.rcode
import dns.rrset
import pytest

from pennyred.gate.issuers.discovery import find_key, key_name
from pennyred.postage.errors import Unavailable
from pennyred.postage.keyrecord import format_key_record
from pennyred.postage.signing import SigningKey

PUBLIC = SigningKey.from_seed(b"\x01" * 32).public
RECORD = format_key_record(PUBLIC)
NAME = key_name("post.example.org", "s1") + "."


class NameServer(asyncio.DatagramProtocol):
    """Answers TXT questions from a table; a number is a response code, None is silence."""

    def __init__(self, table: Mapping[str, list[str] | dns.rcode.Rcode | None]) -> None:
        self.table = table

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, client):
        query = dns.message.from_wire(data)
        [question] = query.question
        said = self.table.get(question.name.to_text(), dns.rcode.NXDOMAIN)
        if said is None:
            return
        answer = dns.message.make_response(query)
        if isinstance(said, list):
            if said:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", *said))
        else:
            answer.set_rcode(said)
        self.transport.sendto(answer.to_wire(), client)


def found(said: list[str] | dns.rcode.Rcode | None, selector: str = "s1") -> bytes | None:
    """What `find_key` makes of an answer."""

    async def ask() -> bytes | None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: NameServer({NAME: said}), ("127.0.0.1", 0))
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = transport.get_extra_info("sockname")[1]
        try:
            return await find_key("post.example.org", selector, resolver)
        finally:
            transport.close()

    return asyncio.run(ask())


def test_the_key_that_is_published_is_found():
    assert found([f'"{RECORD}"']) == PUBLIC


def test_a_record_in_several_strings_is_one_text():
    assert found([f'"{RECORD[:20]}" "{RECORD[20:]}"']) == PUBLIC


def test_what_else_stands_there_is_passed_over():
    assert found(['"v=spf1 -all"', '"\\255\\254"', f'"{RECORD}"']) == PUBLIC


@pytest.mark.parametrize(
    "said", [dns.rcode.NXDOMAIN, [], ['"v=spf1 -all"'], ['"v=pennyred1; k=ed25519; p="']],
    ids=["no such name", "no such record", "another record", "withdrawn"],
)  # fmt: skip
def test_no_record_means_no_key(said):
    assert found(said) is None


def test_another_selector_is_another_key():
    assert found([f'"{RECORD}"'], selector="s2") is None


@pytest.mark.parametrize("said", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, None], ids=["servfail", "refused", "silence"])
def test_dns_that_does_not_answer_means_later(said, monkeypatch):
    monkeypatch.setattr("pennyred.gate.issuers.discovery.LIFETIME_SECONDS", 0.3)

    with pytest.raises(Unavailable):
        found(said)


def test_a_machine_that_has_no_dns_at_all_means_later(monkeypatch):
    def unconfigured():
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr("dns.asyncresolver.Resolver", unconfigured)

    with pytest.raises(Unavailable):
        asyncio.run(find_key("post.example.org", "s1"))


@pytest.mark.parametrize("domain", [".".join(["a" * 60] * 4), "a" * 64 + ".example", "a..example"])
def test_a_name_that_cannot_exist_has_no_key_and_is_not_asked_for(domain):
    nobody = dns.asyncresolver.Resolver(configure=False)

    assert asyncio.run(find_key(domain, "s" * 63, nobody)) is None

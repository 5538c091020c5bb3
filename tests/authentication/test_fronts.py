"""What a named front says is believed, where a front has brought the letter, and nobody else's word is."""

import pytest
from authenticating import LETTER, authenticate, envelope, results
from dns_server import DnsServer

from pennyred.authentication import fronts

SAID = b"Authentication-Results: mx.example.net; spf=pass (ok) smtp.mailfrom=x@a.example.org;\r\n\tdkim=pass header.d=example.org header.b=abc; dmarc=pass (p=none) header.from=example.org\r\n"


@pytest.fixture(scope="module")
def server():
    with DnsServer({"example.org": {"TXT": ["v=spf1 -all"]}}) as server:
        yield server


def brought(server, letter, *, is_from_front=True, named=("MX.example.net",)):
    return authenticate(server, letter, envelope(is_from_front=is_from_front), trusted_fronts=named)


def test_a_named_front_is_believed_and_the_dns_is_not_asked(server):
    before = server.asked_in_all
    found = brought(server, SAID + LETTER)
    assert server.asked_in_all == before
    assert found.domains == {"a.example.org", "example.org"}
    assert (found.sender_domain, found.author_domain, found.organisation) == (
        "a.example.org",
        "example.org",
        "example.org",
    )
    assert [results(found, method) for method in ("spf", "dkim", "dmarc")] == [["pass"]] * 3


@pytest.mark.parametrize("setting", [{"is_from_front": False}, {"named": ()}, {"named": ("other.example",)}])
def test_nobody_else_is_believed(server, setting):
    found = brought(server, SAID + LETTER, **setting)
    assert not found.domains
    assert results(found, "spf") == ["fail"]


def test_results_below_the_second_hop_are_not_the_fronts(server):
    hops = b"Received: from x by mx.example.net\r\nReceived: from y by x\r\n"
    assert not brought(server, hops + SAID + LETTER).domains
    assert brought(server, hops[: len(hops) // 2 + 2].partition(b"\r\n")[0] + b"\r\n" + SAID + LETTER).domains


def test_a_front_may_have_written_several_fields(server):
    fields = b"".join(
        b"Authentication-Results: mx.example.net; %s\r\n" % one
        for one in (
            b"spf=pass smtp.mailfrom=a.example.org",
            b"dkim=pass header.i=@b.example.org",
            b"dkim=fail header.d=c.example",
        )
    )
    assert brought(server, fields + LETTER).domains == {"a.example.org", "b.example.org"}


@pytest.mark.parametrize(
    ("said", "author"),
    [
        (b"dmarc=pass header.from=example.org", "example.org"),
        (b"dmarc=pass header.from=other.example", ""),
        (b"dmarc=fail header.from=example.org", ""),
        (b"dkim=pass header.d=example.org", "example.org"),
        (b"dkim=pass header.d=a.example.org", ""),
        (b"spf=pass smtp.mailfrom=example.org", "example.org"),
        (b"spf=pass smtp.helo=example.org", "example.org"),
        (b"spf=softfail smtp.mailfrom=example.org", ""),
        (b"none", ""),
    ],
)
def test_the_author_is_proven_by_dmarc_or_by_the_same_domain(server, said, author):
    found = brought(server, b"Authentication-Results: mx.example.net; " + said + b"\r\n" + LETTER)
    assert (found.author_domain, found.is_unsure) == (author, False)
    assert results(found, "spf") in ([], ["pass"])


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"mx.example.net",
        b"mx.example.net; spf",
        b"mx.example.net 2; spf=pass smtp.mailfrom=example.org",
        b"mx.example.net; spf=pass smtp.mailfrom=example.org; (((",
        b"mx.example.net; " + b"(" * 5000,
        b"mx.example.net; spf=pass " + b"smtp. " * 1000,
        b"mx.example.net; spf=pass smtp.mailfrom=example.org; " + b"x=y;" * 4000,
        b"\xff\xfe; spf=pass smtp.mailfrom=example.org",
    ],
)
def test_what_cannot_be_read_is_not_believed(server, value):
    found = brought(server, b"Authentication-Results: " + value + b"\r\n" + LETTER)
    assert not found.author_domain


def test_a_few_fields_of_a_front_are_read_and_no_more(server, monkeypatch):
    read = []
    monkeypatch.setattr(fronts, "read_claims", read.append)
    many = b"Authentication-Results: mx.example.net; spf=pass\r\n" * 50
    others = b"Authentication-Results: mx.other.example; spf=pass\r\n" * 10
    brought(server, others + many + LETTER)
    assert len(read) == fronts.FIELDS_MAX

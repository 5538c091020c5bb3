"""What a named front says is believed, where a front has brought the letter, and nobody else's word is."""

import pytest
from tests.support.authenticating import LETTER, authenticate, envelope, results
from tests.support.dns_server import DnsServer

from pennyred.gate.authentication import fronts

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


def test_what_cannot_be_read_hides_nothing_beside_it(server):
    said = b"Authentication-Results: mx.example.net;\r\n\tiprev=pass (x) smtp.remote-ip=2001:db8::7;\r\n\t???;\r\n"
    found = brought(server, said + b"\tdkim=pass header.d=example.org;\r\n" + LETTER)
    assert (found.author_domain, found.domains) == ("example.org", {"example.org"})


def test_of_many_signers_the_author_is_one_of_those_that_count(server):
    others = b"".join(b"dkim=pass header.d=d%d.example; " % number for number in range(20))
    said = b"Authentication-Results: mx.example.net; " + others + b"dkim=pass header.d=example.org\r\n"
    found = brought(server, said + LETTER)
    assert found.author_domain == "example.org"
    assert len(found.domains) == 5


def test_the_newest_fields_count_where_older_ones_may_be_forged(server):
    forged = b"Received: from x by mx.example.net; today\r\n" + SAID
    newest = b"Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=evil.example\r\n"
    assert brought(server, newest + forged + LETTER).domains == {"evil.example"}
    assert brought(server, forged + LETTER).author_domain == "example.org", "as milters of Postfix write it"


def test_an_author_whose_dmarc_has_passed_and_failed_is_not_proven(server):
    said = b"Authentication-Results: mx.example.net; dmarc=pass header.from=example.org; dmarc=fail header.from=example.org\r\n"
    assert brought(server, said + LETTER).author_domain == ""


RECEIVED = (
    b"Received: from %b (name [192.0.2.7])\r\n\tby mx.example.net with ESMTP id 1 for <bob@example.net>; today\r\n"
)
SIGNED = b"DKIM-Signature: v=1; a=rsa-sha256; d=%b; s=%b; i=%b; h=from; bh=AAAA; b=AAAA\r\n"


@pytest.mark.parametrize(
    ("added", "env"),
    [
        (b"", {"sender": b'"a;dkim=pass header.d=example.org"@evil.example'}),
        (b"", {"sender": b"a;dkim=pass@evil.example"}),
        (b"", {"sender": b"a b@evil.example"}),
        (b"", {"helo": "x; dkim=pass header.d=example.org"}),
        (b"", {"helo": "x) smtp.mailfrom=example.org ("}),
        (b"", {"helo": 'x"'}),
        (RECEIVED % b"x; dkim=pass header.d=example.org", {}),
        (SIGNED % (b"evil.example", b"s", b"x=3B=20dkim=3Dpass=20@evil.example"), {}),
        (SIGNED % (b"evil.example", b"s", b'"x y"@evil.example'), {}),
        (SIGNED % (b"evil.example", b"s", b"x\r\n header.d=example.org@evil.example"), {}),
        (SIGNED % (b"example.org x.evil.example", b"s", b"@evil.example"), {}),
        (SIGNED % (b"evil.example", b"s dkim=pass", b"@evil.example"), {}),
        (b"DKIM-Signature: i=a=20b@evil.example\r\n", {}),
        (b"DKIM-Signature: a=b;\r\n\ti\r\n = =20@evil.example\r\n", {}),
        (SIGNED % (b"d", b"s", b"@d") * 51, {}),
        (b"From: eve@evil.example\r\n", {}),
    ],
)
def test_of_a_sender_whose_names_may_be_read_as_results_a_front_proves_nothing(server, added, env):
    """What the front has found out is found out again, and the DNS of this test proves nothing."""
    env = envelope(**({"sender": b"ann@example.org", "is_from_front": True} | env))
    found = authenticate(server, SAID + added + LETTER, env, trusted_fronts=["mx.example.net"])
    assert not found.domains
    assert not found.author_domain


@pytest.mark.parametrize(
    ("added", "env"),
    [
        (RECEIVED % b"[IPv6:2001:db8::7]", {"helo": "[IPv6:2001:db8::7]"}),
        (b"", {"sender": b"bounce+ann=example.org@lists.example"}),
        (b"", {"sender": "jürgen@bücher.example".encode()}),
        (b"", {"sender": b"", "helo": ""}),
        (SIGNED % (b"example.org", b"s1.mail_2", b"ann+tag@mail.example.org"), {}),
        (SIGNED % (b"example.org", b" s ", b"\r\n\t@example.org"), {}),
    ],
)
def test_names_as_honest_senders_have_them_are_no_reason_to_doubt_a_front(server, added, env):
    env = envelope(**({"sender": b"ann@example.org", "is_from_front": True} | env))
    assert (
        authenticate(server, SAID + added + LETTER, env, trusted_fronts=["mx.example.net"]).author_domain
        == "example.org"
    )


def test_a_few_fields_of_a_front_are_read_and_no_more(server, monkeypatch):
    read = []
    monkeypatch.setattr(fronts, "read_claims", read.append)
    many = b"Authentication-Results: mx.example.net; spf=pass\r\n" * 50
    others = b"Authentication-Results: mx.other.example; spf=pass\r\n" * 10
    brought(server, others + many + LETTER)
    assert len(read) == fronts.FIELDS_MAX

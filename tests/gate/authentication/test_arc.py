"""ARC: the word of a forwarder that is trusted, through a chain that holds, and no other's."""

import pytest
from tests.support.authenticating import LETTER, authenticate, envelope, results
from tests.support.dkim_keys import key_name, rsa_key, seal, seal_by_hand, sign_by_hand
from tests.support.dns_server import DnsServer

PASSED = "dmarc=pass header.from=example.org; spf=pass smtp.mailfrom=example.org"
LISTS = "lists.example"


@pytest.fixture(scope="module")
def server():
    zone = {key_name(domain, "arc"): {"TXT": [rsa_key().txt]} for domain in (LISTS, "second.example", "evil.example")}
    zone[key_name("broken.example", "arc")] = {"TXT": [rsa_key().txt]}
    with DnsServer(zone) as server:
        server.fail(key_name("broken.example", "arc"))
        yield server


def forwarded(server, letter, *sealers):
    return authenticate(server, letter, envelope(b"list@lists.example"), trusted_sealers=sealers)


def sealed(letter=LETTER, domain=LISTS, claims=PASSED):
    return seal(letter, domain, "arc", rsa_key(), claims)


def twice(second="second.example", claims=PASSED):
    return sealed(sealed(), second, f"arc=pass; {claims}")


def test_the_author_is_proven_by_the_word_of_a_trusted_forwarder(server):
    found = forwarded(server, sealed(), LISTS)
    assert results(found, "arc") == ["pass"]
    assert (found.author_domain, found.organisation) == ("example.org", "example.org")
    assert found.domains == frozenset()


def test_a_forwarder_that_is_not_trusted_is_not_even_asked_about(server):
    before = server.asked(key_name("evil.example", "arc"))
    found = forwarded(server, sealed(domain="evil.example"), LISTS)
    assert (results(found, "arc"), found.author_domain) == ([], "")
    assert server.asked(key_name("evil.example", "arc")) == before
    assert results(forwarded(server, sealed()), "arc") == []


def test_the_last_who_has_sealed_must_be_the_trusted_one(server):
    assert forwarded(server, twice(), "second.example").author_domain == "example.org"
    assert forwarded(server, twice(), LISTS).author_domain == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"noon", b"nine"),
        (b"From: Ann <ann@example.org>", b"From: Ann <ann@example.com>"),
        (b"dmarc=pass header.from=example.org", b"dmarc=pass header.from=evil.example"),
        (b"cv=none", b"cv=pass"),
        (b"cv=none", b"cv=fail"),
        (b"ARC-Message-Signature: i=1", b"ARC-Message-Signature: i=2"),
        (b"ARC-Authentication-Results: i=1", b"X-Other: i=1"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=60"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=one"),
    ],
)
def test_a_chain_that_was_altered_proves_nothing(server, old, new):
    letter = sealed()
    assert old in letter
    found = forwarded(server, letter.replace(old, new), LISTS)
    assert results(found, "arc") in (["fail"], [])
    assert found.author_domain == ""


def test_a_letter_altered_between_forwarders_is_proven_by_the_later_one(server):
    altered = sealed().replace(b"noon", b"nine")
    letter = sealed(altered, "second.example", f"arc=pass; {PASSED}")
    assert forwarded(server, letter, "second.example").author_domain == "example.org"


def test_a_chain_whose_first_seal_is_forged_proves_nothing(server):
    letter = twice()
    at = letter.index(b"ARC-Seal: i=1")
    assert forwarded(server, letter[:at] + letter[at:].replace(b"t=1", b"t=2", 1), "second.example").author_domain == ""


@pytest.mark.parametrize(
    "claims",
    [
        "dmarc=fail header.from=example.org",
        "dmarc=pass header.from=other.example",
        "dmarc=pass",
        "spf=pass smtp.mailfrom=example.org",
    ],
)
def test_only_dmarc_of_the_author_counts(server, claims):
    found = forwarded(server, sealed(claims=claims), LISTS)
    assert (results(found, "arc"), found.author_domain) == (["pass"], "")


def test_where_the_dns_fails_the_chain_is_unsure(server):
    found = forwarded(server, sealed(domain="broken.example"), "broken.example")
    assert results(found, "arc") == ["temperror"]
    assert found.is_unsure


def test_two_authors_are_none_whatever_the_seal_says(server):
    assert forwarded(server, b"From: eve@example.org\r\n" + sealed(), LISTS).author_domain == ""


def test_a_chain_of_too_many_forwarders_is_not_looked_at(server):
    letter = sealed()
    for _ in range(10):
        letter = sealed(letter, LISTS, f"arc=pass; {PASSED}")
    assert results(forwarded(server, letter, LISTS), "arc") == []


@pytest.mark.parametrize(
    "decoy",
    [
        b"ARC-Seal: a=rsa-sha256; i=x; cv=none; d=lists.example; s=arc; b=AAAA\r\n",
        b"ARC-Seal: i=2; a=rsa-sha256; cv=pass; d=lists.example; s=arc; b=AAAA\r\n",
        b"ARC-Seal: i=1; a=rsa-sha256; cv=none; d=lists.example; s=arc; b=AAAA\r\n",
        b"ARC-Seal: xi=1; i=1; a=rsa-sha256; cv=none; d=lists.example; s=arc; b=AAAA\r\n",
    ],
)
def test_a_field_that_two_readers_read_differently_is_a_chain_for_nobody(server, decoy):
    """A seal of the trusted forwarder's name beside one that holds, of somebody else's."""
    for letter in (
        decoy + sealed(domain="evil.example"),
        sealed(domain="evil.example").replace(b"i=1;", b"xi=1; i=x;"),
    ):
        found = forwarded(server, letter, LISTS)
        assert (results(found, "arc"), found.author_domain) == ([], "")


DMARC = "dmarc=pass header.from=example.org"


@pytest.mark.parametrize(
    "results",
    [
        f"i=1; lists.example; {DMARC}",
        f"i=1; lists.example; {DMARC};",
        f"i=1; lists.example;\r\n\tarc=none smtp.remote-ip=2001:db8::7;\r\n\t{DMARC};",
        f"i=1; lists.example;\r\n\tiprev=pass (x) smtp.remote-ip=2001:db8::7;\r\n\tspf=none smtp.helo=[192.0.2.1];\r\n\t{DMARC}",
        f"i = 1 ; lists.example 1; ???; {DMARC}",
    ],
)
def test_what_a_forwarder_has_seen_is_read_result_by_result(server, results):
    found = forwarded(server, seal_by_hand(LETTER, LISTS, "arc", results.encode()), LISTS)
    assert (found.author_domain, [str(one.result) for one in found.findings if one.method == "arc"]) == (
        "example.org",
        ["pass"],
    )


@pytest.mark.parametrize(
    "results",
    [
        f"i=1; lists.example; dkim=pass header.i=x; {DMARC}; y@evil.example; dmarc=fail header.from=example.org",
        f"i=1; lists.example; dkim=pass header.i=x; {DMARC}; y (; dmarc=fail header.from=example.org",
        f"i=1; lists.example 2; {DMARC}",
        "i=1; lists.example; dmarc=pass header.from=example.org header.from=evil.example",
    ],
)
def test_an_author_whom_a_stranger_may_have_written_down_is_not_proven(server, results):
    found = forwarded(server, seal_by_hand(LETTER, LISTS, "arc", results.encode()), LISTS)
    assert found.author_domain == ""


def test_a_letter_whose_signature_tells_a_forwarder_results_proves_nothing(server):
    letter = sign_by_hand(LETTER, d="evil.example", s="arc", i="x=3B=20dmarc=3Dpass=20@evil.example")
    assert (
        forwarded(
            server, seal_by_hand(letter, LISTS, "arc", f"i=1; lists.example; {DMARC}".encode()), LISTS
        ).author_domain
        == ""
    )


@pytest.mark.parametrize(
    "spelling", [b"ARC-Message-Signature:i=1;", b"ARC-Message-Signature: i=1 ;", b"ARC-Message-Signature :\ti = 1;"]
)
def test_a_set_is_found_however_its_fields_spell_the_instance(server, spelling):
    """The library looks for ` i=1;` in them."""
    letter = sealed().replace(b"ARC-Message-Signature: i=1;", spelling)
    if spelling.endswith(b"i=1;"):  # blanks inside are covered by the seal
        assert forwarded(server, letter, LISTS).author_domain == "example.org"
    else:
        assert results(forwarded(server, letter, LISTS), "arc") == ["fail"]

"""All methods together: alignment, organisations, the DNS that does not answer, hostile letters, many at once."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.authenticating import (
    AUTHOR,
    CLIENT,
    LETTER,
    authenticate,
    authenticate_all,
    envelope,
    received,
    results,
)
from tests.support.dkim_keys import ed25519_key, key_name, rsa_key, sign
from tests.support.dns_server import DnsServer

from pennyred.gate.authentication.checker import Checker
from pennyred.gate.rules.origin import Authentication

SPF = "v=spf1 ip4:192.0.2.7 -all"


def world(**records):
    """A server where example.org and others send by SPF; `records` are DMARC records, underscores for dots."""
    zone = {
        name: {"TXT": [SPF]} for name in ("example.org", "a.example.org", "b.example.org", "other.example", "co.test")
    }
    zone |= {"_dmarc." + name.replace("_", "."): {"TXT": [text]} for name, text in records.items()}
    return DnsServer(zone)


def letter_from(author):
    return LETTER.replace(b"Ann <ann@example.org>", author)


def found_out(server, author, sender):
    return authenticate(server, letter_from(author), envelope(sender))


def test_the_same_domain_is_aligned_without_any_record():
    with world() as server:
        found = found_out(server, b"ann@example.org", b"bounce@example.org")
    assert found.author_domain == found.organisation == found.sender_domain == "example.org"
    assert found.sending_organisation == "example.org"
    assert results(found, "dmarc") == ["none"]
    assert [finding.method for finding in found.findings] == ["spf", "dkim", "dmarc"]


def test_without_a_record_no_domain_is_aligned_with_another():
    with world() as server:
        found = found_out(server, b"ann@example.org", b"bounce@a.example.org")
    assert (found.author_domain, found.sender_domain) == ("", "a.example.org")
    assert found.organisation == "example.org", "what is counted is what somebody has paid for"
    assert found.sending_organisation == "example.org"
    assert results(found, "dmarc") == ["none"]


@pytest.mark.parametrize(
    ("author", "sender"),
    [
        (b"ann@example.org", b"x@a.example.org"),
        (b"ann@a.example.org", b"x@example.org"),
        (b"ann@a.example.org", b"x@b.example.org"),
        (b"ann@EXAMPLE.org", b"x@b.Example.ORG"),
    ],
)
def test_below_one_organisation_domains_are_aligned_where_the_record_is_relaxed(author, sender):
    with world(example_org="v=DMARC1; p=reject") as server:
        found = found_out(server, author, sender)
    assert found.author_domain == author.decode().lower().partition("@")[2]
    assert found.organisation == "example.org"
    assert results(found, "dmarc") == ["pass"]


def test_strict_alignment_wants_the_same_domain_for_the_method_that_says_so():
    with world(example_org="v=DMARC1; aspf=s") as server:
        server.add(key_name("a.example.org", "ed"), "TXT", ed25519_key().txt)
        assert found_out(server, b"ann@example.org", b"x@example.org").author_domain == "example.org"
        found = found_out(server, b"ann@example.org", b"x@a.example.org")
        assert (found.author_domain, found.organisation) == ("", "example.org")
        assert results(found, "dmarc") == ["fail"]
        signed = sign(LETTER, "a.example.org", "ed", ed25519_key())
        assert authenticate(server, signed, envelope(b"x@other.example")).author_domain == "example.org"
    with world(example_org="v=DMARC1; adkim=s") as server:
        server.add(key_name("a.example.org", "ed"), "TXT", ed25519_key().txt)
        found = authenticate(server, signed, envelope(b"x@other.example"))
        assert (found.author_domain, found.domains) == ("", {"a.example.org", "other.example"})


def test_only_a_signature_proves_an_author_for_the_text_that_was_received():
    """SPF says nothing of the text: any customer of a shared sender passes it."""
    with world(example_org="v=DMARC1; p=reject") as server:
        server.add(key_name("a.example.org", "ed"), "TXT", ed25519_key().txt)
        by_spf = found_out(server, b"ann@example.org", b"x@example.org")
        assert (by_spf.author_domain, by_spf.is_author_signed, by_spf.might_be_signed) == ("example.org", False, False)
        signed = sign(LETTER, "a.example.org", "ed", ed25519_key())
        for letter, is_signed in ((signed, True), (signed + b"footer\r\n", False)):
            found = authenticate(server, letter, envelope(b"x@example.org"))
            assert (found.author_domain, found.is_author_signed) == ("example.org", is_signed)
        server.add(key_name("other.example", "ed"), "TXT", ed25519_key().txt)
        strangers = authenticate(server, sign(LETTER, "other.example", "ed", ed25519_key()), envelope(b"x@example.org"))
        assert (strangers.author_domain, strangers.is_author_signed) == ("example.org", False)


@pytest.mark.parametrize(
    "added",
    [
        b"Reply-To: eve@evil.example",
        b"Mail-Followup-To: eve@evil.example",
        b"Subject: Win",
        b"Buy this",
    ],
)
def test_what_is_put_above_a_signature_is_not_the_authors(added):
    """The signature holds all the same: it covers the lowest fields of a name (RFC 6376 section 5.4.2)."""
    with world(example_org="v=DMARC1") as server:
        server.add(key_name("example.org", "ed"), "TXT", ed25519_key().txt)
        signed = sign(LETTER, "example.org", "ed", ed25519_key())
        for letter, is_signed in ((signed, True), (added + b"\r\n" + signed, False)):
            found = authenticate(server, letter, envelope(b"x@other.example"))
            assert (found.author_domain, found.is_author_signed) == ("example.org", is_signed)


def test_it_is_known_whether_a_signature_covers_the_message_id():
    """Many honest ones do not: RFC 6376 section 5.4.1 does not ask for it."""
    with world(example_org="v=DMARC1") as server:
        server.add(key_name("example.org", "ed"), "TXT", ed25519_key().txt)
        names = [b"from", b"subject", b"reply-to"]
        for covered, is_id_signed in (([*names, b"message-id"], True), (names, False)):
            letter = sign(LETTER, "example.org", "ed", ed25519_key(), include_headers=covered)
            for above, still in ((b"", is_id_signed), (b"Message-ID: <2@evil.example>\r\n", False)):
                found = authenticate(server, above + letter, envelope(b"x@other.example"))
                assert (found.is_author_signed, found.is_id_signed) == (True, still)


def test_a_signature_of_a_strangers_covers_nothing_for_the_author():
    with world(example_org="v=DMARC1") as server:
        for domain in ("example.org", "evil.example"):
            server.add(key_name(domain, "ed"), "TXT", ed25519_key().txt)
        signed = b"Reply-To: eve@evil.example\r\n" + sign(LETTER, "example.org", "ed", ed25519_key())
        found = authenticate(server, sign(signed, "evil.example", "ed", ed25519_key()), envelope(b"x@evil.example"))
        assert found.domains == {"example.org", "evil.example"}
        assert not found.is_author_signed


def test_a_signature_whose_key_the_dns_does_not_tell_might_have_proven_it():
    with world(example_org="v=DMARC1") as server:
        server.fail(key_name("a.example.org", "ed"))
        server.fail(key_name("other.example", "ed"))
        for domain, might in (("a.example.org", True), ("other.example", False)):
            found = authenticate(server, sign(LETTER, domain, "ed", ed25519_key()), envelope(b"x@example.org"))
            assert (found.is_author_signed, found.might_be_signed) == (False, might)


def test_a_subdomain_that_is_an_organisation_of_its_own_is_not_aligned_with_its_parent():
    with world(example_org="v=DMARC1", a_example_org="v=DMARC1; psd=n") as server:
        assert found_out(server, b"ann@example.org", b"x@a.example.org").author_domain == ""
        assert found_out(server, b"ann@a.example.org", b"x@a.example.org").author_domain == "a.example.org"


def test_below_a_public_suffix_each_domain_is_an_organisation():
    with world(test="v=DMARC1; psd=y") as server:
        server.add("x.co.test", "TXT", SPF)
        found = found_out(server, b"ann@x.co.test", b"bounce@x.co.test")
        assert found.organisation == "co.test"
        assert results(found, "dmarc") == ["pass"]


def test_a_walk_from_many_labels_asks_eight_names_and_no_more():
    deep = "a.b.c.d.e.f.g.h.i.j.example.org"
    with world(example_org="v=DMARC1") as server:
        server.add(deep, "TXT", SPF)
        found = found_out(server, b"ann@" + deep.encode(), b"x@" + deep.encode())
        assert (found.author_domain, found.organisation) == (deep, "example.org")
        walked = [name for name, _ in server.questions if name.startswith("_dmarc.")]
        assert len(walked) == 8
        assert "_dmarc.b.c.d.e.f.g.h.i.j.example.org" not in walked


def test_two_records_at_one_name_are_none():
    with world(example_org="v=DMARC1") as server:
        server.add("_dmarc.example.org", "TXT", "v=DMARC1; p=none")
        assert found_out(server, b"ann@example.org", b"x@a.example.org").author_domain == ""


@pytest.mark.parametrize(
    "author",
    [
        b"ann@example.org, eve@evil.example",
        b"undisclosed:;",
        b"",
        b"<ann@example.org> <eve@evil.example>",
        b"ann@[192.0.2.7]",
        b"ann",
        b"ann@example.org" + b"," * 20_000,
        b"x@y," * 10_000,
        b"ann@exa mple.org",
        b"\xff\xfe@\xff",
    ],
)
def test_a_letter_without_exactly_one_author_has_none(author):
    with world(example_org="v=DMARC1") as server:
        found = found_out(server, author, b"x@example.org")
    assert (found.author_domain, found.sender_domain, found.organisation) == ("", "example.org", "example.org")
    assert results(found, "dmarc") == ["permerror"]


def test_two_from_fields_are_no_author_and_so_is_none():
    with world() as server:
        second = LETTER.replace(b"To:", b"From: eve@evil.example\r\nTo:")
        assert authenticate(server, second).author_domain == ""
        assert authenticate(server, b"\r\nno header").author_domain == ""


@pytest.mark.parametrize(
    "author",
    [
        b'"eve@evil.example" <ann@example.org>',
        b"=?utf-8?q?J=C3=BCrgen?= <ann@example.org>",
        b"J\xc3\xbcrgen <ann@example.org>",
        b"a:ann@example.org;",
        b"ann@example.org (eve@evil.example)",
        b"\r\n\tann@example.org",
    ],
)
def test_the_author_is_the_address_and_not_the_name(author):
    with world() as server:
        assert found_out(server, author, b"x@example.org").author_domain == "example.org"


def test_an_internationalised_domain_is_its_a_labels():
    with world() as server:
        server.add("xn--bcher-kva.example", "TXT", SPF)
        found = found_out(server, "ann@bücher.example".encode(), "ann@bücher.example".encode())
    assert found.author_domain == "xn--bcher-kva.example"


@pytest.mark.parametrize("name", ["example.org", "_dmarc.example.org", "_dmarc.org"])
def test_where_the_dns_fails_the_answer_is_unsure(name):
    with world(example_org="v=DMARC1") as server:
        server.fail(name)
        found = found_out(
            server, b"ann@example.org", b"x@a.example.org" if name == "_dmarc.example.org" else b"x@example.org"
        )
    assert found.is_unsure


def test_what_is_proven_stays_proven_and_is_counted_by_its_registered_domain_whatever_dmarc_says():
    with world() as server:
        server.fail("_dmarc.org")
        found = found_out(server, b"ann@example.org", b"x@example.org")
    assert (found.author_domain, found.organisation, found.is_unsure) == ("example.org", "example.org", True)
    assert results(found, "dmarc") == ["temperror"]


def test_nothing_proven_is_sure_where_the_dns_does_answer():
    with world() as server:
        found = authenticate(server, LETTER, envelope(source="192.0.2.8"))
    assert not found.is_unsure
    assert not found.domains
    assert found.organisation == ""


def test_where_the_dns_is_silent_the_answer_is_unsure_and_keeps_what_is_proven():
    with world() as server:
        server.add(key_name("example.org", "rsa"), "TXT", rsa_key().txt)
        server.fall_silent("example.org")
        found = authenticate(server, sign(LETTER, "example.org", "rsa", rsa_key()), timeout_seconds=0.2)
    assert found.is_unsure
    assert (found.domains, found.author_domain) == ({"example.org"}, "example.org")


@pytest.mark.parametrize(
    ("name", "sender", "is_signed", "is_final"),
    [
        ("example.org", b"ann@example.org", False, False),  # SPF could have proven her
        ("rsa._domainkey.example.org", b"x@evil.example", True, False),  # so could the signature
        ("_dmarc.example.org", b"x@evil.example", False, True),  # nobody vouches: alignment would change nothing
        ("_dmarc.example.org", b"x@a.example.org", False, False),  # one that may be of her organisation does
        ("_dmarc.example.org", b"ann@example.org", False, True),  # she is proven already
        ("_dmarc.org", b"ann@example.org", False, True),  # only under what it is counted is not known
    ],
)
def test_of_an_unsure_answer_it_is_known_whether_more_could_have_been_proven(name, sender, is_signed, is_final):
    """Only then a letter comes again for it; whether anybody asks for the proof must not matter."""
    with world() as server:
        server.add("evil.example", "TXT", SPF)
        server.add("a.example.org", "TXT", SPF)
        server.add(key_name("example.org", "rsa"), "TXT", rsa_key().txt)
        server.fail(name)
        octets = sign(LETTER, "example.org", "rsa", rsa_key()) if is_signed else LETTER
        found = authenticate(server, octets, envelope(sender))
    assert (found.is_unsure, found.is_final) == (True, is_final)


def test_where_nobody_was_asked_more_could_have_been_proven():
    with world() as server:
        server.fall_silent("example.org")
        found = authenticate_all(server, [LETTER] * 5, timeout_seconds=0.1, threads=1)
    assert not any(one.is_final for one in found)


def test_what_spf_proves_before_the_letter_is_asked_once_for_many_recipients():
    async def story(server):
        checker = Checker(nameservers=[server.address], timeout_seconds=10)
        try:
            asked = [
                await checker.is_sender_proven(envelope(one)) for one in (AUTHOR, AUTHOR, b"x@nowhere.example") * 3
            ]
            return asked, server.questions.copy()
        finally:
            checker.close()

    with world() as server:
        server.ttl = 0
        proven, questions = asyncio.run(story(server))
    assert proven == [True, True, False] * 3
    assert questions["example.org", "TXT"] == questions["nowhere.example", "TXT"] == 1


@pytest.mark.parametrize("domain", ["Example.ORG", "bücher.example", "xn--bcher-kva.example"])
def test_a_domain_is_proven_before_the_letter_however_it_is_spelt(domain):
    async def story(server):
        checker = Checker(nameservers=[server.address], timeout_seconds=10)
        try:
            return await checker.is_sender_proven(envelope(f"ann@{domain}".encode()))
        finally:
            checker.close()

    with world() as server:
        server.add("xn--bcher-kva.example", "TXT", SPF)
        assert asyncio.run(story(server)) is True


@pytest.mark.parametrize("trouble", ["fails", "silent", "no thread", "no way to spell it"])
def test_where_spf_cannot_be_asked_before_the_letter_the_sender_is_neither_proven_nor_not(trouble, monkeypatch):
    async def story(server):
        threads = 1 if trouble == "no thread" else 4  # half of one is none
        checker = Checker(nameservers=[server.address], timeout_seconds=0.2, threads=threads)
        try:
            return [await checker.is_sender_proven(envelope(one)) for one in (AUTHOR, b"", AUTHOR)]
        finally:
            checker.close()

    def broken(*_):
        raise RuntimeError("a mistake of ours")

    with world() as server:
        if trouble == "fails":
            server.fail("example.org")
        elif trouble == "silent":
            server.fall_silent("example.org")
        elif trouble == "no way to spell it":
            monkeypatch.setattr("pennyred.gate.authentication.checker.check_spf", broken)
        assert asyncio.run(story(server)) == [None, False, None]


def test_servers_that_are_silent_about_spf_hide_nothing_that_a_signature_proves():
    """Relaxed alignment takes a walk up the DNS: it is done before SPF has used up what a letter may wait for."""
    with world(example_org="v=DMARC1") as server:
        server.add(key_name("mail.example.org", "rsa"), "TXT", rsa_key().txt)
        for number in range(5):
            server.fall_silent(f"s{number}.evil.example")
        server.add("evil.example", "TXT", "v=spf1 " + " ".join(f"a:s{n}.evil.example" for n in range(5)) + " -all")
        letter = sign(LETTER, "mail.example.org", "rsa", rsa_key())
        found = authenticate(server, letter, envelope(b"x@evil.example"), timeout_seconds=10)
    assert (found.author_domain, results(found, "spf"), results(found, "dmarc")) == (
        "example.org",
        ["temperror"],
        ["pass"],
    )


def test_a_signer_who_is_not_to_be_known_hides_no_other_that_is_related():
    with world(example_org="v=DMARC1") as server:
        for name in ("a.example.org", "b.example.org"):
            server.add(key_name(name, "rsa"), "TXT", rsa_key().txt)
        server.fail("_dmarc.a.example.org")
        letter = sign(sign(LETTER, "b.example.org", "rsa", rsa_key()), "a.example.org", "rsa", rsa_key())
        found = authenticate(server, letter, envelope(b"x@other.example", source="192.0.2.8"))
        assert found.author_domain == "example.org"
    with world(example_org="v=DMARC1") as server:
        server.add(key_name("a.example.org", "rsa"), "TXT", rsa_key().txt)
        server.fail("_dmarc.a.example.org")
        found = authenticate(server, sign(LETTER, "a.example.org", "rsa", rsa_key()), envelope(b"x@other.example"))
        assert (found.author_domain, found.is_unsure) == ("", True)


def test_letters_that_wait_for_a_thread_too_long_are_unsure():
    with world() as server:
        server.fall_silent("example.org")
        found = authenticate_all(server, [LETTER] * 5, timeout_seconds=0.1, threads=1)
    assert all(one.is_unsure for one in found)


def test_many_letters_at_once_are_each_judged_by_themselves():
    with world() as server:
        for number in range(10):
            server.add(f"d{number}.example", "TXT", SPF if number % 2 else "v=spf1 -all")
            server.add(key_name(f"d{number}.example", "s"), "TXT", rsa_key(number=number % 3).txt)
        letters = [
            sign(letter_from(b"ann@d%d.example" % (n % 10)), f"d{n % 10}.example", "s", rsa_key(number=n % 10 % 3))
            for n in range(40)
        ]
        found = authenticate_all(server, letters, envelope(b"x@d1.example"))
    assert [one.author_domain for one in found] == [f"d{n % 10}.example" for n in range(40)]
    assert {one.sender_domain for one in found} == {"d1.example"}


def test_a_mistake_inside_is_unsure_and_told_to_who_wants_to_know():
    class Broken:
        header = received(LETTER).header
        body_hash = relaxed_hash = property(lambda self: 1 // 0)

    async def run():
        mistakes = []
        checker = Checker(nameservers=[("127.0.0.1", 1)], timeout_seconds=10, on_error=mistakes.append)
        try:
            return await checker.authenticate(Broken(), envelope()), mistakes
        finally:
            checker.close()

    found, mistakes = asyncio.run(run())
    assert found == Authentication(is_unsure=True, might_be_signed=True)
    assert [type(one) for one in mistakes] == [ZeroDivisionError]


def test_who_cancels_is_cancelled():
    async def run():
        checker = Checker(nameservers=[server.address], timeout_seconds=0.5)
        task = asyncio.create_task(checker.authenticate(received(LETTER), envelope()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        checker.close()

    with world() as server:
        server.fall_silent("example.org")
        asyncio.run(run())


keys = st.sampled_from(
    [
        b"From",
        b"DKIM-Signature",
        b"ARC-Seal",
        b"ARC-Message-Signature",
        b"ARC-Authentication-Results",
        b"Authentication-Results",
        b"Received",
    ]
)
pieces = st.sampled_from(
    [
        b"v=1;",
        b"a=rsa-sha256;",
        b"a=ed25519-sha256;",
        b"c=relaxed/relaxed;",
        b"c=simple;",
        b"d=example.org;",
        b"s=rsa;",
        b"h=from;",
        b"bh=AAAA;",
        b"b=AAAA;",
        b"b=",
        b"i=1;",
        b"i=2;",
        b"cv=none;",
        b"cv=pass;",
        b"t=1;",
        b"l=0;",
        b"x=9;",
        b"mx.example;",
        b"spf=pass",
        b"dkim=pass",
        b"dmarc=pass",
        b" header.from=",
        b" smtp.mailfrom=",
        b"example.org",
        b"@",
        b"<",
        b">",
        b'"',
        b"(",
        b")",
        b",",
        b":",
        b";",
        b"\\",
        b"\r\n ",
        b"\xff",
        b"=?utf-8?b?=?=",
        b"[",
        b"]",
    ]
)
hostile = st.lists(st.tuples(keys, st.lists(pieces, max_size=14).map(b"".join)), max_size=8)


@pytest.fixture(scope="module")
def quiet_server():
    with world() as server:
        server.add(key_name("example.org", "rsa"), "TXT", rsa_key().txt)
        yield server


@given(hostile, st.booleans())
def test_no_header_makes_a_mistake_of_ours(quiet_server, fields, is_from_front):
    letter = b"".join(b"%s: %s\r\n" % field for field in fields) + b"\r\nbody"
    sealers, fronts = ["example.org"], ["mx.example"]
    env = envelope(b"x@other.example", is_from_front=is_from_front)
    found = authenticate(quiet_server, letter, env, trusted_sealers=sealers, trusted_fronts=fronts)
    assert results(found, "dkim").count("pass") == 0 or is_from_front


def test_strangers_with_silent_servers_do_not_keep_friends_from_being_recognised():
    """Half of the threads are for those whose fate hangs on the answer."""

    async def story(server):
        checker = Checker(nameservers=[server.address], threads=2, timeout_seconds=2)
        try:
            strangers = [
                asyncio.ensure_future(
                    checker.authenticate(received(LETTER), envelope(b"ann@silent.example"), is_vital=False)
                )
                for _ in range(5)
            ]
            friend = await checker.authenticate(received(LETTER), envelope(b"ann@example.org"))
            return friend, await asyncio.gather(*strangers)
        finally:
            checker.close()

    with world() as server:
        server.fall_silent("silent.example")
        friend, strangers = asyncio.run(story(server))
    assert friend.sender_domain == "example.org"
    assert all(one.is_unsure for one in strangers)


STRANGER_AND_NEIGHBOUR = ((b"ann@silent.example", "192.0.2.66"), (b"ann@example.org", CLIENT))


def test_nor_does_a_neighbour_of_theirs_at_the_same_hoster():
    """He has another address; letters from there wait behind their own kind."""

    async def story(server):
        checker = Checker(nameservers=[server.address], timeout_seconds=2)
        strange, friendly = (envelope(sender, source=source) for sender, source in STRANGER_AND_NEIGHBOUR)
        try:
            strangers = [asyncio.ensure_future(checker.authenticate(received(LETTER), strange)) for _ in range(50)]
            await asyncio.sleep(0)
            friend = await checker.authenticate(received(LETTER), friendly)
            return friend, await asyncio.gather(*strangers)
        finally:
            checker.close()

    with world() as server:
        server.fall_silent("silent.example")
        friend, strangers = asyncio.run(story(server))
    assert friend.sender_domain == "example.org"
    assert all(one.is_unsure for one in strangers)

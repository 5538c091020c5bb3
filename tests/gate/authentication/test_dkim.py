"""Signatures: what holds, what does not, and what is not even tried."""

import base64
import hashlib
import re

import dkim
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given
from hypothesis import strategies as st
from tests.support.authenticating import LETTER, authenticate, envelope, received, results
from tests.support.dkim_keys import DkimKey, ed25519_key, key_name, rsa_key, rsa_record, sign, sign_by_hand
from tests.support.dns_server import DnsServer

from pennyred.gate.authentication.dkim import SIGNATURES_MAX

KEYS = {"rsa": rsa_key, "ed": ed25519_key}
FORMS = [(first, second) for first in (b"simple", b"relaxed") for second in (b"simple", b"relaxed")]


@pytest.fixture(scope="module")
def server():
    zone = {key_name("example.org", selector): {"TXT": [make().txt]} for selector, make in KEYS.items()}
    zone[key_name("sub.example.org", "rsa")] = zone[key_name("other.example", "rsa")] = {"TXT": [rsa_key().txt]}
    zone[key_name("broken.example", "rsa")] = {"TXT": [rsa_key().txt]}
    with DnsServer(zone) as server:
        server.fail(key_name("broken.example", "rsa"))
        yield server


def dkim_results(server, letter):
    return results(authenticate(server, letter, envelope(b"", helo="")), "dkim")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("selector", KEYS)
def test_a_signature_holds_in_every_canonical_form(server, selector, form):
    letter = sign(LETTER, "example.org", selector, KEYS[selector](), canonicalize=form)
    found = authenticate(server, letter)
    assert results(found, "dkim") == ["pass"]
    assert found.domains == {"example.org"}
    assert found.author_domain == "example.org"
    properties = dict(next(one for one in found.findings if one.method == "dkim").properties)
    assert (properties["header.d"], properties["header.s"]) == ("example.org", selector)
    assert len(properties["header.b"]) == 8


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("old", "new"), [(b"noon", b"nine"), (b"lunch", b"launch"), (b"\r\n\r\n", b"\r\n\r\n\r\nx")])
def test_a_signature_of_an_altered_letter_fails(server, form, old, new):
    letter = sign(LETTER, "example.org", "rsa", rsa_key(), canonicalize=form).replace(old, new, 1)
    found = authenticate(server, letter)
    assert results(found, "dkim") == ["fail"]
    assert not found.domains
    assert not found.author_domain
    assert not found.is_unsure


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n\r\n", b" \r\n", b"text without an end", b"a\r\n" * 100_000])
@pytest.mark.parametrize("form", FORMS)
def test_every_body_is_hashed_as_the_signer_has(server, form, body):
    letter = sign(
        LETTER.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body, "example.org", "rsa", rsa_key(), canonicalize=form
    )
    assert dkim_results(server, letter) == ["pass"]


def test_a_letter_in_a_file_is_verified_and_read_again_afterwards(server):
    letter = sign(LETTER + b"x\r\n" * 50_000, "example.org", "rsa", rsa_key(), canonicalize=(b"simple", b"simple"))
    in_file = received(letter, memory_bytes_max=1000)
    assert results(authenticate(server, in_file), "dkim") == ["pass"]
    assert in_file.header.raw + b"".join(in_file.body()) == letter
    in_file.close()


def test_a_second_from_field_breaks_the_signature(server):
    letter = b"From: eve@evil.example\r\n" + sign(LETTER, "example.org", "rsa", rsa_key())
    assert dkim_results(server, letter) == ["fail"]


def test_a_second_from_field_breaks_the_signature_of_a_signer_who_named_one(server):
    letter = sign(LETTER, "example.org", "rsa", rsa_key(), include_headers=[b"from"])
    assert dkim_results(server, letter) == ["pass"]
    assert dkim_results(server, b"From: eve@evil.example\r\n" + letter) == ["fail"]


def test_a_signature_names_the_kind_of_its_key_and_covers_the_author(server):
    assert dkim_results(server, sign_by_hand(LETTER)) == ["pass"]
    assert dkim_results(server, sign_by_hand(LETTER, h="to:subject")) == ["permerror"]
    assert dkim_results(server, sign_by_hand(LETTER, a="ed25519-sha256")) == ["permerror"]
    assert dkim_results(server, sign_by_hand(LETTER, t="1", x="2")) == ["permerror"]
    assert dkim_results(server, sign_by_hand(LETTER, t="9" * 11)) == ["permerror"]
    assert dkim_results(server, sign_by_hand(LETTER, i="@evil.example")) == ["permerror"]
    assert dkim_results(server, sign_by_hand(LETTER, i="ann@sub.example.org", x="9" * 11)) == ["pass"]


def test_a_key_that_is_not_there_is_permanent_and_a_dns_that_fails_is_temporary(server):
    assert dkim_results(server, sign(LETTER, "example.org", "gone", rsa_key())) == ["permerror"]
    found = authenticate(server, sign(LETTER, "broken.example", "rsa", rsa_key()))
    assert results(found, "dkim") == ["temperror"]
    assert found.is_unsure


def test_another_key_makes_the_signature_fail(server):
    assert dkim_results(server, sign(LETTER, "example.org", "rsa", rsa_key(number=1))) == ["fail"]


def test_the_signer_may_be_a_subdomain_or_anybody_else_and_only_the_first_is_aligned(server):
    server.replace("_dmarc.example.org", "TXT", "v=DMARC1; p=none")
    found = authenticate(server, sign(LETTER, "sub.example.org", "rsa", rsa_key()))
    assert (found.domains, found.author_domain) == ({"sub.example.org"}, "example.org")
    found = authenticate(server, sign(LETTER, "other.example", "rsa", rsa_key()))
    assert (found.domains, found.author_domain, found.organisation) == ({"other.example"}, "", "other.example")


def test_half_a_body_proves_nothing(server):
    letter = sign(LETTER, "example.org", "rsa", rsa_key(), length=True)
    assert dkim_results(server, letter + b"added\r\n") == ["policy"]
    assert dkim_results(server, letter) == ["policy"]


def test_sha1_proves_nothing(server):
    old = DkimKey(rsa_key().private, b"rsa-sha1", rsa_key().txt)
    assert dkim_results(server, sign(LETTER, "example.org", "rsa", old)) == ["policy"]


def test_a_short_key_proves_nothing(server):
    server.replace(key_name("example.org", "short"), "TXT", rsa_key(1024).txt)
    assert dkim_results(server, sign(LETTER, "example.org", "short", rsa_key(1024))) == ["pass"]


@pytest.mark.parametrize(
    ("modulus", "exponent"),
    [(2**1022 + 1, 65537), (2**4096 + 1, 65537), (2**2047 + 1, 2**2046 + 1)],
    ids=["short", "long", "slow"],
)
def test_a_key_that_proves_nothing_or_costs_too_much_is_not_tried(server, modulus, exponent):
    server.replace(key_name("example.org", "made"), "TXT", rsa_record(modulus, exponent))
    assert dkim_results(server, sign(LETTER, "example.org", "made", rsa_key())) == ["policy"]


@pytest.mark.parametrize(
    "record",
    [
        "v=DKIM1; p=",
        "v=DKIM2; p=x",
        "p=!!!!",
        "k=dsa; p=AAAA",
        "k=ed25519; p=AAAA",
        "p=" + "A" * 5000,
        "k=rsa; p=AAAA; k=rsa",
        "=;=;p=",
        "{rsa}; s=tlsrpt",
        "{rsa}; s=other",
        "{rsa}; h=sha1",
        "{ed}",
    ],
)
def test_a_key_that_cannot_be_used_is_a_permanent_error(server, record):
    record = record.format(rsa=rsa_key().txt, ed=ed25519_key().txt)
    server.replace(key_name("example.org", "odd"), "TXT", record)
    assert dkim_results(server, sign(LETTER, "example.org", "odd", rsa_key())) == ["permerror"]


def test_a_key_may_forbid_signatures_for_subdomains(server):
    server.replace(key_name("example.org", "strict"), "TXT", rsa_key().txt + "; t=s")
    assert dkim_results(server, sign(LETTER, "example.org", "strict", rsa_key())) == ["pass"]
    letter = sign(LETTER, "example.org", "strict", rsa_key(), identity=b"ann@sub.example.org")
    assert dkim_results(server, letter) == ["permerror"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (rb"t=\d+;", b"t=99999999999;"),
        (rb"t=\d+;", b"t=1; x=2;"),
        (rb"t=\d+;", b"t=" + b"9" * 5000 + b";"),
        (rb"i=@example.org", b"i=@evil.example"),
        (rb"i=@example.org", b"i=example.org"),
        (rb"d=example.org", b"d=exa mple.org"),
        (rb"d=example.org; i=@example.org", b"d=" + b"a." * 200 + b"org"),
        (rb"s=rsa", b"s=../rsa"),
        (rb"a=rsa-sha256", b"a=ed25519-sha256"),
        (rb"a=rsa-sha256", b"a=none"),
        (rb"c=relaxed/relaxed", b"c=relaxed/relaxed/relaxed"),
        (rb"h=from", b"h=date"),
        (rb"v=1", b"v=2"),
        (rb"v=1; ", b""),
        (rb"v=1;", b"v=1; v=1;"),
        (rb" b=", b" b=!"),
        (rb" b=[^;]*", b" b=AAAA"),
    ],
)
def test_a_signature_that_is_malformed_expired_or_not_begun_does_not_hold(server, old, new):
    letter = sign(LETTER, "example.org", "rsa", rsa_key())
    field, rest = letter[: -len(LETTER)], LETTER
    altered = re.sub(old, new, re.sub(rb"\r\n *", b" ", field).strip(), count=1) + b"\r\n"
    if b"h=date" in altered:
        altered = altered.replace(b": from", b": date")
    (word,) = dkim_results(server, altered + rest)
    assert word in ("permerror", "fail")


@pytest.mark.parametrize(
    "field",
    [
        b"DKIM-Signature: v=1; b=" + b"\r\n \r\n " * 1000 + b"!",
        b"DKIM-Signature: " + b"a" * 20_000,
        b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=rsa; bh=AAAA; b=AAAA; h=from" + b":a" * 300,
    ],
)
def test_a_signature_that_would_cost_too_much_is_not_tried(server, field):
    assert dkim_results(server, field + b"\r\n" + LETTER) == ["policy"]


def test_a_header_that_would_cost_too_much_is_not_hashed(server):
    letter = sign(b"To: " + b"a b " * 100_000 + b"\r\n" + LETTER, "example.org", "rsa", rsa_key())
    assert dkim_results(server, letter) == ["policy"]


def test_of_twenty_signatures_the_first_few_are_tried(server):
    letter = LETTER
    for _ in range(20):
        letter = sign(letter, "example.org", "rsa", rsa_key(), include_headers=[b"from"])
    assert dkim_results(server, letter) == ["pass"] * SIGNATURES_MAX


def test_a_letter_without_signatures_has_the_result_none(server):
    assert dkim_results(server, LETTER) == ["none"]


def test_a_signature_on_the_last_line_of_a_letter_without_a_body_is_read(server):
    letter = sign(LETTER.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", "example.org", "rsa", rsa_key())
    field = letter[: letter.index(b"From:")]
    rest = letter[len(field) :].removesuffix(b"\r\n")
    assert dkim_results(server, rest + field) == ["pass"]
    assert dkim_results(server, rest + field.removesuffix(b"\r\n")) == ["pass"]


names = st.sampled_from([b"From", b"from", b"To", b"Subject", b"X-A", b"Received", b"Date"])
values = st.lists(
    st.sampled_from([b"a", b" ", b"\t", b"\r\n ", b"\r\n\t", b"ann@example.org", b":", b";", b"\xc3\xa9"])
).map(b"".join)
headers = st.lists(st.tuples(names, values), max_size=8)
parts = st.sampled_from([b"a", b" ", b"\t", b"\r\n", b".", b"\r\n\r\n", b"word word", b"\x80"])
texts = st.lists(parts, max_size=20).map(b"".join)


@given(headers, texts, st.sampled_from(FORMS), st.sampled_from(sorted(KEYS)), st.data())
def test_our_verdict_is_that_of_the_library_whatever_is_altered(server, fields, body, form, selector, data):
    header = b"From: ann@example.org\r\n" + b"".join(b"%s: x%s\r\n" % field for field in fields)
    header = re.sub(rb"\r\n[ \t]*(?=\r\n)", b"", header)  # the library takes a folded empty line for a field's end
    key = KEYS[selector]()
    signed = [b"from", b"to", b"subject", b"x-a", *data.draw(st.lists(st.sampled_from([b"to", b"date", b"from"])))]
    letter = sign(header + b"\r\n" + body, "example.org", selector, key, canonicalize=form, include_headers=signed)
    at = data.draw(st.integers(0, len(letter) - 1))
    if data.draw(st.booleans()):
        letter = letter[:at] + data.draw(st.sampled_from([b"x", b" ", b"", b"\r\n "])) + letter[at + 1 :]
    letter = re.sub(rb"(?<!\r)\n|\r(?!\n)", b"", letter)
    try:
        theirs = dkim.verify(letter, dnsfunc=lambda *_, **__: key.txt.encode())
    except (ValueError, IndexError, KeyError):
        theirs = False
    except dkim.MessageFormatError:
        return  # a line that is no field: the library reads no such header at all
    ours = dkim_results(server, letter)
    if not re.search(rb"^[^:\r\n]*[ \t]+:", letter, re.MULTILINE):  # which the library does not take for a field
        assert (ours[:1] == ["pass"]) == bool(theirs)


def test_a_key_that_is_only_being_tested_proves_nothing(server):
    """RFC 6376 section 3.6.1: as if the letter were not signed."""
    server.replace(key_name("example.org", "test"), "TXT", rsa_key().txt + "; t=y")
    assert dkim_results(server, sign(LETTER, "example.org", "test", rsa_key())) == ["policy"]


def with_key(server, *records):
    server.replace(
        key_name("example.org", "lists"),
        "TXT",
        *(one.format(rsa=rsa_key().txt, other=rsa_key(number=1).txt) for one in records),
    )
    return dkim_results(server, sign(LETTER, "example.org", "lists", rsa_key()))


@pytest.mark.parametrize(
    ("tags", "result"),
    [
        ("s=email", "pass"),
        ("s=*", "pass"),
        ("s=email:other", "pass"),
        ("s=other:email", "pass"),
        ("s= other : EMAIL ; n=note", "pass"),
        ("s=tlsrpt:*", "pass"),
        ("s=other:tlsrpt", "permerror"),
        ("s=emails", "permerror"),
        ("h=sha256", "pass"),
        ("h=sha1:sha256", "pass"),
        ("h=sha256:sha512", "pass"),
        ("h= sha1 : sha256 ", "pass"),
        ("h=sha1:sha512", "permerror"),
        ("t=s", "pass"),
        ("t=s:x", "pass"),
        ("t=x : s", "pass"),
        ("t=y:s", "policy"),
        ("t=s:Y", "policy"),
        ("g=*; t=", "pass"),
    ],
)
def test_what_a_key_is_for_stands_in_lists(server, tags, result):
    """RFC 6376 section 3.6.1."""
    assert with_key(server, "{rsa}; " + tags) == [result]


def test_a_key_of_which_one_flag_of_several_is_s_forbids_subdomains(server):
    server.replace(key_name("example.org", "lists"), "TXT", rsa_key().txt + "; t=x:s")
    letter = sign(LETTER, "example.org", "lists", rsa_key(), identity=b"ann@sub.example.org")
    assert dkim_results(server, letter) == ["permerror"]


@pytest.mark.parametrize(
    ("records", "result"),
    [
        (["v=spf1 exp=why.example.org -all", "{rsa}"], "pass"),
        (["v=DMARC1; p=none", "{rsa}"], "pass"),
        (["google-site-verification=abc; p=AAAA", "{rsa}"], "pass"),
        (["{rsa}; k=", "{rsa}"], "pass"),
        (["v=DKIM1; p=", "{rsa}"], "pass"),
        (["{other}", "{rsa}"], "pass"),
        (["{other}; t=y", "{rsa}; s=other", "{rsa}"], "pass"),
        (["{rsa}", "{rsa}"], "pass"),
        (["{other}", "{other}"], "fail"),
        (["{other}", "{other}; n=1", "{rsa}"], "pass"),
        (["v=DKIM1; p=", "v=spf1 -all"], "permerror"),
    ],
)
def test_of_several_records_at_one_name_one_that_is_no_key_hides_none_that_is(server, records, result):
    assert with_key(server, *records) == [result]


@pytest.mark.parametrize(
    ("query", "result"),
    [("dns/txt", "pass"), ("dns/x:dns/txt", "pass"), ("dns/txt : http", "pass"), ("http", "permerror")],
)
def test_where_the_key_is_found_stands_in_a_list_too(server, query, result):
    """RFC 6376 section 3.5, `q=`."""
    assert dkim_results(server, sign_by_hand(LETTER, q=query)) == [result]


def signed_as_it_stands(letter, form):
    """By RFC 6376 section 3.4 alone: the library does not read a header with a blank before a colon."""
    header, _, body = letter.partition(b"\r\n\r\n")
    hashed = base64.b64encode(hashlib.sha256(body.rstrip(b"\r\n") + b"\r\n").digest()).decode()
    field = f"DKIM-Signature: v=1; a=rsa-sha256; c={form}/simple; d=example.org; s=rsa; h=from:subject; bh={hashed}; b="
    fields = [line for line in header.split(b"\r\n") if line.lower().startswith((b"from", b"subject"))]
    if form == "relaxed":
        parts = (line.partition(b":") for line in fields)
        fields = [name.strip().lower() + b":" + b" ".join(value.split()) for name, _, value in parts]
        signed = b"".join(line + b"\r\n" for line in fields) + b"dkim-signature:" + field.partition(": ")[2].encode()
    else:
        signed = b"".join(line + b"\r\n" for line in fields) + field.encode()
    key = serialization.load_pem_private_key(rsa_key().private, None)
    return field.encode() + base64.b64encode(key.sign(signed, padding.PKCS1v15(), hashes.SHA256())) + b"\r\n" + letter


@pytest.mark.parametrize("form", ["simple", "relaxed"])
@pytest.mark.parametrize("blank", [b"", b" ", b"\t ", b"   "])
def test_a_blank_before_the_colon_of_a_field_is_signed_as_it_stands(server, form, blank):
    """RFC 5322 section 4.5: old, and still written."""
    letter = LETTER.replace(b"Subject:", b"Subject" + blank + b":").replace(b"From:", b"From" + blank + b":")
    signed = signed_as_it_stands(letter, form)
    found = authenticate(server, signed, envelope(b"", helo=""))
    assert (results(found, "dkim"), found.author_domain) == (["pass"], "example.org")
    assert dkim_results(server, signed.replace(b"lunch", b"launch")) == ["fail"]
    if blank and form == "simple":
        assert dkim_results(server, signed.replace(b"Subject" + blank, b"Subject")) == ["fail"]
    assert dkim_results(server, b"From : eve@evil.example\r\n" + signed) == ["fail"]


OTHERS = [f"d{number}.example" for number in range(8)]


@pytest.fixture(scope="module")
def forwarders(server):
    """Eight who sign what passes."""
    for number, domain in enumerate(OTHERS):
        server.add(key_name(domain, "s"), "TXT", rsa_key(number=number % 3).txt)
    return OTHERS


def forwarded(letter, forwarders):
    for number, domain in enumerate(forwarders):
        letter = sign(letter, domain, "s", rsa_key(number=number % 3), include_headers=[b"from"])
    return letter


def test_the_authors_own_signature_counts_however_many_forwarders_have_signed_above(server, forwarders):
    found = authenticate(server, forwarded(sign(LETTER, "example.org", "rsa", rsa_key()), forwarders))
    assert found.author_domain == "example.org"
    assert found.domains == {"example.org", *forwarders[-SIGNATURES_MAX + 1 :]}


def test_a_signature_of_the_authors_organisation_counts_too(server, forwarders):
    server.replace("_dmarc.example.org", "TXT", "v=DMARC1; p=none")
    found = authenticate(server, forwarded(sign(LETTER, "sub.example.org", "rsa", rsa_key()), forwarders))
    assert found.author_domain == "example.org"


def test_the_lists_own_signature_counts_too(server, forwarders):
    letter = b"List-Id: <news.d0.example>\r\n" + LETTER
    assert "d0.example" in authenticate(server, forwarded(letter, forwarders)).domains


def test_broken_signatures_of_the_authors_take_not_all_the_places(server, forwarders):
    broken = sign(LETTER, "example.org", "rsa", rsa_key())[: -len(LETTER)].replace(b"bh=", b"bh=AAAA")
    letter = forwarded(LETTER, forwarders[:2])
    found = authenticate(server, letter.replace(LETTER, broken * 20 + LETTER))
    assert found.domains == set(forwarders[:2])


def test_signers_whose_dns_is_silent_do_not_keep_the_author_from_being_proven(server):
    for number in range(3):
        server.fall_silent(key_name(f"silent{number}.example", "s"))
    letter = sign(LETTER, "example.org", "rsa", rsa_key())
    for number in range(3):
        letter = sign(letter, f"silent{number}.example", "s", rsa_key(), include_headers=[b"from"])
    found = authenticate(server, letter, envelope(b"", helo=""), timeout_seconds=10)
    assert found.author_domain == "example.org"
    assert results(found, "dkim") == ["pass", "temperror", "temperror", "temperror"]

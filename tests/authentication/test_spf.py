"""SPF: which clients may send for a domain, and what a hostile record may cost."""

import pytest
from authenticating import LETTER, authenticate, envelope, results
from dns_server import DnsServer
from hypothesis import given
from hypothesis import strategies as st

from pennyred.authentication.spf import QUESTIONS_MAX


@pytest.fixture(scope="module")
def server():
    zone = {
        "example.org": {"TXT": ["v=spf1 ip4:192.0.2.7 ip6:2001:db8::/32 -all", "something else"]},
        "soft.example": {"TXT": ["v=spf1 ~all"]},
        "neutral.example": {"TXT": ["v=spf1 ?all"]},
        "two.example": {"TXT": ["v=spf1 -all", "v=spf1 +all"]},
        "wrong.example": {"TXT": ["v=spf1 ip4:300.1.2.3 -all"]},
        "included.example": {"TXT": ["v=spf1 include:example.org -all"]},
        "redirected.example": {"TXT": ["v=spf1 redirect=example.org"]},
        "mx.example": {"TXT": ["v=spf1 mx -all"], "MX": ["10 host.mx.example."]},
        "host.mx.example": {"A": ["192.0.2.7"], "TXT": ["v=spf1 a -all"]},
        "macro.example": {"TXT": ["v=spf1 exists:%{ir}.%{l}._spf.%{d} -all exp=why.macro.example"]},
        "7.2.0.192.ann._spf.macro.example": {"A": ["127.0.0.2"]},
        "ptr.example": {"TXT": ["v=spf1 ptr -all"]},
        "7.2.0.192.in-addr.arpa": {"PTR": ["host.ptr.example."]},
        "host.ptr.example": {"A": ["192.0.2.7"]},
        "loop.example": {"TXT": ["v=spf1 include:loop2.example -all"]},
        "loop2.example": {"TXT": ["v=spf1 include:loop.example -all"]},
        "lookups.example": {"TXT": ["v=spf1 " + " ".join(f"a:h{n}.lookups.example" for n in range(11)) + " +all"]},
        "void.example": {"TXT": ["v=spf1 a:a.void.example a:b.void.example a:c.void.example +all"]},
        "mxbomb.example": {
            "TXT": ["v=spf1 " + " ".join(f"mx:m{n}.mxbomb.example" for n in range(10)) + " +all"],
        },
        "long.example": {"TXT": ["v=spf1 " + "ip4:192.0.2.1 " * 1000 + "+all"]},
        "term.example": {"TXT": ["v=spf1 a:a." + "a" * 3000 + "! +all"]},
        "digits.example": {"TXT": ["v=spf1 a:%{d" + "9" * 400 + "}.example +all"]},
        "asks.example": {"TXT": ["v=spf1 include:broken.example -all"]},
    }
    for n in range(11):
        zone[f"h{n}.lookups.example"] = {"A": ["192.0.2.99"]}
        zone[f"m{n}.mxbomb.example"] = {"MX": [f"10 x{n}-{m}.mxbomb.example." for m in range(10)]}
        zone |= {f"x{n}-{m}.mxbomb.example": {"A": ["192.0.2.99"]} for m in range(10)}
    with DnsServer(zone) as server:
        server.fail("broken.example")
        yield server


def spf_of(server, env):
    found = authenticate(server, LETTER, env)
    return results(found, "spf")[0], found


@pytest.mark.parametrize(
    ("domain", "result"),
    [
        ("example.org", "pass"),
        ("EXAMPLE.org", "pass"),
        ("soft.example", "softfail"),
        ("neutral.example", "neutral"),
        ("nothing.example", "none"),
        ("two.example", "permerror"),
        ("wrong.example", "permerror"),
        ("included.example", "pass"),
        ("redirected.example", "pass"),
        ("mx.example", "pass"),
        ("macro.example", "pass"),
        ("ptr.example", "pass"),
        ("broken.example", "temperror"),
        ("asks.example", "temperror"),
        ("loop.example", "permerror"),
        ("lookups.example", "permerror"),
        ("void.example", "permerror"),
        ("long.example", "permerror"),
        ("term.example", "permerror"),
        ("digits.example", "pass"),
        ("[192.0.2.7]", "none"),
        ("org", "none"),
        ("not a domain", "none"),
    ],
)
def test_the_domain_of_mail_from_decides(server, domain, result):
    word, found = spf_of(server, envelope(b"ann@" + domain.encode()))
    assert word == result
    assert found.sender_domain == (domain.lower() if result == "pass" else "")
    assert (found.sender_domain in found.domains) == (result == "pass")
    assert found.is_unsure == (result == "temperror")


def test_another_client_fails(server):
    word, found = spf_of(server, envelope(source="192.0.2.8"))
    assert word == "fail"
    assert not found.sender_domain


@pytest.mark.parametrize("source", ["2001:db8::1", "::ffff:192.0.2.7"])
def test_clients_with_ipv6_are_judged(server, source):
    assert spf_of(server, envelope(source=source))[0] == "pass"


def test_for_a_bounce_the_name_of_helo_decides(server):
    word, found = spf_of(server, envelope(b"", helo="host.mx.example"))
    assert (word, found.sender_domain) == ("pass", "host.mx.example")
    assert found.findings[0].properties == (("smtp.helo", "host.mx.example"),)


@pytest.mark.parametrize("helo", ["", "[192.0.2.7]", "localhost", "192.0.2.7", "a b", "ü" * 100])
def test_a_bounce_from_a_client_without_a_name_has_no_result(server, helo):
    assert spf_of(server, envelope(b"", helo=helo))[0] == "none"


def test_a_source_that_is_not_known_is_not_judged(server):
    before = server.asked("example.org")
    word, _ = spf_of(server, envelope(source_known=False))
    assert word == "none"
    assert server.asked("example.org") == before
    assert spf_of(server, envelope(source="unknown"))[0] == "none"


def test_the_last_at_sign_is_before_the_domain(server):
    word, found = spf_of(server, envelope(b'"ann@soft.example"@example.org'))
    assert (word, found.sender_domain) == ("pass", "example.org")


def test_a_record_that_asks_for_a_hundred_addresses_is_cut_short(server):
    before = server.asked_in_all
    assert spf_of(server, envelope(b"ann@mxbomb.example"))[0] == "permerror"
    assert server.asked_in_all - before <= QUESTIONS_MAX + 10


def test_nobody_asks_for_an_explanation(server):
    spf_of(server, envelope(b"ann@macro.example", source="192.0.2.8"))
    assert server.asked("why.macro.example") == 0


terms = st.lists(
    st.sampled_from(
        [
            "a",
            "mx",
            "ptr",
            "exists:",
            "include:",
            "redirect=",
            "exp=",
            ":",
            "%{",
            "%",
            "d",
            "l",
            "p",
            "r",
            "}",
            "/",
            "//",
            "24",
            " ",
            "-all",
            "+",
            "?",
            "~",
            "ip4:",
            "ip6:",
            "192.0.2.7",
            "::1",
            "hostile.example",
            "ÿ",
            "=",
            ".",
            "op=",
            "default=",
        ]
    ),
    max_size=25,
).map("".join)


@given(terms, st.binary(max_size=60))
def test_no_record_and_no_sender_gets_anything_but_a_result_out(server, record, sender):
    server.replace("hostile.example", "TXT", "v=spf1 " + record)
    spf_of(server, envelope(b"ann@hostile.example"))
    spf_of(server, envelope(sender.replace(b"\0", b"") + b"@hostile.example"))

"""SPF: which clients may send for a domain, and what a hostile record may cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.authenticating import LETTER, authenticate, envelope, results
from tests.support.dns_server import DnsServer

from pennyred.gate.authentication.spf import QUESTIONS_MAX


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


SIX = "2001:db8::7"


@pytest.fixture(scope="module")
def voids(server):
    """Mail servers in plenty that have no IPv6 address, and names that have none at all."""
    for number in range(6):
        server.add("mx4.example", "MX", f"{number} h{number}.mx4.example.")
        server.add(f"h{number}.mx4.example", "A", f"192.0.2.{number + 1}")
    server.add("dual.mx4.example", "AAAA", SIX)
    server.add(
        "dual.mx4.example", "MX", "1 h0.mx4.example.", "2 h1.mx4.example.", "3 h2.mx4.example.", "4 dual.mx4.example."
    )
    return server


@pytest.mark.parametrize(
    ("record", "result"),
    [
        (f"mx:mx4.example ip6:{SIX} -all", "pass"),
        ("mx:dual.mx4.example -all", "pass"),
        (f"mx:mx4.example a:h0.mx4.example ip6:{SIX} -all", "pass"),
        (f"mx:mx4.example mx:dual.mx4.example/24//64 ip6:{SIX} -all", "pass"),
        (f"a:none.mx4.example exists:none.mx4.example ip6:{SIX} -all", "pass"),
        (f"mx:mx4.example a:none.mx4.example exists:none.mx4.example ip6:{SIX} -all", "permerror"),
        (f"exists:%{{i}}.mx4.example exists:a.%{{i}}.mx4.example mx:none.mx4.example ip6:{SIX} -all", "permerror"),
        (f"a:h0.mx4.example a:h1.mx4.example a:h2.mx4.example ip6:{SIX} -all", "permerror"),
        (f"ip6:{SIX} a:h0.mx4.example a:h1.mx4.example a:h2.mx4.example -all", "pass"),
        ("include:inner.mx4.example a:h2.mx4.example -all", "permerror"),
        (f"include:inner.mx4.example ip6:{SIX} -all", "pass"),
    ],
)
def test_void_questions_are_counted_by_terms(voids, record, result):
    """RFC 7208 section 4.6.4: a term that asks for ten mail servers is one term."""
    voids.replace("inner.mx4.example", "TXT", "v=spf1 mx:mx4.example a:h1.mx4.example -all")
    voids.replace("terms.example", "TXT", "v=spf1 " + record)
    found = authenticate(voids, LETTER, envelope(b"x@terms.example", source=SIX))
    assert results(found, "spf") == [result]


def test_mail_servers_are_asked_for_one_after_the_other_until_one_matches(server):
    server.replace("many.example", "MX", *(f"{number} m{number}.many.example." for number in range(5)))
    for number in range(5):
        server.replace(f"m{number}.many.example", "A", f"192.0.2.{number + 5}")
    server.replace("many.example", "TXT", "v=spf1 mx -all")
    assert spf_of(server, envelope(b"x@many.example"))[0] == "pass"
    assert [server.asked(f"m{number}.many.example", "A") for number in range(5)] == [1, 1, 1, 0, 0]


def test_a_mail_server_of_which_nothing_is_known_hides_no_other(server):
    server.replace("lame.example", "MX", "1 broken.lame.example.", "2 good.lame.example.")
    server.replace("good.lame.example", "A", "192.0.2.7")
    server.replace("lame.example", "TXT", "v=spf1 mx -all")
    server.fail("broken.lame.example")
    assert spf_of(server, envelope(b"x@lame.example"))[0] == "pass"
    assert spf_of(server, envelope(b"x@lame.example", source="192.0.2.8"))[0] == "temperror"


@pytest.mark.parametrize(
    ("record", "result"),
    [
        ("ptr ip4:192.0.2.9 -all", "pass"),
        ("ip4:192.0.2.9 ptr -all", "pass"),
        ("ptr -all", "temperror"),
        ("ptr:%{p} ip4:192.0.2.9 -all", "pass"),
    ],
)
@pytest.mark.parametrize("is_reverse", [True, False], ids=["its zone", "its name"])
def test_a_client_whose_own_names_cannot_be_known_may_be_let_in_by_another_term(server, record, result, is_reverse):
    """RFC 7208 section 5.5; but nobody is refused for what is not known."""
    server.replace("9.2.0.192.in-addr.arpa", "PTR", "host.client.example.")
    server.fail("9.2.0.192.in-addr.arpa" if is_reverse else "host.client.example")
    server.replace("names.example", "TXT", "v=spf1 " + record)
    try:
        assert spf_of(server, envelope(b"x@names.example", source="192.0.2.9"))[0] == result
    finally:
        server.mend("9.2.0.192.in-addr.arpa" if is_reverse else "host.client.example")


def test_of_several_names_of_a_client_one_may_do(server):
    server.replace("10.2.0.192.in-addr.arpa", "PTR", "broken.client.example.", "host.named.example.")
    server.replace("host.named.example", "A", "192.0.2.10")
    server.fail("broken.client.example")
    server.replace("named.example", "TXT", "v=spf1 ptr -all")
    assert spf_of(server, envelope(b"x@named.example", source="192.0.2.10"))[0] == "pass"


@pytest.mark.parametrize(
    ("texts", "result"),
    [
        (["v=spf1 " + "ip4:198.51.100.1 " * 20 + "ip4:192.0.2.7 -all"], "pass"),
        (["v=spf1 ip4:192.0.2.7 -all", "v=spf10 -all", "other\xff"], "pass"),
        (["V=SPF1 IP4:192.0.2.7 -ALL"], "pass"),
        (["v=spf1 ip4:192.0.2.7 -all", "v=spf1 ip4:192.0.2.7 -all "], "permerror"),
        (["v=spf1\tip4:192.0.2.7 -all"], "none"),
        (["v=spf1 ip4:192.0.2.7 \xff -all"], "permerror"),
    ],
)
def test_a_record_may_have_many_strings_and_stand_beside_others(server, texts, result):
    server.replace("strings.example", "TXT", *texts)
    assert spf_of(server, envelope(b"x@strings.example"))[0] == result


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

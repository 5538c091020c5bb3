"""`Authentication-Results` as real servers write it is read result by result; what cannot be read is none."""

import re

import authres
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pennyred.gate.authentication.claims import CLAIMS_MAX, VALUE_BYTES_MAX, read_claims, says_author_passes
from pennyred.gate.rules.authres import resinfos
from pennyred.gate.rules.origin import Finding, Result


def read(value):
    """Like {"dkim": [("pass", {"header.d": "example.org"})]}."""
    claims = read_claims(value if isinstance(value, bytes) else value.encode())
    found = {}
    for one in claims.results if claims else ():
        found.setdefault(one.method, []).append((one.result, dict(one.properties)))
    return found


EXIM = """mx.example.org;
\tiprev=pass (mail.example.com) smtp.remote-ip=2001:db8::7;
\tspf=none smtp.helo=[IPv6:2001:db8::7];
\tdkim=pass header.d=example.org header.i=@example.org header.s=ed header.a=ed25519-sha256;
\tdkim=pass header.d=other.example header.i="a b"@other.example header.s=rsa header.a=rsa-sha256"""
OPENDKIM = """mx.example.org;
\tdkim=pass (2048-bit key; unprotected) header.d=example.org header.i=@example.org header.a=rsa-sha256 header.s=rsa header.b=EGlT2jqU;
\tdkim-atps=neutral"""
OPENDMARC = "mx.example.org; dmarc=pass (p=none dis=none) header.from=example.org"
POLICYD_SPF = (
    "mx.example.org; spf=pass (sender SPF authorized) smtp.mailfrom=example.org"
    " (client-ip=2001:db8::7; helo=[ipv6:2001:db8::7]; envelope-from=ann@example.org; receiver=example.org)"
)
RSPAMD = """mx.example.org;
\tdkim=pass header.d=example.org header.s=ed header.b="LuID/9Rc";
\tspf=pass (mx.example.org: domain of "a;
\tb@example.org" designates 192.0.2.7 as permitted sender) smtp.mailfrom="a;
\tb@example.org";
\tdmarc=pass (policy=none) header.from=example.org"""
GOOGLE = """mx.google.com;
       dkim=pass header.i=@example.org header.s=s1 header.b=ab+/cd==;
       arc=pass (i=1 spf=pass spfdomain=x.example dkim=pass dmarc=pass fromdomain=example.org);
       spf=pass (google.com: domain of x@example.org designates 2001:db8::7 as permitted sender) smtp.mailfrom=x@example.org;
       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=example.org"""
MICROSOFT = """mx.microsoft.com 1; spf=pass (sender ip is 192.0.2.7)
 smtp.rcpttodomain=other.example smtp.mailfrom=example.org; dmarc=pass (p=none sp=none
 pct=100) action=none header.from=example.org; dkim=pass (signature was
 verified) header.d=example.org; arc=none (0)"""
OPENARC = "mx.example.org; arc=none smtp.remote-ip=2001:db8::7; dkim=pass header.d=example.org;"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (EXIM, {"dkim": ["example.org", "other.example"], "spf": [""], "iprev": [""]}),
        (OPENDKIM, {"dkim": ["example.org"], "dkim-atps": [""]}),
        (OPENDMARC, {"dmarc": ["example.org"]}),
        (POLICYD_SPF, {"spf": ["example.org"]}),
        (RSPAMD, {"dkim": ["example.org"], "spf": ["example.org"], "dmarc": ["example.org"]}),
        (GOOGLE, {"dkim": ["example.org"], "arc": [""], "spf": ["example.org"], "dmarc": ["example.org"]}),
        (MICROSOFT, {"spf": ["example.org"], "dmarc": ["example.org"], "dkim": ["example.org"], "arc": [""]}),
        (OPENARC, {"arc": [""], "dkim": ["example.org"]}),
    ],
    ids=["Exim", "OpenDKIM", "OpenDMARC", "policyd-spf", "rspamd", "Google", "Microsoft", "OpenARC"],
)
def test_what_real_servers_write_is_read_whole(field, expected):
    claims = read_claims(field.replace("\n", "\r\n").encode())
    names = {"dkim": ("header.d", "header.i"), "spf": ("smtp.mailfrom",), "dmarc": ("header.from",)}
    found = {}
    for one in claims.results:
        domains = (one.domain(name) for name in names.get(one.method, ()))
        found.setdefault(one.method, []).append(next(filter(None, domains), ""))
    assert found == expected
    assert claims.writer == field.partition(";")[0].split()[0]


GOOD = "dkim=pass header.d=example.org"


@pytest.mark.parametrize(
    "odd",
    [
        "",
        ";",
        "spf",
        "spf=",
        "=pass",
        "spf=pass=x",
        "spf/2=pass smtp.mailfrom=example.org",
        "spf pass",
        "x-odd=maybe reason=because",
        "iprev=pass policy.iprev=2001:db8::1",
        "spf=none smtp.helo=[IPv6:2001:db8::1]",
        "spf=none smtp.helo=",
        "spf=none smtp.mailfrom=<>",
        "auth=pass smtp.auth=DOMAIN\\ann",
        "dkim=neutral (bad [key]) header.b=a/b+c==",
        'dkim=none header.s="a;b(c" header.x="\\""',
        "a,b=c d:e f/g <h> [i] {j} ?k",
        "dkim=fail header.d=a.example header.d=b.example",
        "ümlaut=pass",
    ],
)
def test_an_odd_result_hides_no_other(odd):
    for field in (f"mx.example; {odd}; {GOOD}", f"mx.example; {GOOD}; {odd}", f"mx.example;\r\n\t{odd};\r\n\t{GOOD};"):
        assert ("pass", {"header.d": "example.org"}) in read(field)["dkim"]


@pytest.mark.parametrize(
    "part",
    [
        "spf/2=pass smtp.mailfrom=x.example",
        "spf=pass smtp.mailfrom=x.example smtp.mailfrom=y.example",
        "spf=pass=x smtp.mailfrom=x.example",
        'spf="pass" smtp.mailfrom=x.example',
    ],
)
def test_a_result_of_another_version_or_that_says_two_things_is_none(part):
    assert "spf" not in read(f"mx.example; {part}; {GOOD}")


@pytest.mark.parametrize(
    "value",
    [
        "",
        ";",
        "mx.example",
        "mx.example none",
        f"mx.example 2; {GOOD}",
        f"mx.example (((; {GOOD}",
        f"mx.example; {GOOD}; spf=pass (",
        f"mx.example; {GOOD}; spf=pass )",
        f'mx.example; {GOOD}; spf=pass smtp.mailfrom="x',
        f"mx.example; {GOOD}; " + "x=y;" * VALUE_BYTES_MAX,
    ],
)
def test_a_field_without_an_end_a_writer_or_a_known_version_is_none(value):
    assert read_claims(value.encode()) is None


def test_nothing_is_claimed_by_a_field_that_says_so():
    assert read_claims(b"mx.example; none").results == ()
    assert read_claims(b" (a) MX.Example (b) 1 (c) ; none ").writer == "mx.example"
    assert read_claims(b'"mx.example"; none').writer == "mx.example"


def test_what_is_quoted_or_commented_is_no_result():
    assert read(f'mx.example; spf=none smtp.helo="x; {GOOD}"; dmarc=none (y; {GOOD} (z))') == {
        "spf": [("none", {"smtp.helo": f"x; {GOOD}"})],
        "dmarc": [("none", {})],
    }


def test_white_space_and_comments_may_stand_where_they_may():
    field = (
        'mx.example ; dkim (a) / (b) 1 = (c) pass (d) header (e) . (f) d = (g) example.org header.s ="x y" ; spf=fail'
    )
    assert read(field) == {"dkim": [("pass", {"header.d": "example.org", "header.s": "x y"})], "spf": [("fail", {})]}


def test_results_are_not_too_many():
    assert len(read_claims(b"mx.example" + b"; spf=pass" * 100).results) == CLAIMS_MAX


def test_an_author_who_passes_and_fails_does_not_pass():
    both = read_claims(b"mx.example; dmarc=pass header.from=a.example; dmarc=fail header.from=a.example").results
    assert says_author_passes(both[:1], "a.example")
    assert not says_author_passes(both, "a.example")
    assert not says_author_passes(both[:1], "b.example")


words = st.text("abcXYZ.-_+0", min_size=1, max_size=12)
values = words | st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=20)
properties = st.lists(
    st.tuples(st.sampled_from(["header", "smtp", "policy"]), st.sampled_from("abcd"), values), max_size=4
)
written = st.lists(st.tuples(st.sampled_from(["spf", "x-one", "dmarc"]), st.sampled_from(["pass", "fail"]), properties))


@given(written)
def test_what_we_write_ourselves_we_read_too(results):
    findings = []
    for method, result, said in results[:9]:
        once = {f"{kind}.{name}": value.replace("\\", "?").replace('"', "?") for kind, name, value in said}
        findings.append(Finding(method, Result(result), tuple(once.items())))
    field = "mx.example" + "".join(f";\r\n {one}" for one in resinfos(findings)) if findings else "mx.example; none"
    read_back = read_claims(field.encode()).results
    assert [(one.method, one.result, one.properties) for one in read_back] == [
        (one.method, str(one.result), one.properties) for one in findings
    ]


def writable(value: str) -> str:
    """The library writes a value with an @ as it is, quotes and brackets and all, and then drops what it cannot read."""
    return re.sub(r"[^\w.@+-]", "?", value) if "@" in value else value


@given(written)
@example([("spf", "pass", [("header", "a", '"@')])])
def test_what_the_library_of_that_name_can_read_is_read_alike(results):
    theirs = []
    for method, result, said in results[:9]:
        once = {
            f"{kind}.{name}": authres.AuthenticationResultProperty(kind, name, writable(value))
            for kind, name, value in said
        }
        theirs.append(authres.AuthenticationResult(method, result=result, properties=list(once.values())))
    field = authres.AuthenticationResultsHeader(authserv_id="mx.example", results=theirs).header_value()
    try:
        expected = authres.AuthenticationResultsHeader.parse_value(field)
    except authres.core.SyntaxError:
        return
    ours = read_claims(field.encode())
    assert ours is not None, field
    if len(ours.results) == len(expected.results):
        for one, other in zip(ours.results, expected.results, strict=True):
            assert (one.method, one.result) == (str(other.method), str(other.result))


pieces = st.sampled_from(
    ["mx", ";", "=", "pass", " ", "\r\n ", "(", ")", '"', "\\", ".", "header.d", "/", "1", "\ue000", "é"]
)


@given(st.lists(pieces, max_size=60).map("".join) | st.text(max_size=200))
def test_anything_is_a_field_or_none(text):
    read_claims(
        text.encode("utf-8", "surrogatepass") if "\ud800" <= max(text, default="") <= "\udfff" else text.encode()
    )


@pytest.mark.parametrize("piece", ["(", "()", '"', '""', "\\", " ", "a", "a.", "a=", ";", "a.a= ", "\r\n ", "/ ", "1 "])
def test_a_long_field_is_read_in_time_that_grows_with_its_length(piece):
    read_claims((("mx.example; spf=pass " + piece * VALUE_BYTES_MAX)[:VALUE_BYTES_MAX]).encode())

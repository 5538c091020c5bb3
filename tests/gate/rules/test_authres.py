"""The gate's own Authentication-Results, and others' claims to be its own; no stranger's value gets out of its place."""

from itertools import pairwise

import authres
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.rules.authres import (
    FINDINGS_MAX,
    RESULTS_MAX,
    authentication_results_field,
    claims_to_be_ours,
    resinfos,
)
from pennyred.gate.rules.origin import Finding, Result
from pennyred.postage.digest import FIELDS
from pennyred.postage.letter import Field, parse_header
from pennyred.postage.reasons import Kind, Reason

US = "mx.example.org"


def plainly(*reasons: Reason) -> list[tuple[Reason, tuple[str, ...]]]:
    """Results of letters that nobody has altered."""
    return [(reason, ()) for reason in reasons]


def claims(text: bytes, hostname: str = US) -> bool:
    (field,) = parse_header(text + b"\r\n").fields
    return claims_to_be_ours(field, hostname)


def test_one_result_for_each_distinct_reason_in_the_order_of_the_list() -> None:
    field = authentication_results_field(US, plainly(Reason.NO_STAMP, Reason.STAMPED, Reason.POSTMASTER))
    assert field == (
        b"Authentication-Results: mx.example.org;\r\n x-postage=none reason=postmaster;\r\n"
        b" x-postage=pass reason=stamped;\r\n x-postage=fail reason=no-stamp\r\n"
    )


def test_nothing_judged_is_none() -> None:
    assert authentication_results_field(US, ()) == b"Authentication-Results: mx.example.org; none\r\n"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_word(reason: Reason) -> None:
    word = {Kind.PAID: b"pass", Kind.EXEMPT: b"none"}.get(reason.kind, b"fail")
    assert b" x-postage=%s reason=%s\r\n" % (word, reason.encode()) in authentication_results_field(US, plainly(reason))


def test_what_was_altered_on_the_way_is_a_property_of_our_own_policy():
    """A comma is no part of a plain value (RFC 8601 section 2.2, RFC 2045 section 5.1): it stands in quotes."""
    results = [
        (Reason.STAMPED_MODIFIED, ("subject", "body")),
        (Reason.STAMPED_MODIFIED, ("to",)),
        (Reason.STAMPED_MODIFIED, ("to",)),
        (Reason.ALTERED_BODY, ("body",)),
    ]
    field = authentication_results_field(US, results)
    assert field == (
        b"Authentication-Results: mx.example.org;\r\n"
        b' x-postage=pass reason=stamped-modified policy.altered="subject,body";\r\n'
        b' x-postage=pass reason=stamped-modified policy.altered="to";\r\n'
        b' x-postage=fail reason=altered-body policy.altered="body"\r\n'
    )
    read = authres.AuthenticationResultsHeader.parse(field.decode().replace("\r\n", ""))
    first = read.results[0]
    assert (first.method, first.result, first.reason) == ("x-postage", "pass", "stamped-modified")
    assert [(one.type, one.name, one.value) for one in first.properties] == [("policy", "altered", "subject,body")]


def test_however_differently_the_copies_of_a_letter_were_altered_the_field_is_bounded():
    names = (*FIELDS, "body")
    altered = [tuple(name for place, name in enumerate(names) if bits >> place & 1) for bits in range(1, 128)]
    results = [(reason, one) for reason in (Reason.STAMPED_MODIFIED, Reason.ALTERED_BODY) for one in altered]
    field = authentication_results_field(US, results)
    assert field.count(b"x-postage=") == RESULTS_MAX
    assert max(len(line) for line in field.split(b"\r\n")) <= 78
    assert claims(field.removesuffix(b"\r\n"))


def test_lines_are_short_whatever_the_reasons() -> None:
    field = authentication_results_field(US, plainly(*Reason))
    assert max(len(line) for line in field.split(b"\r\n")) <= 78
    assert claims(field.removesuffix(b"\r\n"))


@pytest.mark.parametrize(
    "text",
    [
        b"Authentication-Results: mx.example.org; none",
        b"AUTHENTICATION-RESULTS: MX.Example.ORG; x-postage=pass",
        b"Authentication-Results : mx.example.org; none",
        b"Authentication-Results:mx.example.org;none",
        b"Authentication-Results:\r\n\tmx.example.org\r\n ; none",
        b'Authentication-Results: "mx.example.org"; none',
        b'Authentication-Results: "mx\\.example.org" 1; none',
        b"Authentication-Results: mx.example.org 1; none",
        b"Authentication-Results: (a (nested) \\) comment) mx.example.org (another) 1; none",
        b"Authentication-Results: mx.example.org. ; none",
        b"Authentication-Results: mx.example.org/1; none",
        b"Authentication-Results: mx.example.org",
        b"Authentication-Results: mx.exa(comment)mple.org; x-postage=pass",
        b"Authentication-Results: mx.exam\r\n ple.org; x-postage=pass",
        b"Authentication-Results: mx.example.org=; x-postage=pass",
        b'Authentication-Results: (\r\n folded) "mx.example.org"(1)1(.0); x-postage=pass',
        b"Authentication-Results: (" + b"x" * 10_000 + b") mx.example.org; x-postage=pass",
        b"Authentication-Results:" + b" (padding)" * 2000 + b" mx.example.org; none",
    ],
)
def test_a_claim_is_recognised_however_it_is_spelled(text: bytes) -> None:
    assert claims(text)


@pytest.mark.parametrize(
    "text",
    [
        b"Authentication-Results: mx2.example.org; none",
        b"Authentication-Results: example.org; none",
        b"Authentication-Results: mx.example.org.evil.example; none",
        b"Authentication-Results: other.example (mx.example.org); none",
        b"Authentication-Results: other.example; x-postage=pass reason=mx.example.org",
        b'Authentication-Results: other.example; reason="mx.example.org"',
        b"Authentication-Results: (never closed mx.example.org; x-postage=pass",
        b"Authentication-Results: amx.example.org; x-postage=pass",
        b"Authentication-Results: ;",
        b"ARC-Authentication-Results: i=1; mx.example.org; none",
        b"Authentication-Result: mx.example.org; none",
        b"Authentication-Results:",
        b"mx.example.org",
    ],
)
def test_what_others_say_in_their_own_name_stays(text: bytes) -> None:
    assert not claims(text)


def test_an_internationalised_name_is_recognised_in_both_its_forms() -> None:
    ours = "mx.xn--bcher-kva.example"
    assert claims("Authentication-Results: mx.bücher.example; none".encode(), ours)
    assert claims(b"Authentication-Results: mx.xn--bcher-kva.example; none", ours)
    assert not claims(b"Authentication-Results: mx.bucher.example; none", ours)


@given(
    st.lists(
        st.sampled_from([b"(", b")", b'"', b"\\", b"mx.example.org", b" ", b";", b"x", b"\xff", b"\r\n "]), max_size=30
    )
)
def test_any_field_is_ours_or_not(pieces: list[bytes]) -> None:
    field = Field(b"Authentication-Results:" + b"".join(pieces) + b"\r\n", b"authentication-results")
    assert claims_to_be_ours(field, US) in (True, False)


@pytest.mark.parametrize("pattern", [b"(", b'"', b"\\", b"()", b'"(', b" ", b"a(b)", b"\\("], ids=repr)
def test_a_field_made_to_hurt_is_read_in_linear_time(pattern: bytes) -> None:
    """Megabytes of it: with time squared, this would never end."""
    field = Field(
        b"Authentication-Results:" + pattern * (2**20 // len(pattern)) + b"mx.example.org\r\n",
        b"authentication-results",
    )
    assert claims_to_be_ours(field, US) in (True, False)


def test_the_reasons_are_listed_class_by_class() -> None:
    order = [Kind.EXEMPT, Kind.PAID, Kind.DUE, Kind.LATER]
    assert all(order.index(one.kind) <= order.index(next_.kind) for one, next_ in pairwise(Reason))


findings = st.builds(
    Finding,
    st.sampled_from(["spf", "dkim", "dmarc", "arc"]),
    st.sampled_from(Result),
    st.lists(
        st.tuples(st.sampled_from(["header.d", "header.b", "smtp.mailfrom"]), st.text(max_size=400)), max_size=8
    ).map(tuple),
)


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (Finding("spf", Result.NONE), "spf=none"),
        (Finding("spf", Result.PASS, (("smtp.mailfrom", "x.example"),)), "spf=pass smtp.mailfrom=x.example"),
        (Finding("dkim", Result.FAIL, (("header.d", ""),)), "dkim=fail"),
        (Finding("dkim", Result.PASS, (("header.b", "a/b+c=d"),)), 'dkim=pass header.b="a/b+c=d"'),
        (
            Finding("dkim", Result.PASS, (("header.s", '"; spf=pass\r\nX-Evil: \x00\\é'),)),
            'dkim=pass header.s="?; spf=pass??X-Evil: ???"',
        ),
    ],
)
def test_a_finding_is_written_as_rfc_8601_has_it(finding, text):
    assert resinfos([finding]) == [text]


@given(st.lists(findings, max_size=30))
def test_whatever_strangers_write_the_field_is_one_field_with_as_many_results(found):
    texts = resinfos(found)
    assert len(texts) == min(len(found), FINDINGS_MAX)
    field = "mx.example.org" + "".join(f";\r\n {text}" for text in texts)
    assert field.isascii()
    lines = field.split("\r\n")
    assert all(line[:1] == " " and len(line) <= 300 for line in lines[1:])
    assert not any("\r" in line or "\n" in line for line in lines)
    if texts:
        read = authres.AuthenticationResultsHeader.parse_value("".join(lines))
        assert [(one.method, one.result) for one in read.results] == [
            (one.method, str(one.result)) for one in found[:FINDINGS_MAX]
        ]

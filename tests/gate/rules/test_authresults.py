"""Findings as words of `Authentication-Results`: no stranger's value gets out of its place."""

import authres
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.rules.authresults import FINDINGS_MAX, resinfos
from pennyred.gate.rules.origin import Finding, Result

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

"""The rules of DMARC that need no DNS (RFC 9989): records, tree walks, organisational domains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.authentication import dmarc
from pennyred.gate.authentication.dmarc import Mode, Record

PLAIN = Record()
NO_SUFFIX = Record(psd="n")
SUFFIX = Record(psd="y")


def test_a_walk_goes_up_label_by_label_to_the_top():
    assert dmarc.walk_names("a.mail.example.org") == ("a.mail.example.org", "mail.example.org", "example.org", "org")


def test_a_walk_from_the_top_asks_once():
    assert dmarc.walk_names("org") == ("org",)


@pytest.mark.parametrize(
    ("labels", "second"),
    [(7, "b.c.d.e.f.org"), (8, "b.c.d.e.f.g.org"), (9, "c.d.e.f.g.h.org"), (20, "n.o.p.q.r.s.org")],
)
def test_a_walk_from_eight_labels_or_more_jumps_to_seven(labels, second):
    start = ".".join("abcdefghijklmnopqrstuvwxyz"[: labels - 1]) + ".org"
    assert dmarc.walk_names(start)[1] == second


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=120))
def test_a_walk_never_asks_more_than_eight_names_and_never_one_twice(labels):
    names = dmarc.walk_names(".".join(labels))
    assert len(names) <= dmarc.QUERIES_MAX
    assert len(set(names)) == len(names)
    assert all(("." + names[0]).endswith("." + name) for name in names)


@pytest.mark.parametrize(
    ("text", "record"),
    [
        (b"v=DMARC1", PLAIN),
        (b"v=DMARC1;", PLAIN),
        (b"v = DMARC1 ; p=none; adkim=s; aspf=r", Record(dkim_mode=Mode.STRICT)),
        (b"v=DMARC1;aspf=S ;ADKIM = r", Record(spf_mode=Mode.STRICT)),
        (b"v=DMARC1; p=reject; psd=y", SUFFIX),
        (b"v=DMARC1; psd=N", NO_SUFFIX),
        (b"v=DMARC1; psd=maybe; adkim=x; ;;=; unknown", PLAIN),
        (b"v=DMARC1; adkim=s; adkim=r", Record(dkim_mode=Mode.STRICT)),
        (b"v=DMARC1; rua=mailto:\xff@example.org; psd=n", NO_SUFFIX),
    ],
)
def test_a_record_is_read_and_what_is_wrong_in_it_is_as_if_it_were_not_there(text, record):
    assert dmarc.parse_record(text) == record


@pytest.mark.parametrize(
    "text",
    [b"", b"v=DMARC10", b"v=dmarc1; p=none", b"p=none; v=DMARC1", b" v=DMARC1", b"v=spf1 -all", b"v=DMARC1;" * 9999],
)
def test_what_does_not_begin_with_the_version_is_no_record(text):
    assert dmarc.parse_record(text) is None


@given(st.binary(max_size=200))
def test_any_octets_behind_the_version_make_a_record(tail):
    assert dmarc.parse_record(b"v=DMARC1;" + tail) is not None


def test_of_several_records_at_one_name_none_counts():
    assert dmarc.only_record([b"v=DMARC1", b"v=DMARC1; psd=n"]) is None
    assert dmarc.only_record([b"v=spf1 -all", b"v=DMARC1; psd=n"]) == NO_SUFFIX
    assert dmarc.only_record([]) is None


@pytest.mark.parametrize(
    ("start", "found", "organisation"),
    [
        ("a.example.org", {}, "a.example.org"),
        ("a.example.org", {"a.example.org": PLAIN}, "a.example.org"),
        ("a.example.org", {"a.example.org": PLAIN, "example.org": PLAIN}, "example.org"),
        ("a.example.org", {"example.org": PLAIN, "org": PLAIN}, "org"),
        ("a.b.example.org", {"a.b.example.org": PLAIN, "b.example.org": NO_SUFFIX}, "b.example.org"),
        ("a.b.example.org", {"b.example.org": PLAIN, "org": SUFFIX}, "example.org"),
        ("example.org", {"org": SUFFIX}, "example.org"),
        ("org", {"org": SUFFIX}, "org"),
        ("a.b.c.d.e.f.g.h.example.co.test", {"co.test": SUFFIX}, "example.co.test"),
    ],
)
def test_the_organisational_domain_follows_from_the_records_found(start, found, organisation):
    assert dmarc.organisational_domain(start, found) == organisation


def test_the_record_of_the_author_goes_before_that_of_the_organisation():
    strict = Record(dkim_mode=Mode.STRICT)
    assert dmarc.policy_record("a.example.org", {"a.example.org": strict, "example.org": PLAIN}) == strict
    assert dmarc.policy_record("a.example.org", {"example.org": strict}) == strict
    assert dmarc.policy_record("a.example.org", {"org": SUFFIX}) == SUFFIX
    assert dmarc.policy_record("a.example.org", {}) is None

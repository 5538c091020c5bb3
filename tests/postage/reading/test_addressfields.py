"""Address fields are read as the standard library reads them, in a time that does not grow with the square; and some that
it refuses, though programs write them and mail servers take them.
"""

import re
from email.errors import InvalidHeaderDefect
from email.headerregistry import HeaderRegistry

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.corpus import corpus_letters

from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.reading.addressfields import MAILBOX_BYTES_MAX, read_addresses


def ours(value: str) -> list[str] | None:
    (field,) = parse_header(b"To: " + value.encode("utf-8", "surrogateescape") + b"\r\n").fields
    try:
        return list(read_addresses(field))
    except MalformedAddress:
        return None


def the_librarys(value: str) -> list[str] | None:
    try:
        read = HeaderRegistry()("To", value)
        addresses = [address.addr_spec for address in read.addresses]
    except Exception:
        return None
    return None if any(isinstance(defect, InvalidHeaderDefect) for defect in read.defects) else addresses


words = st.sampled_from(
    [
        "a@b.example", "Bob", "<c@d.example>", ",", " ", ":", ";", '"x, y: z;"', '(c, <; (d\\) ")', "=?utf-8?q?a=2Cb?= ",
        "(", ")", "e@", "[1.2.3.4]", "Team: ", "; ",
    ]
)  # fmt: skip


@given(st.lists(words, max_size=8).map("".join))
def test_what_is_read_is_what_the_library_reads_of_the_whole_or_nothing(value):
    """Less the space behind a group, for which the library refuses an empty one; and brackets in a name, as many
    programs write them, which it refuses where no quotes are around them.
    """
    found = ours(value)

    value = re.sub("; +", ";", value)
    assert found is None or found in (the_librarys(value), the_librarys(value.replace("[1.2.3.4]", '"[1.2.3.4]"')))


@given(st.text('ab@.,:;<>()[]"\\ ', max_size=30))
def test_any_field_is_read_or_refused_and_nothing_else(value):
    ours(value)


def test_real_fields_are_read_as_the_library_reads_them():
    for name, letter in corpus_letters():
        for field in parse_header(split_letter(letter)[0]).fields:
            if field.key in {b"to", b"cc", b"from", b"reply-to"}:
                value = field.value.replace(b"\r\n", b"").decode("utf-8", "surrogateescape")
                found, librarys = ours(value), the_librarys(value)
                assert found == librarys or (librarys is None and ".@" in value), name


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("Tea <3 (I <3 tea, you: too;) <a@b.example>", None),
        ("Ann (I <3 tea, \\) you: too;) <a@b.example>", ["a@b.example"]),
        ("Team: a@b.example", None),
        ("Team: a@b.example;; c@d.example", None),
        ("Team: a@b.example; c@d.example", None),
        ("Team: a@b.example;, c@d.example", ["a@b.example", "c@d.example"]),
        (": a@b.example;", None),
        ("<c@d.example>: a@b.example;", None),
        ("Team:;" * 101, None),
        ("a@[IPv6:2001:db8::1], c@d.example", ["a@[IPv6:2001:db8::1]", "c@d.example"]),
        (",, a@b.example,", ["a@b.example"]),
        ("a@b.example (never closed, c@d.example", None),
    ],
)
def test_what_separates_addresses_counts_outside_quotes_and_comments_only(value, found):
    assert ours(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('"=?utf-8?q?a=2Cb?=" <a@b.example>', ["a@b.example"]),
        ("=?utf-8?q?a?==?utf-8?q?b?=<a@b.example>, c@d.example", ["a@b.example", "c@d.example"]),
        (".a@b.example, a..b@b.example, <a.@b.example>", [".a@b.example", "a..b@b.example", "a.@b.example"]),
        ("a@b.example <a@b.example>, 'A@b.example' <a@b.example>", ["a@b.example", "a@b.example"]),
        ("Sales [EU] <a@b.example>", ["a@b.example"]),
        ("Sales [c@d.example] <a@b.example>", None),
        ("c@[192.0.2.1] <a@b.example>", None),
        ("c@d.example a@b.example <a@b.example>", None),
        ("Bob <a..b@b.example> x", None),
        ("a@b.example <c@d.example>", None),
        ("Bob <a@b.example", None),
        ("<a@b.example> <c@d.example>", None),
        ("a b@c.example", None),
        ("=?utf-8?q?a=40b.example?=", None),
    ],
)
def test_names_and_dots_that_the_library_refuses_are_read_and_nothing_is_guessed(value, found):
    assert ours(value) == found


@pytest.mark.parametrize("mark", [",", '"', '"\\', "<", "[", "(", ":", "a:;,", "\\", "=?utf-8?q?a?= ", "a."])
def test_no_stranger_makes_a_field_that_takes_minutes(mark):
    """By the time limit of every test: the library alone takes minutes for some of these."""
    ours(mark * (190_000 // len(mark)) + "a@b.example")


def test_one_address_has_a_limit():
    assert ours("a" * MAILBOX_BYTES_MAX + "@b.example") is None

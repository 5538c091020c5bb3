"""Addresses in the spelling that no server alters say the same as before (tests/wire/test_submitted.py asks servers)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.other_readers import people
from tests.support.strange_addresses import LEFT_ALONE, WRITTEN_ANEW

from pennyred.postage.address import canonical_recipient
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import parse_header
from pennyred.postage.reading.addressfields import read_addresses
from pennyred.sender.travel.addressforms import settled_field


def settled(value: str | bytes, said: list[str] | None = None) -> bytes:
    octets = value.encode() if isinstance(value, str) else value
    [field] = parse_header(b"To: " + octets + b"\r\n").fields
    return settled_field(field, "sender.example", (said if said is not None else []).append)


@pytest.mark.parametrize("value", LEFT_ALONE)
def test_what_no_server_alters_stays_byte_for_byte(value):
    said = []
    assert settled(value, said) == f"To: {value}\r\n".encode()
    assert said == []


@pytest.mark.parametrize("value", WRITTEN_ANEW)
def test_what_servers_alter_is_altered_once(value):
    once = settled(value)

    assert once != f"To: {value}\r\n".encode()
    assert settled(once.removeprefix(b"To: ").removesuffix(b"\r\n")) == once


UNREAD = ("Ann O'Neil [x]", "Bob @ home", "Bob <bob@Example", "bob . b", "(Bob)", ". <")
"""How those begin at which Python's library gives up."""


@pytest.mark.parametrize("value", [one for one in [*WRITTEN_ANEW, *LEFT_ALONE] if not one.startswith(UNREAD)])
def test_another_reader_reads_the_same_people(value):
    """But that those without a domain have one, and quotes are where RFC 5322 has them."""
    before, after = (people(letter + b"\r\n") for letter in (f"To: {value}\r\n".encode(), settled(value)))

    def bare(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [
            (name.strip("'"), address.replace('"', "").lower().removesuffix("@sender.example"))
            for name, address in found
        ]

    assert bare(after) == bare(before)


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        ("Bob @ home <bob@example.org>", '"Bob @ home" <bob@example.org>'),
        ("Ann O'Neil [x] <a@b.example>", '"Ann O\'Neil [x]" <a@b.example>'),
        ("Bob <bob@Example.ORG.>", "Bob <bob@Example.ORG>"),
        ("bob . b @ example . org", "bob.b@example.org"),
        ("<@relay.example,@r2.example:bob@example.org>", "<bob@example.org>"),
        ("a..b@x.example", '"a..b"@x.example'),
        ('"bob"@example.org', "bob@example.org"),
        ("=?utf-8?q?J=C3=B6rg_M.?= <b@x.example>", "=?utf-8?q?J=C3=B6rg_M=2E?= <b@x.example>"),
    ],
)
def test_each_strange_spelling_becomes_the_plain_one(value, spelt):
    assert settled(value) == f"To: {spelt}\r\n".encode()


def test_a_domain_that_is_guessed_is_said():
    said = []

    assert settled("root, Bob <bob>", said) == b"To: root@sender.example, Bob <bob@sender.example>\r\n"
    assert said == [
        "the To field: 'root' has no domain, and becomes root@sender.example",
        "the To field: 'bob' has no domain, and becomes bob@sender.example",
    ]


@pytest.mark.parametrize("value", ["a!b", "user%host", "x@y.example, a!b"])
def test_what_servers_turn_into_different_addresses_is_refused(value):
    with pytest.raises(MalformedAddress, match="servers differ in what it means"):
        settled(value)


@pytest.mark.parametrize(
    "value",
    [
        "Bob Smith",
        "a@b.example; c@d.example",
        "<a@b.example",
        "a@b@c.example",
        "Team: a@b.example",
        "((",
        "x <a@b.example> y",
        "a@b.example..",
        "<a@..>",
        "a@.",
        "a@b..example",
        "<@x.example:a@.b.example>",
    ],
)
def test_what_is_no_address_stays_and_it_is_said(value):
    said = []

    assert settled(value, said) == f"To: {value}\r\n".encode()
    assert said == ["the To field has something that is no address: a server that mends it makes the stamp void"]


def test_half_a_domain_is_said():
    said = []

    settled("a@localhost, b@x.example", said)

    assert said == ["the To field: a@localhost has half a domain: a server that completes it makes the stamp void"]


words = st.sampled_from(
    [
        "a@b.example",
        "Bob",
        "<c@d.example>",
        ",",
        " ",
        ":",
        ";",
        '"x, y: z."',
        "(c, <; d)",
        "=?utf-8?q?a.b?=",
        "(",
        ")",
        "e@",
        "B.",
        "'",
        ".",
        "[x]",
        "root",
        '"',
        "\\",
        "<",
        "ö",
    ]
)


@given(st.lists(words, max_size=10).map("".join))
def test_any_field_is_settled_once_and_keeps_its_addresses(value):
    [before] = parse_header(f"To: {value}\r\n".encode()).fields
    try:
        once = settled(value)
        recipients = [canonical_recipient(address) for address in read_addresses(before)]
    except MalformedAddress:
        return
    [after] = parse_header(once).fields

    assert [canonical_recipient(address) for address in read_addresses(after)] == recipients
    assert settled_field(after, "sender.example", [].append) == once

"""Approving a sender: whom, and by which proof they are known again."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.quarantine.approval import approve_sender, proven
from pennyred.gate.rules.origin import UNPROVEN, Authentication
from pennyred.postage.letter import parse_header

LIST = b"From: Ann <ann@sender.example>\r\nList-Id: Tea\r\n lovers <Tea.lists.example>\r\n"
PERSON = b"From: Ann <Ann@Sender.example>\r\n"


class Book:
    def __init__(self):
        self.permits = []

    async def add(self, user, kind, name, proof, *, expires_day):
        self.permits.append((user, kind, name, proof, expires_day))


def approved(header, authenticated="", source="198.51.100.7", user="Bob@example.org"):
    book = Book()
    said = asyncio.run(
        approve_sender(book, user=user, header=parse_header(header), source=source, authenticated=authenticated)
    )
    return book.permits, said


@pytest.mark.parametrize(
    ("header", "authenticated", "kind", "name", "proof"),
    [
        (PERSON, "author=sender.example domain=x.example", "address", "ann@sender.example", ""),
        (PERSON, "domain=sender.example", "address", "ann@sender.example", "198.51.100.0/24"),
        (PERSON, "author=other.example", "address", "ann@sender.example", "198.51.100.0/24"),
        (PERSON, "", "address", "ann@sender.example", "198.51.100.0/24"),
        (LIST, "domain=lists.example", "list", "tea.lists.example", ""),
        (LIST, "author=sender.example domain=sender.example", "list", "tea.lists.example", "198.51.100.0/24"),
        (LIST, "domain=example", "list", "tea.lists.example", "198.51.100.0/24"),
        (LIST, "domain=s.example", "list", "tea.lists.example", "198.51.100.0/24"),
        (LIST + b"List-Id: <x.y>\r\n", "", "address", "ann@sender.example", "198.51.100.0/24"),
    ],
)
def test_a_list_is_approved_as_a_list_and_anybody_else_by_address(header, authenticated, kind, name, proof):
    permits, said = approved(header, authenticated)
    assert permits == [("bob@example.org", kind, name, proof, None)]
    assert name in said
    assert proof in said


def test_an_ipv6_source_counts_by_its_64():
    permits, _ = approved(PERSON, source="2001:db8:1:2:3::7")
    assert permits[0][3] == "2001:db8:1:2::/64"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"From: \r\n",
        b"From: a@x.example, b@x.example\r\n",
        PERSON + PERSON,
        b"From: postmaster\r\n",
        b"From: ;;<\r\n",
    ],
)
def test_who_does_not_name_one_sender_is_not_approved(header):
    permits, said = approved(header)
    assert permits == []
    assert said.startswith("nobody is approved")


def test_what_nothing_proves_is_not_approved():
    permits, said = approved(PERSON, source="")
    assert permits == []
    assert "not approved" in said


@given(st.binary(max_size=300), st.text(max_size=100), st.text(max_size=50))
def test_whatever_a_letter_says_there_is_a_sentence(value, authenticated, source):
    for name in (b"From: ", b"List-Id: <"):
        permits, said = approved(name + value + b"\r\n", authenticated, source)
        assert said
        assert len(permits) <= 1


def test_what_was_proven_is_written_as_it_is_read():
    found = Authentication(domains=frozenset(("b.example", "a.example")), author_domain="a.example")
    assert proven(found) == "author=a.example domain=a.example domain=b.example"
    assert proven(UNPROVEN) == ""
    assert len(proven(Authentication(domains=frozenset(f"d{n}.example" for n in range(1000)))).split()) == 20

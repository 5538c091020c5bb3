"""What a letter claims: read once, bounded, and never more than it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.rules import claims
from pennyred.gate.rules.claims import author_of, is_automatic, message_ids, read_claims
from pennyred.postage.address import canonical_recipient
from pennyred.postage.letter import parse_header
from pennyred.postage.reading.addressfields import read_addresses


def author(*values: bytes) -> str | None:
    header = parse_header(b"".join(b"From:%b\r\n" % value for value in values))
    found = author_of(header)
    return found.canonical if found else None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" ann@sender.example", "ann@sender.example"),
        (b" Ann <Ann@SENDER.example>", "ann@sender.example"),
        (b' "Ann, the one" <ann@sender.example>', "ann@sender.example"),
        (b" Ann\r\n <ann@sender.example>", "ann@sender.example"),
        (b" =?utf-8?q?Ann?= <ann@sender.example>", "ann@sender.example"),
        (b" Ann (a comment) <ann@sender.example>", "ann@sender.example"),
        (b' "a b"@sender.example', "a b@sender.example"),
        (b" friends: ann@sender.example;", "ann@sender.example"),
        (b" Smith, Ann <ann@sender.example>", "ann@sender.example"),
        (b" [Shop] Ann <ann@sender.example>", "ann@sender.example"),
        (b" ann@sender.example <Ann@sender.example>", "ann@sender.example"),
        (b" 'ann@sender.example' <ann@sender.example>", "ann@sender.example"),
        (b" x@evil.example (<ann@sender.example>", None),
        (b" x@evil.example, <ann@sender.example>", None),
        (b' "x@evil.example" <ann@sender.example>', "ann@sender.example"),
        ("Ann <ann@b\u00fccher.example>".encode(), "ann@xn--bcher-kva.example"),
        (b" ann@sender.example, bob@sender.example", None),
        (b" a: ann@sender.example, bob@other.example;", None),
        (b" undisclosed:;", None),
        (b" ", None),
        (b" nobody", None),
        (b" <ann@sender.example", None),
        (b" ann@bank.example <ann@evil.example>", None),
        (b" <ann@evil.example> <ann@bank.example>", None),
        (b" " + b"x" * 30_000 + b"@a.example", None),
    ],
)
def test_the_author_is_the_one_mailbox_in_from(value, expected):
    assert author(value) == expected


def test_two_from_fields_have_no_author():
    assert author(b" ann@sender.example", b" ann@sender.example") is None


def test_a_name_that_is_an_address_is_only_a_name():
    assert author(b' "boss@bank.example" <x@evil.example>') == "x@evil.example"


PLAIN = st.tuples(
    st.from_regex(claims._PLAIN_NAME, fullmatch=True), st.from_regex(claims._PLAIN_ADDRESS, fullmatch=True)
).map(lambda pair: b"%b<%b>" % pair)


@given(PLAIN)
def test_the_short_way_reads_what_the_long_way_reads(value):
    [field] = parse_header(b"From:" + value + b"\r\n").fields
    try:
        [slowly] = read_addresses(field)
        slow = canonical_recipient(slowly).canonical
    except ValueError:
        return  # what the short way takes and the long way does not is a dot too many, in a name or an address
    assert author(value) in (slow, None)


@given(
    st.lists(
        st.sampled_from([b'"', b"<", b">", b"(", b")", b"@", b",", b":", b";", b"\\", b"a", b".", b"\xff", b" "]),
        max_size=60,
    )
)
def test_whatever_stands_in_from_nothing_breaks(pieces):
    author(b"".join(pieces))


@pytest.mark.parametrize("octet", [b" ", b'"', b"<", b"(", b"a", b"@", b".", b"=?", b","])
def test_a_long_from_is_read_in_time_that_grows_with_its_length(octet):
    """Else this would take hours."""
    author(octet * 480)
    author(octet * 19_000)
    for name in (b"List-Id", b"References", b"DKIM-Signature"):
        claimed(b"%b: %b\r\n" % (name, octet * 20_000))
        claimed(b"%b: %b\r\n" % (name, (b"<" + octet) * 10_000))
        claimed(b"%b: %b\r\n" % (name, (b";" + octet) * 10_000))


def claimed(header: bytes) -> claims.Claims:
    return read_claims(parse_header(header), None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" The list <Announce.Lists.example.net>", "announce.lists.example.net"),
        (b"\r\n <a.b>", "a.b"),
        (b" announce.lists.example.net", ""),
        (b" <a b.example>", ""),
        (b" <a.example> <b.example>", "b.example"),
        (b" <" + b"a" * 300 + b">", ""),
    ],
)
def test_a_list_id_is_what_stands_in_angle_brackets(value, expected):
    assert claimed(b"List-Id:" + value + b"\r\n").list_id == expected


def test_two_list_ids_are_none():
    assert claimed(b"List-Id: <a.b>\r\nList-Id: <c.d>\r\n").list_id == ""


def test_a_reply_names_what_it_answers_and_the_last_of_its_thread():
    thread = b" ".join(b"<%d@x>" % number for number in range(1000))
    found = claimed(b"In-Reply-To: <me@x>\r\nReferences: %b\r\n" % thread).replied_to
    assert found[0] == b"me@x"
    assert found[1] == b"999@x"
    assert len(found) == claims.REPLIED_TO_MAX


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" v=1; a=rsa-sha256; d=sender.example; s=s1; bh=abc; b=def", ("sender.example",)),
        (b"d=Sender.Example", ("sender.example",)),
        (b" v=1;\r\n\td =\r\n sender.example ;b=x", ("sender.example",)),
        (b" v=1; i=@evil.example; bd=evil.example; bh=d=evil.example; d=sender.example", ("sender.example",)),
        (b" v=1; s=d", ()),
        (b" d=", ()),
    ],
)
def test_a_signer_is_the_d_of_a_dkim_signature(value, expected):
    assert claimed(b"DKIM-Signature:" + value + b"\r\n").signers == expected


def test_five_signatures_are_looked_at():
    header = b"".join(b"DKIM-Signature: d=d%d.example\r\n" % number for number in range(100))
    assert len(claimed(header).signers) == claims.SIGNERS_MAX


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Auto-Submitted: auto-replied\r\n", True),
        (b"Auto-Submitted: auto-generated; owner-email=x@y\r\n", True),
        (b"Auto-Submitted: no\r\n", False),
        (b"Auto-Submitted: No (really)\r\n", True),
        (b"Precedence: bulk\r\n", True),
        (b"Precedence: first-class\r\n", False),
        (b"Subject: Auto-Submitted\r\n", False),
    ],
)
def test_automatic_letters_say_so(header, expected):
    assert is_automatic(parse_header(header)) is expected


def test_a_message_id_is_what_stands_in_angle_brackets():
    assert message_ids(parse_header(b"Message-ID:\r\n <a@b>\r\n"), b"message-id") == [b"a@b"]

"""What binds a stamp to a letter changes when the letter does, and not when it is only passed on."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.at_once import parts_of, texts_of
from tests.support.stationery import LETTER

from pennyred.postage.address import canonical_recipient
from pennyred.postage.digest import (
    DIGEST_BYTES,
    FIELDS,
    HOPS_USUAL,
    LETTER_NAMES,
    TEXT_BYTES_MAX,
    SignedParts,
    body_digest,
    domain_hash,
    field_digests,
    letter_hash,
    recipient_hash,
    signed_parts,
    subject_digest,
)
from pennyred.postage.letter import HeaderSection, parse_header, split_letter

HEADER = parse_header(split_letter(LETTER)[0])
SALT, OTHER_SALT = bytes(16), b"\x01" * 16
PARTS = parts_of(LETTER)


def digests(salt: bytes, parts: SignedParts) -> list[bytes]:
    octets = field_digests(salt, parts)
    assert len(octets) == DIGEST_BYTES * len(FIELDS)
    return [octets[start : start + DIGEST_BYTES] for start in range(0, len(octets), DIGEST_BYTES)]


def header_hash(header: HeaderSection) -> bytes:
    return signed_parts(header, bytes(32)).header_hash


def changed(letter: bytes) -> set[str]:
    """The names of the digests by which a letter differs from LETTER."""
    pairs = zip(FIELDS, digests(SALT, PARTS), digests(SALT, parts_of(letter)), strict=True)
    names = {name for name, one, other in pairs if one != other}
    return names | ({"body"} if body_digest(SALT, PARTS) != body_digest(SALT, parts_of(letter)) else set())


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (b"From: eve@example.net", {"from"}),
        (b"Reply-To: eve@example.net", {"reply-to"}),
        (b"Mail-Reply-To: eve@example.net", {"reply-to"}),
        (b"Mail-Followup-To: eve@example.net", {"reply-to"}),
        (b"Cc: eve@example.net", {"to"}),
        (b"Cc: Bob <BOB@example.org>", set()),
        (b"Cc: nobody:;", set()),
        (b"Reply-To:", set()),
        (b"Subject: Win", {"subject"}),
        (b"Date: now", {"date"}),
        (b"Message-ID: <2@x>", {"message-id"}),
        (b"no field at all", {"body"}),
        (b"Content-Type: text/html", {"body"}),
        (b"Content-Type: text/plain; charset=utf-8", set()),
        (b"Content-Type: TEXT/Plain (as usual)", {"body"}),
        (b"Content-Transfer-Encoding: base64", {"body"}),
        (b"Content-Transfer-Encoding: 8BIT", set()),
        (b"Received: x", set()),
        (b"X-Postage-Stamp: x", set()),
    ],
)
def test_a_field_more_changes_the_digest_of_what_it_says_and_no_other(line: bytes, names: set[str]) -> None:
    assert changed(line + b"\r\n" + LETTER) == names


@pytest.mark.parametrize(
    "spelling",
    [
        b"From: ann@sender.example",
        b"from: =?utf-8?q?=C3=84nn?= <Ann@SENDER.example>",
        b'From: "Ann B. Smith"\r\n <ann@sender.example>',
        b"From: (a comment) ann@sender.example (another)",
        b'From: "ann"@sender.example',
        b"From: friends: ann@sender.example;",
        b"From: ann@sender.example,",
        b"From: ann@sender.example.",
    ],
)
def test_an_author_may_be_spelled_anew(spelling: bytes) -> None:
    assert changed(LETTER.replace(b"From: Ann <ann@sender.example>", spelling)) == set()


@pytest.mark.parametrize(
    "spelling",
    [
        b"From: Ann <ann@sender.example>, eve@example.net",
        b"From: ann@sender.example <eve@example.net>",
        b"From: eve@example.net <ann@sender.example>",
        b"From: <ann@sender.example> <eve@example.net>",
        b"From: ann@sender.example, <eve@example.net",
        b"From: x@y: ann@sender.example;",
        b"From: =?utf-8?q?ann?=@sender.example",
        b"From:",
        b"From: ann@sender.example\x00",
    ],
)
def test_what_readers_may_take_for_somebody_else_is_somebody_else(spelling: bytes) -> None:
    assert changed(LETTER.replace(b"From: Ann <ann@sender.example>", spelling)) == {"from"}


def test_recipients_are_a_set_wherever_they_stand() -> None:
    moved = LETTER.replace(
        b"To: Bob <bob@example.org>\r\n", b"Cc: bob@example.org, Bob@Example.ORG\r\nTo: undisclosed-recipients:;\r\n"
    )
    assert changed(moved) == set()


def test_a_field_that_cannot_be_read_is_signed_as_it_is_written() -> None:
    unreadable = b"To: bob at example.org\r\n"
    one = LETTER.replace(b"To: Bob <bob@example.org>\r\n", unreadable)
    assert changed(one) == {"to"}
    folded = one.replace(unreadable, b"TO:  bob  at\r\n example.org \r\n")
    assert parts_of(folded).texts == parts_of(one).texts


@given(st.binary(max_size=40), st.sampled_from([b"To", b"From", b"Reply-To", b"Subject"]))
def test_whatever_a_field_holds_it_has_a_digest(value: bytes, name: bytes) -> None:
    line = name + b": " + value.replace(b"\n", b"") + b"\r\n"
    assert len(digests(SALT, parts_of(line + LETTER))) == len(FIELDS)


@given(
    st.integers(0, 5),
    st.sampled_from([b"Received", b"X-Postage-Stamp", b"DKIM-Signature", b"MIME-Version"]),
)
def test_other_fields_change_no_header_hash_wherever_they_stand(place: int, name: bytes) -> None:
    (extra,) = parse_header(name + b": x\r\n").fields
    fields = [*HEADER.fields[:place], extra, *HEADER.fields[place:]]
    assert header_hash(parse_header(b"".join(field.raw for field in fields))) == header_hash(HEADER)


@pytest.mark.parametrize("name", LETTER_NAMES)
def test_a_field_more_of_what_stamps_sign_makes_another_letter(name: bytes) -> None:
    assert header_hash(parse_header(name.title() + b": x\r\n" + HEADER.raw)) != header_hash(HEADER)


@pytest.mark.parametrize(("hops", "is_same"), [(1, True), (HOPS_USUAL, True), (HOPS_USUAL + 1, False)])
def test_a_letter_that_servers_may_return_as_going_round_in_a_circle_is_another(hops: int, is_same: bool) -> None:
    circled = parse_header(b"Received: from a by b; now\r\n" * hops + HEADER.raw)
    assert (header_hash(circled) == header_hash(HEADER)) is is_same


@given(st.permutations(HEADER.fields))
def test_the_order_of_different_names_changes_nothing(fields: list) -> None:
    assert header_hash(parse_header(b"".join(field.raw for field in fields))) == header_hash(HEADER)


def test_the_order_of_fields_of_one_name_makes_another_letter() -> None:
    one, other = parse_header(b"To: a\r\nTo: b\r\n"), parse_header(b"To: b\r\nTo: a\r\n")
    assert header_hash(one) != header_hash(other)


def test_the_letter_hash_names_header_body_and_recipient() -> None:
    bob, eve = canonical_recipient("bob@example.org"), canonical_recipient("eve@example.org")
    letters = [LETTER, LETTER.replace(b"<1@", b"<2@"), LETTER + b"x\r\n", b"stray\r\n" + LETTER]
    hashes = {letter_hash(parts_of(letter), bob) for letter in letters} | {letter_hash(PARTS, eve)}
    assert len(hashes) == 5


def test_no_digest_is_the_same_under_another_salt_or_in_another_place() -> None:
    one, other = digests(SALT, PARTS), digests(OTHER_SALT, PARTS)
    assert not set(one) & set(other)
    assert body_digest(SALT, PARTS) != body_digest(OTHER_SALT, PARTS)
    empty = parts_of(b"From: a@example.org\r\n\r\n")
    assert len(set(digests(SALT, empty))) == len(FIELDS)


def test_the_digest_of_a_subject_is_the_one_among_the_fields() -> None:
    place = FIELDS.index("subject")
    assert subject_digest(SALT, PARTS.texts[place]) == digests(SALT, PARTS)[place]


def test_hashes_of_the_same_octets_differ_by_context() -> None:
    postmaster = canonical_recipient("postmaster@postmaster")
    assert recipient_hash(bytes(16), postmaster) != domain_hash(bytes(16), postmaster.canonical)


def test_a_long_text_is_signed_by_its_hash_and_every_octet_of_it_counts() -> None:
    long = LETTER.replace(b"Subject: Tea", b"Subject: " + b"Tea " * 200)
    assert max(map(len, parts_of(long).texts)) <= TEXT_BYTES_MAX
    assert parts_of(long).texts != parts_of(long.replace(b"Tea Tea Tea \r", b"Tea Tea Teb \r")).texts
    edge = [
        LETTER.replace(b"Subject: Tea", b"Subject: " + b"x" * size) for size in (TEXT_BYTES_MAX, TEXT_BYTES_MAX + 1)
    ]
    assert [parts_of(one).texts[3][:1] for one in edge] == [b"x", b"\xff"]


@pytest.mark.parametrize(
    "mark",
    ["\u0301\u0323", "=?utf-8?q?=CC=81=CC=A3?= ", "=?", "=?utf-8?q?a?=", " ", "\r\n ", "(", "<", '"', "\\", "a/", "[x] ", "a:;,",
     "a@b,", "a@\u00e9.b,", "\u00e9"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["Subject", "To", "Reply-To", "Date", "Content-Type", "Content-Transfer-Encoding"])
def test_no_letter_takes_minutes_to_be_read(name: str, mark: str) -> None:
    """By the time limit of every test: a header of four megabytes of these once took half an hour."""
    field = f"{name}: {mark * (3 * 2**20 // len(mark.encode()))}\r\n"
    parts = parts_of(f"From: a@b.example\r\n{field}\r\n".encode())
    assert len(digests(SALT, parts)) == len(FIELDS)


@pytest.mark.parametrize("number", [1, 40])
def test_many_fields_take_no_more_time_than_one(number: int) -> None:
    for name, value in (("Subject", "\u0301\u0323" * 20_000), ("To", "a@\u00e9.b," * 10_000)):
        letter = "From: a@b.example\r\n" + f"{name}: {value}\r\n" * number + "\r\n"
        assert any(text.startswith(b"\xff") for text in parts_of(letter.encode()).texts)
        assert texts_of(parse_header(letter.encode()))[FIELDS.index(name.lower())].startswith(b"\0")


def test_long_fields_of_strangers_are_not_kept_in_memory() -> None:
    """A type that was read is remembered, but a thousand of them with four megabytes each would fill a machine."""
    parts_of(LETTER)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(20):
            for value in (b'multipart/mixed; boundary="%s"', b"text/plain; x=%s", b"%s"):
                parts_of(b"Content-Type: " + value % (b"%d" % number * 2**15) + b"\r\n" + LETTER)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2**19


def test_a_subject_too_long_to_be_read_has_no_tag() -> None:
    long = LETTER.replace(b"Subject: Tea", b"Subject: [EXT] " + b"x" * 10_000)
    assert parts_of(long).subjects_before == ()
    assert parts_of(long).texts[3] == parts_of(long.replace(b"[EXT] ", b"[EXT]\r\n ")).texts[3]

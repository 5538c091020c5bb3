"""Where a header ends and a part begins is read as mail servers and programs read it; where they differ, it is said."""

import email

import pytest
from tests.support.other_readers import parts

from pennyred.postage.errors import MalformedLetter
from pennyred.sender.travel.preparing import is_safe, make_safe

FROM = b"From: a@b.example\r\n"
COLOGNE = "Greetings from Köln on a fine day in May\r\n".encode()
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n"


def made(letter: bytes, **options) -> bytes:
    """Safe, with what other programs read of it as before."""
    safe = make_safe(letter, eight_bit=False, **options)
    assert parts(safe) == parts(letter)
    return safe


@pytest.mark.parametrize("eight", [b"", COLOGNE])
def test_an_empty_line_that_is_missing_before_the_first_boundary_is_put_there(eight):
    """Else the first part is taken for what nobody reads, or its encoding lands in the text."""
    part = b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nfirst\r\n" + eight
    letter = FROM + MIXED + part + part.replace(b"first", b"second") + b"--b--\r\n"

    safe = made(letter)

    version = b"MIME-Version: 1.0\r\n" if eight else b""  # what is encoded from now on must be decoded by everybody
    assert safe.startswith(FROM + MIXED + version + b"\r\n--b\r\n")
    assert [payload for _, payload in parts(safe)[1:]] == [
        (b"%s\r\n" % word + eight).strip() for word in (b"first", b"second")
    ]


def test_a_boundary_straight_below_a_parts_header_begins_its_parts_too():
    inner = (
        b'Content-Type: multipart/alternative; boundary="c"\r\n--c\r\nContent-Type: text/plain\r\n\r\n'
        + COLOGNE
        + b"--c--\r\n"
    )

    safe = made(FROM + MIXED + b"\r\n--b\r\n" + inner + b"--b--\r\n")

    assert b'boundary="c"\r\n\r\n--c\r\n' in safe


@pytest.mark.parametrize(
    "body", [b"Hello Bob,\r\n\r\nshall we?\r\n", b"Hello\r\nNote: at five\r\n", COLOGNE, b"\xff\r\n"]
)
def test_text_straight_below_a_header_gets_its_empty_line(body):
    said = []

    safe = made(FROM + b"Subject: Tea\r\n" + body, say=said.append)

    assert safe.startswith(FROM + b"Subject: Tea\r\n")
    assert email.message_from_bytes(safe).keys()[:2] == ["From", "Subject"]
    assert "line 3 is no header field" in said[0]
    assert parts(safe) == [("text/plain", body.strip())]


def test_a_header_that_only_lacks_it_is_safe_no_more():
    """Every server on its way ends the header there: what is below would not be what was stamped."""
    letter = FROM + b"no field\r\nSubject: Tea\r\n\r\nHello\r\n"

    assert not is_safe(letter, eight_bit=True)


def test_text_straight_below_a_parts_header_gets_its_empty_line():
    letter = (
        FROM + MIXED + b"\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n" + COLOGNE + b"\r\nmore\r\n--b--\r\n"
    )

    assert b"quoted-printable\r\n\r\nGreetings" in made(letter)


def test_a_part_without_header_and_empty_line_gets_them():
    letter = FROM + MIXED + b"\r\n--b\r\n" + COLOGNE + b"--b--\r\n"

    assert b"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGreetings" in made(letter)


@pytest.mark.parametrize(
    "header",
    [
        FROM + b"Received: from x\r\nby y.example; today\r\nSubject: Tea\r\n",
        FROM + b"this is none\r\nContent-Type: text/plain\r\n",
        FROM + b"this is none\r\nX-Mailer: me\r\n",
        FROM + b": nor is this\r\n",
        b" nor is this\r\n" + FROM,
        b"nothing is\r\n",
        FROM + b"Content-Type: message/rfc822\r\nthis is none\r\n",
        b"From ann today\r\n" + FROM + b"From ann again\r\nSubject: Tea\r\n",
    ],
)
@pytest.mark.parametrize("body", [b"Hello\r\n", COLOGNE])
def test_fields_below_a_line_that_is_none_are_refused_and_not_lost(header, body):
    """Servers take them for text, some programs for fields: whoever wrote the letter knows what they are."""
    with pytest.raises(MalformedLetter, match=r"line \d of the letter's header is no field"):
        make_safe(header + b"\r\n" + body, eight_bit=False)


def test_fields_below_such_a_line_of_a_part_are_refused_with_its_place():
    part = b"Content-Type: text/plain\r\nnone\r\nContent-Disposition: inline\r\n\r\n" + COLOGNE

    with pytest.raises(MalformedLetter, match="part that begins in line 5: line 2 of the header of a part is no field"):
        make_safe(FROM + MIXED + b"\r\n--b\r\n" + part + b"--b--\r\n", eight_bit=False)


@pytest.mark.parametrize(
    "above",
    [
        b"From ann today\r\n",
        b">From ann today\r\n",
        b"From a\r\n>From b\r\n>>From c\r\n",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbfFrom ann today\r\n",
    ],
)
def test_what_a_mailbox_or_an_editor_puts_above_a_letter_is_none_of_it(above):
    assert make_safe(above + FROM + b"\r\nHello\r\n", eight_bit=False) == FROM + b"\r\nHello\r\n"


def test_in_a_letter_within_a_letter_they_stay():
    inner = b"From ann today\r\nSubject: Tea\r\n\r\n" + COLOGNE
    letter = FROM + b"Content-Type: message/rfc822\r\n\r\n" + inner

    assert b"\r\n\r\nFrom ann today\r\nSubject: Tea\r\n" in made(letter)


def test_a_letter_whose_last_boundary_is_missing_is_read_to_its_end():
    made(FROM + MIXED + b"\r\n--b\r\n\r\n" + COLOGNE + b"--b\r\n\r\n" + COLOGNE)


def test_parts_in_parts_that_nobody_closed_end_with_those_around_them():
    inner = b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n" + COLOGNE
    made(FROM + MIXED + b"\r\n--b\r\n" + inner + b"--b\r\n\r\n" + COLOGNE + b"--b--\r\n")


def test_a_boundary_that_begins_another_is_not_mistaken_for_it():
    inner = b'Content-Type: multipart/mixed; boundary="bb"\r\n\r\n--bb\r\n\r\n' + COLOGNE + b"--bb--\r\n"
    made(FROM + MIXED + b"\r\n--b\r\n" + inner + b"--b\r\n\r\n" + COLOGNE + b"--b--\r\n")


def test_two_that_are_the_same_one_within_the_other_are_refused():
    """Some programs end the inner part there, some the outer one."""
    inner = MIXED.replace(b"boundary=b", b'boundary="b"') + b"\r\n--b\r\n\r\n" + COLOGNE + b"--b--\r\n"

    with pytest.raises(MalformedLetter, match="has the same boundary"):
        make_safe(FROM + MIXED + b"\r\n--b\r\n" + inner + b"--b--\r\n", eight_bit=False)


def test_white_space_behind_a_boundary_is_none_of_it():
    made(FROM + MIXED + b"\r\n--b \t\r\n\r\n" + COLOGNE + b"--b-- \r\n")


@pytest.mark.parametrize(
    "spelt",
    [
        b"boundary*=us-ascii''b%201", b"boundary*=''b%201", b'boundary*0="b"; boundary*1=" 1"', b'boundary="b\\ 1"',
        b"boundary*0*=us-ascii'en'b; boundary*1*=%201", b'boundary="b 1" (c)', b'BOUNDARY = "b 1"  ',
    ],
)  # fmt: skip
def test_a_boundary_is_found_in_every_spelling(spelt):
    letter = FROM + b"Content-Type: multipart/mixed; " + spelt + b"\r\n\r\n--b 1\r\n\r\n" + COLOGNE + b"--b 1--\r\n"

    assert b"--b 1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" in make_safe(letter, eight_bit=False)


@pytest.mark.parametrize("spelt", [b"boundary=b; boundary=c", b"boundary=b c", b"boundary=b; boundary*=us-ascii''c"])
def test_two_boundaries_that_both_occur_are_refused(spelt):
    text = (
        b"--b\r\n\r\n"
        + COLOGNE
        + b"--b--\r\n--c\r\n\r\n"
        + COLOGNE
        + b"--c--\r\n--b c\r\n\r\n"
        + COLOGNE
        + b"--b c--\r\n"
    )

    with pytest.raises(MalformedLetter, match="programs differ in what the boundary"):
        make_safe(FROM + b"Content-Type: multipart/mixed; " + spelt + b"\r\n\r\n" + text, eight_bit=False)


@pytest.mark.parametrize("kind", [b"mixed", b"signed"])
def test_what_nobody_reads_of_a_multipart_is_kept_in_other_words(kind):
    """Before the first boundary and behind the last one: no program shows it, but somebody wrote it."""
    said = []
    part = b"--b\r\n\r\nHello\r\n"
    letter = FROM + MIXED.replace(b"mixed", kind) + b"\r\n" + COLOGNE + part + b"--b--\r\n" + COLOGNE

    safe = made(letter, say=said.append)

    assert safe.count(b"Greetings from K=C3=B6ln on a fine day in May\r\n") == 2
    assert part in safe
    assert "is kept as quoted-printable" in said[0]


@pytest.mark.parametrize("below", [b"--b\r\n\r\nmore\r\n" + COLOGNE, COLOGNE + b"--b\r\n\r\nmore\r\n"])
def test_parts_below_the_last_boundary_are_refused(below):
    """Some programs show them."""
    letter = FROM + MIXED + b"\r\n--b\r\n\r\nHello\r\n--b--\r\n" + below

    with pytest.raises(MalformedLetter, match="below its last boundary"):
        make_safe(letter, eight_bit=False)


@pytest.mark.parametrize("body", [COLOGNE, COLOGNE + b"--b--\r\n", b"--b--\r\n" + COLOGNE])
def test_a_multipart_letter_without_a_part_is_refused(body):
    """Its text is shown, as it stands."""
    with pytest.raises(MalformedLetter, match="without its boundary"):
        make_safe(FROM + MIXED + b"\r\n" + body, eight_bit=False)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (b"Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: base64\r\n", "names two transfer encodings"),
        (b"Content-Type: text/plain\r\nContent-Type: text/html\r\n", "differ in what its Content-Type says"),
        (b"Content-Type: text/plain multipart/mixed; boundary=b\r\n", "differ in what its Content-Type says"),
        (b"Content-Transfer-Encoding: utf-8\r\n", "encoding unknown here ('utf-8')"),
        (b"Content-Type: message/delivery-status\r\n", "no encoding exists for it"),
        (b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", "encoded as a whole"),
        (MIXED + b"Content-Transfer-Encoding: quoted-printable\r\n", "encoded as a whole"),
        (b"Content-Transfer-Encoding: base64\r\n", "octets that are none"),
    ],
)
def test_a_part_that_programs_read_in_different_ways_is_refused_with_the_reason(fields, why):
    with pytest.raises(MalformedLetter) as refused:
        make_safe(FROM + fields + b"\r\n--b\r\n\r\n" + COLOGNE, eight_bit=False)

    assert why in str(refused.value)


def test_the_same_field_twice_is_no_doubt():
    field = b"Content-Transfer-Encoding: 8bit\r\n"

    assert made(FROM + field + field + b"\r\n" + COLOGNE).count(b"Content-Transfer-Encoding") == 1


def test_a_field_with_a_blank_before_its_colon_ends_the_header_for_nobody_afterwards():
    """Python's library ends it there, and shows what is below; servers do not."""
    safe = make_safe(FROM + b"Subject : Tea\r\n\r\n" + COLOGNE, eight_bit=False)

    assert email.message_from_bytes(safe)["subject"] == "Tea"
    assert parts(safe) == [("text/plain", COLOGNE.strip())]


@pytest.mark.parametrize("body", [b"a\0b\n\r\n", b"\xff\0\n\r\n"])
def test_a_part_with_nuls_is_binary_whatever_it_says(body):
    """Text in UTF-16, say: where a line end is changed, it is another text."""
    letter = FROM + b"Content-Type: text/plain; charset=utf-16\r\n\r\n" + body

    with pytest.raises(MalformedLetter, match="base64 first"):
        make_safe(letter, eight_bit=False)

"""A letter made safe keeps its content, and a safe letter its bytes."""

import email
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.corpus import corpus_letters
from tests.support.other_readers import parts

from pennyred.postage.errors import MalformedLetter
from pennyred.sender.travel.preparing import is_safe, make_safe

SAFE = b"From: ann@sender.example\r\nTo: bob@example.org\r\nSubject: Tea\r\n\r\nShall we?\r\n"
UMLAUTS = "Greetings from Köln on a fine day in May\r\n".encode()
HEAD = b"From: a@b.example\r\nMIME-Version: 1.0\r\n"


def content(letter: bytes) -> list[bytes]:
    """What each part holds that holds no others, decoded, with line ends as CRLF."""
    return [held for _, held in parts(letter) if held is not None]


@pytest.mark.parametrize("eight_bit", [False, True])
def test_a_safe_letter_stays_as_it_is(eight_bit):
    assert make_safe(SAFE, eight_bit=eight_bit) is SAFE


def test_line_ends_become_crlf_and_the_last_line_gets_one():
    assert make_safe(SAFE.replace(b"\r\n", b"\n").rstrip(b"\n"), eight_bit=False) == SAFE


def test_a_body_of_eight_bits_is_left_to_a_server_that_takes_it():
    letter = HEAD + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + UMLAUTS

    assert make_safe(letter, eight_bit=True) is letter


def test_text_with_a_few_umlauts_becomes_quoted_printable():
    letter = HEAD + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + UMLAUTS * 3

    safe = make_safe(letter, eight_bit=False)

    assert b"\r\nContent-Transfer-Encoding: quoted-printable\r\n" in safe
    assert b"8bit" not in safe
    assert content(safe) == content(letter)


def test_a_part_of_many_eight_bit_octets_becomes_base64():
    letter = HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "Ωδη\r\n".encode() * 20

    safe = make_safe(letter, eight_bit=False)

    assert b"\r\nContent-Transfer-Encoding: base64\r\n" in safe
    assert content(safe) == content(letter)


def test_a_letter_without_mime_gets_its_version_with_the_encoding():
    safe = make_safe(b"From: a@b.example\r\n\r\n" + b"x" * 2000 + b"\r\n", eight_bit=True)

    assert safe.startswith(b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n")


@pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable"])
def test_an_encoded_part_on_one_long_line_is_wrapped(encoding):
    letter = HEAD + b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + b"QUJD" * 500 + b"\r\n"

    safe = make_safe(letter, eight_bit=False)

    assert max(map(len, safe.split(b"\r\n"))) <= 78
    assert content(safe) == content(letter)


def multipart(*parts: bytes, kind: bytes = b"mixed", head: bytes = HEAD, preamble: bytes = b"") -> bytes:
    start = head + b'Content-Type: multipart/%s; boundary="b 1"\r\n\r\n' % kind + preamble
    return start + b"".join(b"--b 1\r\n%s\r\n" % part for part in parts) + b"--b 1--\r\n"


def test_only_the_part_that_needs_it_is_encoded():
    plain = b"Content-Type: text/plain\r\n\r\nplain"
    letter = multipart(plain, b"Content-Type: text/html\r\n\r\n" + UMLAUTS, b"\r\nno header")

    safe = make_safe(letter, eight_bit=False)

    assert b"--b 1\r\n" + plain + b"\r\n--b 1\r\n" in safe
    assert b"--b 1\r\n\r\nno header\r\n--b 1--\r\n" in safe
    assert content(safe) == content(letter)


def test_a_letter_within_a_letter_is_made_safe_too():
    inner = b"Subject: " + "Grüße".encode() + b"\r\n\r\n" + UMLAUTS
    letter = multipart(b"Content-Type: message/rfc822\r\n\r\n" + inner)

    safe = make_safe(letter, eight_bit=False)

    assert safe.isascii()
    assert content(safe) == content(letter)


def test_what_nobody_reads_of_a_multipart_is_dropped_rather_than_refused():
    letter = multipart(b"\r\n" + UMLAUTS, preamble=UMLAUTS)

    assert content(make_safe(letter, eight_bit=False)) == content(letter)


@pytest.mark.parametrize("kind", [b"signed", b"encrypted"])
def test_a_sealed_letter_that_cannot_travel_is_refused_and_not_broken(kind):
    letter = multipart(b"\r\n" + UMLAUTS, kind=kind)

    with pytest.raises(MalformedLetter, match="altering it would break it"):
        make_safe(letter, eight_bit=False)


@pytest.mark.parametrize("spelt", [b"(c) multipart/signed", b"Multipart / SIGNED", b"\r\n multipart/(c)signed"])
def test_a_seal_is_seen_however_it_is_spelt(spelt):
    letter = multipart(b"\r\n" + UMLAUTS, kind=b"signed").replace(b" multipart/signed", b" " + spelt)

    with pytest.raises(MalformedLetter, match="altering it would break it"):
        make_safe(letter, eight_bit=False)


@pytest.mark.parametrize("spelt", [b"8bit (as it came)", b"\r\n 8bit", b"8BIT"])
def test_an_encoding_is_known_however_it_is_spelt(spelt):
    letter = HEAD + b"Content-Transfer-Encoding: " + spelt + b"\r\n\r\n" + UMLAUTS

    assert content(make_safe(letter, eight_bit=False)) == content(letter)


@pytest.mark.parametrize("eight_bit", [False, True])
def test_a_binary_part_whose_line_ends_would_change_is_refused_however_deep(eight_bit):
    """Only its container is looked at where all of it can travel; the part must be found nevertheless."""
    part = b"Content-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\none\ntwo"
    letter = multipart(b"Content-Type: message/rfc822\r\n\r\n" + multipart(part).replace(b"b 1", b"b 2"))

    with pytest.raises(MalformedLetter, match="base64 first"):
        make_safe(letter, eight_bit=eight_bit)


def test_the_line_a_mailbox_puts_first_does_not_travel():
    """Below a stamp it would end the header for most who read the letter."""
    letter = b"From ann@sender.example Wed Nov 18 10:00:00 2026\r\n" + SAFE

    assert make_safe(letter, eight_bit=False) == SAFE
    assert make_safe(letter.replace(b"\r\n", b"\n"), eight_bit=False) == SAFE
    said = []
    make_safe(letter, eight_bit=False, say=said.append)
    assert len(said) == 1
    assert "mailbox file" in said[0]


@pytest.mark.parametrize("odd", [b"\r\r\n", b"\r\r\r\n", b"\n", b"\r"])
@pytest.mark.parametrize(
    "mailbox", [b"", b"From ann@sender.example Wed Nov 18 10:00:00 2026\r\n", b"From a\r\n>From b\r\n"]
)
def test_line_ends_however_odd_are_one_each(odd, mailbox):
    """Else the header would be cut in two, and its second half be text."""
    assert make_safe((mailbox + SAFE).replace(b"\r\n", odd), eight_bit=False) == SAFE


def test_a_cr_that_ends_no_line_is_a_blank_as_it_will_be_at_the_gate():
    letter = SAFE.replace(b"Tea", b"Tea\rtime").replace(b"Shall", b"\rShall\r")
    assert make_safe(letter, eight_bit=False) == letter.replace(b"\rShall\r", b" Shall ").replace(b"\rtime", b" time")
    assert make_safe(SAFE + b"\r" * 1_000_000 + b"x\r\n", eight_bit=False).startswith(SAFE[:30])


def test_a_from_field_with_a_space_is_no_mailbox_line():
    letter = SAFE.replace(b"From:", b"From :")

    assert make_safe(letter, eight_bit=False) is letter


def test_a_sealed_letter_that_can_travel_travels():
    letter = multipart(b"\r\nsigned", kind=b"signed")

    assert make_safe(letter, eight_bit=False) is letter


def test_the_header_of_a_sealed_letter_may_be_spelt_anew():
    letter = multipart(b"\r\nsigned", kind=b"signed", head="Subject: Grüße\r\n".encode() + HEAD)

    safe = make_safe(letter, eight_bit=False)

    assert safe.partition(b"\r\n\r\n")[2] == letter.partition(b"\r\n\r\n")[2]


def test_parts_in_parts_have_a_limit():
    letter = UMLAUTS
    for number in range(40):
        letter = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%s\r\n--b%d--\r\n" % (
            number,
            number,
            letter,
            number,
        )

    with pytest.raises(MalformedLetter, match="parts in parts"):
        make_safe(letter, eight_bit=False)


@pytest.mark.parametrize(
    "letter",
    [
        HEAD + b"Content-Type: multipart/mixed\r\n\r\n" + UMLAUTS,
        HEAD + b"Content-Transfer-Encoding: x-uuencode\r\n\r\n" + UMLAUTS,
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n" + UMLAUTS,
        HEAD + b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\x89\n\r\n\xff",
        b"Message-ID: <\xc3\xa4@b.example>\r\n\r\n",
        "From: jörg@b.example\r\n\r\n".encode(),
        b"X-Nul: \0\r\n\r\n",
        b"no field \xe4\r\n\r\n",
        b"References: <" + b"x" * 2000 + b">\r\n\r\n",
    ],
)
def test_what_has_no_other_spelling_is_refused_with_a_sentence(letter):
    with pytest.raises(MalformedLetter, match=r".{20}"):
        make_safe(letter, eight_bit=False)


def test_an_address_that_needs_smtputf8_travels_where_that_is_offered():
    letter = "From: jörg@b.example\r\n\r\nHello\r\n".encode()

    assert make_safe(letter, eight_bit=True, utf8=True) is letter


lines = st.one_of(
    st.text(max_size=40).map(str.encode),
    st.binary(max_size=40),
    st.sampled_from([b"x" * 1200, b"=", b".", b"--b", b"--b--", b"From x", b" ", b"\xff" * 50]),
)
bodies = st.lists(lines, max_size=8).map(b"\r\n".join)
heads = st.sampled_from(
    [
        b"", b"Content-Type: text/plain; charset=utf-8\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Type: message/rfc822\r\n", b"Content-Type: multipart/signed; boundary=b\r\n",
    ]
)  # fmt: skip
fields = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=1200).map(
    lambda text: b"Subject: " + text.encode() + b"\r\n"
)


@given(st.tuples(fields, heads, bodies), st.booleans())
def test_any_letter_is_safe_afterwards_and_stays_so_or_is_refused(parts, eight_bit):
    letter = parts[0] + parts[1] + b"\r\n" + parts[2]
    try:
        safe = make_safe(letter, eight_bit=eight_bit)
    except MalformedLetter:
        return

    assert is_safe(safe, eight_bit=eight_bit)
    assert make_safe(safe, eight_bit=eight_bit) is safe


@given(bodies)
def test_the_content_of_any_body_survives(body):
    letter = b"From: a@b.example\r\n\r\n" + re.sub(rb"\r\n|\r|\n", b"\r\n", body) + b"\r\n"

    safe = make_safe(letter, eight_bit=False)

    assert content(safe) == content(letter)


@given(st.binary(max_size=300))
def test_octets_are_made_safe_or_refused_and_nothing_else(octets):
    try:
        safe = make_safe(octets, eight_bit=False)
    except MalformedLetter:
        return

    assert is_safe(safe, eight_bit=False)


def test_real_letters_say_the_same_afterwards():
    for name, letter in corpus_letters():
        safe = make_safe(letter, eight_bit=False)

        assert is_safe(safe, eight_bit=False), name
        assert content(safe) == content(letter), name


@pytest.mark.parametrize("octets", [991, 998])
def test_a_line_that_sendmail_would_cut_is_encoded_though_the_rfc_allows_it(octets):
    body, field = b"x" * octets, b"Subject: " + b"x" * (octets - 9)

    for letter in (HEAD + b"\r\n" + body + b"\r\n", HEAD + field + b"\r\n\r\nShall we?\r\n"):
        safe = make_safe(letter, eight_bit=True)

        assert all(len(line) <= 990 for line in safe.split(b"\r\n"))
        assert content(safe) == content(letter)


SIGNED = b'Content-Type: multipart/signed; boundary="b"\r\n\r\n--b\r\n\r\n%b\r\n--b\r\n\r\nsigned\r\n--b--\r\n'


@pytest.mark.parametrize(
    "letter",
    [
        HEAD + SIGNED % (b"x" * 998),
        b"DKIM-Signature: v=1\r\n" + HEAD + b"\r\n" + b"x" * 998 + b"\r\n",
        HEAD + b"References:\r\n <" + b"x" * 990 + b"@x>\r\n\r\nShall we?\r\n",
        HEAD + b"Content-Type: message/delivery-status\r\n\r\nX: " + b"x" * 990 + b"\r\n",
    ],
)
def test_where_nothing_may_be_altered_a_line_is_as_long_as_the_rfc_allows_and_it_is_said(letter):
    said = []

    assert make_safe(letter, eight_bit=False, say=said.append) is letter
    assert ["sendmail" in text for text in said] == [True]


def test_beside_a_signed_part_with_such_a_line_all_others_are_made_safe():
    signed = SIGNED % (b"x" * 998)
    outer = HEAD + b'Content-Type: multipart/mixed; boundary="o"\r\n\r\n--o\r\n%b\r\n--o\r\n\r\n' % signed
    said = []

    safe = make_safe(outer + UMLAUTS + b"--o--\r\n", eight_bit=False, say=said.append)

    assert safe.isascii()
    assert signed in safe
    assert ["sendmail" in text for text in said] == [True]
    assert make_safe(safe, eight_bit=False) is safe


@pytest.mark.parametrize("attached", [b"\x89PNG \xff\xfe\x80", b"%PDF \xff and much that is ASCII"])
@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n--b--"])
def test_a_file_at_the_end_of_a_letter_is_the_same_to_the_last_octet(attached, end):
    letter = (
        HEAD + b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n" + attached + end
    )
    if end.endswith(b"--"):
        letter = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + letter.removeprefix(HEAD)

    *_, last = email.message_from_bytes(make_safe(letter, eight_bit=False)).walk()

    assert last.get_payload(decode=True) == attached + (end if end == b"\r\n" else b"")


@pytest.mark.parametrize("charset", ["utf-16be", "UTF-16", "utf-32be", "iso-10646-ucs-2"])
@pytest.mark.parametrize("encoding", ["8bit", "binary"])
def test_a_text_in_which_a_line_end_is_half_a_character_is_refused_and_not_altered(charset, encoding):
    text = "\u4e0a\u6d77".encode("utf-16-be")  # Shanghai: its first character ends in LF
    fields = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"

    with pytest.raises(MalformedLetter, match="line ends"):
        make_safe(HEAD + fields.encode() + text, eight_bit=False)


def test_a_digests_letter_says_that_it_is_one_where_it_is_altered():
    """Programs that take it for a text would show its encoding."""
    digest = HEAD + b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n" + HEAD + b"\r\n%b\r\n--b--\r\n"

    safe = make_safe(digest % UMLAUTS, eight_bit=False)

    assert b"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: " in safe
    assert content(safe) == content(digest % UMLAUTS)
    assert make_safe(digest % b"plain", eight_bit=False) == digest % b"plain"


UNENDED = HEAD + b'Content-Type: multipart/mixed; boundary="o"\r\n\r\n--o\r\n%b\r\n--o\r\n\r\nlast\r\n'
INNER = b'Content-Type: multipart/alternative; boundary="i"\r\n\r\n--i\r\n\r\none\r\n--i\r\n\r\ntwo'


@pytest.mark.parametrize("eight_bit", [False, True])
def test_the_last_boundary_that_sendmail_would_add_is_there_before_it_is_stamped(eight_bit):
    letter = UNENDED % INNER

    safe = make_safe(letter, eight_bit=eight_bit)

    assert safe == letter.replace(b"two\r\n", b"two\r\n--i--\r\n") + b"\r\n--o--\r\n"
    assert parts(safe) == parts(letter)
    assert make_safe(safe, eight_bit=eight_bit) is safe


@pytest.mark.parametrize(
    "letter",
    [
        (HEAD + SIGNED % b"x").replace(b"--b--\r\n", b""),
        b"DKIM-Signature: v=1\r\n" + UNENDED % INNER,
        HEAD + b"Content-Type: multipart/mixed\r\n\r\n--o\r\n\r\nno boundary is named\r\n",
        HEAD + b"Content-Type: multipart/mixed; boundary=o\r\n\r\nno boundary is there\r\n",
        HEAD + b'Content-Type: multipart/mixed; boundary="o "\r\n\r\n--o \r\n\r\nis the blank part of it?\r\n',
    ],
)
def test_what_is_signed_or_has_no_boundary_of_certain_spelling_gets_none(letter):
    assert make_safe(letter, eight_bit=False) is letter

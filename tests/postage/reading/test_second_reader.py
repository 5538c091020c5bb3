"""What STAMP.md says of addresses, subjects and bodies is enough to write it a second time: both read all fields alike."""

from itertools import starmap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support import second_reader
from tests.support.corpus import corpus_letters
from tests.support.strange_addresses import LEFT_ALONE, WRITTEN_ANEW

from pennyred.postage.canonical import plain_field
from pennyred.postage.digest import LETTER_NAMES
from pennyred.postage.letter import HeaderSection, parse_header, split_letter
from pennyred.postage.reading.addressfields import GROUPS_MAX, MAILBOX_BYTES_MAX, PLAIN_BYTES_MAX
from pennyred.postage.reading.subject import SUBJECT_BYTES_MAX
from pennyred.postage.reading.texts import body_text, field_texts


def ours(header: HeaderSection) -> list[bytes]:
    plain = {name: b"".join(starmap(plain_field, header.named(name))) for name in LETTER_NAMES}
    author, reply_to, recipients, subject, *_ = field_texts(header, plain)
    return [author, reply_to, recipients, subject, body_text(header)]


def the_others(header: HeaderSection) -> list[bytes]:
    fields = [(field.key, field.raw) for field in header.fields]
    return [
        second_reader.addresses_text(fields, b"from"),
        second_reader.addresses_text(fields, b"reply-to", b"mail-reply-to", b"mail-followup-to"),
        second_reader.addresses_text(fields, b"to", b"cc"),
        second_reader.subject_text(fields),
        second_reader.body_text(fields),
    ]


def agree(section: bytes) -> None:
    header = parse_header(section)
    assert ours(header) == the_others(header)


def pieces(*some: str) -> st.SearchStrategy[bytes]:
    made = st.lists(st.sampled_from(some), max_size=9).map("".join)
    return made.map(lambda text: text.encode("utf-8", "surrogateescape"))


ADDRESSES = pieces(
    "a@b.example", "Ann", "<c@d.example>", "< e@f.example >", ",", " ", "\t", "\r\n ", ":", ";", '"', "(", ")", "<", ">",
    "[", "]", "\\", "@", ".", "'", '"x, y: z;"', '"g h"@i.example', '(c, <; (d\\) ")', "=?utf-8?q?a=2Cb?=", "[1.2.3.4]",
    "j@[1.2.3.4]", "Team:", "é", "\udcff", "\x00", "\x0b", "k@B.EXAMPLE.", "c@d.example <c@d.example>", "postmaster",
)  # fmt: skip
SUBJECTS = pieces(
    "Tea", " ", "\r\n\t", "\xa0", "\x1c", "=?utf-8?q?", "=?UTF-8?B?", "?=", "=?utf-8?q?=C3?=", "=?utf-8*en?Q?=A9?=", "_",
    "=?utf-8?b?w6k=?=", "=?utf-8?b?w6k?=", "=?utf-8?b?w6?=", "=?utf-8?q??=", "=?x-no?q?a?=", "=?koi8-r?b?8A==?=", "=C3",
    "=?windows-1252?q?=80=81?=", "=?iso-8859-8?q?=A1?=", "=?us-ascii?q?=80?=", "=?utf-8?q?a_b?=", "=", "?", "\udcff",
    "é", "e\u0301", "=?iso-8859-12?q?a?=", "=?utf-8?q?=0A=00?=",
)  # fmt: skip
KINDS = pieces(
    "text", "/", "plain", "HTML", ";", " ", "\r\n ", "\x0b", "charset=x", "multipart/mixed", "boundary=b", "base64",
    "Quoted-Printable", "7BIT", "binary", "x-own", "(comment)", ",", "\udcff", "Name=x", "Inline", "attachment",
)  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from([b"From", b"To", b"Cc", b"Reply-To", b"Mail-Followup-To"]), ADDRESSES), max_size=4
    )
)
@example([(b"To", b" : a@b.example;")])
@example([(b"To", b"x" * MAILBOX_BYTES_MAX + b"<a@b.example>")])
@example([(b"To", b"(x), a@b.example")])
@example([(b"To", b"=?utf-8?q?c?= [x] <a@b.example>, [x]=?: a@b.example;")])
@example([(b"To", b"'C@d.example ' <c@D.example>")])
@example([(b"To", b'"J\xf6rg" <a@b.example>')])
def test_addresses_are_read_alike(fields: list[tuple[bytes, bytes]]) -> None:
    agree(b"".join(name + b": " + value + b"\r\n" for name, value in fields))


@given(st.lists(SUBJECTS, max_size=3))
@example([b"=?utf-8?q?=C3?==?utf-8?q?=A9?="])
@example([b"Z=?utf-8?q??= =?x-no?q?b?="])
@example([b"=?utf-8?q?a?= =?utf-8?q?=C?="])
def test_subjects_are_read_alike(values: list[bytes]) -> None:
    agree(b"".join(b"Subject: " + value + b"\r\n" for value in values))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    *(b"Content-Type:", b"Content-Transfer-Encoding:", b"Content-Disposition:"),
                    *(
                        b"Content-Location:",
                        b"Content-Base :",
                        b"Content-Description:",
                        b"stray ",
                        b"Stray : ",
                        b"Stray\t:",
                    ),
                ]
            ),
            KINDS,
        ),
        max_size=3,
    )
)
def test_the_kind_of_a_body_is_read_alike(fields: list[tuple[bytes, bytes]]) -> None:
    agree(b"".join(name + value + b"\r\n" for name, value in fields))


@given(
    st.sampled_from([b"From", b"To", b"Subject", b"Content-Type", b"Content-Transfer-Encoding"]), st.binary(max_size=30)
)
def test_any_octets_are_read_alike(name: bytes, value: bytes) -> None:
    agree(name + b":" + value.replace(b"\n", b"") + b"\r\n")


@pytest.mark.parametrize("value", [*WRITTEN_ANEW, *LEFT_ALONE])
def test_what_programs_write_is_read_alike(value: str) -> None:
    agree(f"From: {value}\r\nTo: {value}\r\nReply-To: {value}\r\nSubject: {value}\r\n".encode())


@pytest.mark.parametrize("more", [0, 1])
def test_limits_are_alike(more: int) -> None:
    place = b"a" * (MAILBOX_BYTES_MAX - 3) + b"@b"
    for value in (
        b"a@b," * ((PLAIN_BYTES_MAX - 4) // 4) + b" a@b" + b" " * more,
        b"x:;," * (GROUPS_MAX - 1 + more) + b"x:;",
        b"x" * (MAILBOX_BYTES_MAX - 5 + more) + b"<a@b>",
        b"x" * (MAILBOX_BYTES_MAX - 5 + more) + b"<a@b>,(x)a@b",
        b"(" + b"x" * (MAILBOX_BYTES_MAX - 5 + more) + b")a@b",
        place + b"x" * more,
    ):
        agree(b"To:" + value + b"\r\n")
    agree(b"To:" + b"a@b," * 8192 + b"\r\nCc:" + b"\r\n " * 16_384 + b"a@b," * 4096 + b" " * more + b"\r\n")
    agree(b"Cc:x:;\r\n" * (GROUPS_MAX + more))
    agree(b"Subject: Tea\r\nSubject:" + b"x" * (SUBJECT_BYTES_MAX - 4 + more) + b"\r\n")


def test_real_letters_are_read_alike() -> None:
    for _, letter in corpus_letters():
        agree(split_letter(letter)[0])

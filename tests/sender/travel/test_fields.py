"""A field made fit to travel means what it meant, by its own grammar; what has no other spelling is refused by name."""

import email
import email.header
import email.policy
import re
import urllib.parse
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.other_readers import file_names, people, subject

from pennyred.postage.errors import MalformedLetter
from pennyred.postage.letter import parse_header
from pennyred.sender.travel.fieldgrammar import Grammar, grammar_of
from pennyred.sender.travel.fields import fit_field, is_fit
from pennyred.sender.travel.preparing import is_safe, make_safe

ENCODED_WORD = re.compile(rb"=\?[^?\s]+\?[bqBQ]\?[^?\s]*\?=")


def fit(raw: str | bytes) -> bytes:
    """The field fit to travel, its value unfolded."""
    octets = raw.encode() if isinstance(raw, str) else raw
    [field] = parse_header(octets + b"\r\n").fields
    spelt = fit_field(field)
    assert is_fit(spelt, eight_bit=False)
    assert spelt.endswith(b"\r\n")
    assert not re.search(rb"\r\n[ \t]*\r\n.", spelt)
    return spelt.replace(b"\r\n", b"")


def refused(raw: str | bytes) -> str:
    with pytest.raises(MalformedLetter) as error:
        fit(raw)
    return str(error.value)


# Unstructured text (RFC 5322 section 3.2.5)


@pytest.mark.parametrize(
    "value",
    [
        "Grüße", "Tea and Käse with Brötchen please", "a  b\tü", "=?utf-8?q?x?= ä", "ä =?utf-8?q?x?= b", "plain",
        "ü " * 400, "word " * 400, "x" * 3000, "=?utf-8?q?a?= ü =?utf-8?q?b?=", "ü=?utf-8?q?b?=",
        "=?utf-8?q?J\u00f6rg?= x", "=?utf-8?q?J\u00f6rg M?= x", "x" * 950, "y " + "x" * 1200 + " =?utf-8?q?=C3=BC?=",
        "=?utf-8?b?" + "w7zDvMO8" * 200 + "?=", "=?iso-8859-1?q?" + "=FC" * 400 + "?= ü",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["Subject", "X-Whatever", "Comments"])
def test_a_text_says_the_same_afterwards(name, value):
    letter, safe = (
        b"Subject:" + raw.partition(b":")[2] + b"\r\n\r\n"
        for raw in (f"{name}: {value}".encode(), fit(f"{name}: {value}"))
    )

    assert subject(safe) == subject(letter)
    assert b"?b?PT8" not in safe, "an encoded word is not encoded again"


@pytest.mark.parametrize("value", ["x" * 3000, "a" + " " * 2000 + "b", "Käse"])
def test_a_field_nobody_knows_is_no_text_for_people_to_be_encoded_where_it_is_ascii(value):
    """It may be a machine's: a long token in encoded words is one no more."""
    assert ENCODED_WORD.search(fit(f"Whatever: {value}")) if "ä" in value else refused(f"Whatever: {value}")


# Names, groups and comments (RFC 5322 section 3.4)


@pytest.mark.parametrize(
    "to",
    [
        "Jörg <j@b.example>, ann@b.example", '"Käthe, von" <k@b.example>', "b@exämple.org", "B <b@exämple.org>",
        "Freünde: a@b.example, Jörg (töll) <j@b.example>;", ",".join(f"a{n}@b.example" for n in range(200)),
    ],
)  # fmt: skip
def test_addresses_and_their_names_are_the_same_afterwards(to):
    now = EmailMessage()
    now["To"] = to.replace("exämple", "xn--exmple-cua")

    assert people(fit(f"To: {to}") + b"\r\n\r\n") == [(one.display_name, one.addr_spec) for one in now["to"].addresses]


@pytest.mark.parametrize(
    ("to", "name"),
    [
        ("=?utf-8?q?J=C3=B6rg?= Müller <m@b.example>", "Jörg Müller"),
        ("Müller =?utf-8?q?J=C3=B6rg?= <m@b.example>", "Müller Jörg"),
        ("Dr. Müller =?utf-8?q?J=C3=B6rg?= Ärmel <m@b.example>", "Dr. Müller Jörg Ärmel"),
        ('"=?utf-8?q?J=C3=B6rg?= Müller" <m@b.example>', "Jörg Müller"),
        ('"Müller, =?utf-8?q?J=C3=B6rg?=" <m@b.example>', "Müller, Jörg"),
        ("=?utf-8?q?J=C3=B6rg?=Müller <m@b.example>", "JörgMüller"),
        ('"x"ü <m@b.example>', "xü"),
        ("Jörg<m@b.example>", "Jörg"),
        ("=?utf-8?q?J\u00f6rg?= <m@b.example>", "Jörg"),
        ('"J\\"ö" <m@b.example>', 'J"ö'),
        ("x" * 1100 + " <m@b.example>", "x" * 1100),
        ("Jörg@home <m@b.example>", "Jörg@home"),
        ("<Jörg> <m@b.example>", "<Jörg>"),
    ],
)
def test_a_name_is_encoded_once(to, name):
    assert people(fit(f"To: {to}") + b"\r\n\r\n") == [(name, "m@b.example")] or len(name) > 100
    assert (
        email.header.make_header(email.header.decode_header(fit(f"To: {to}")[4:].decode().rpartition("<")[0]))
        == f"{name} "
    )


@pytest.mark.parametrize("comment", ["(töll)", "(the (ö) x)", "(a\\)ü)", "(=?utf-8?q?a?= ü)"])
def test_a_comment_keeps_its_parentheses(comment):
    spelt = fit(f"To: m@b.example {comment}")

    assert people(spelt + b"\r\n\r\n") == [("", "m@b.example")]
    assert spelt.count(b"(") == comment.count("(")
    assert "ü" in str(email.header.make_header(email.header.decode_header(spelt.decode()))) or "ü" not in comment


@pytest.mark.parametrize(
    "to",
    ["jörg@b.example", '"jörg"@b.example', "Bob <jörg@b.example>", "bob @ exämple.org", "bob@\xff.example", "<jörg>"],
)
def test_an_address_that_has_no_other_spelling_is_refused_by_its_fields_name(to):
    assert "field 'to'" in refused(f"To: {to}".encode("latin-1" if "\xff" in to else "utf-8"))


def test_a_name_before_an_address_without_brackets_is_a_name_all_the_same():
    assert ENCODED_WORD.sub(b"~", fit("From: Jörg j@b.example")) == b"From: ~ j@b.example"


# Structured fields: no encoded word but in a comment or a phrase (RFC 2047 section 5)


@pytest.mark.parametrize(
    ("field", "spelt"),
    [
        ("List-Unsubscribe: <https://x.example/ü?a=ü>", b"List-Unsubscribe: <https://x.example/%C3%BC?a=%C3%BC>"),
        (
            "List-Unsubscribe: <mailto:ü@exämple.org?subject=ü>",
            b"List-Unsubscribe: <mailto:%C3%BC@xn--exmple-cua.org?subject=%C3%BC>",
        ),
        ("Archived-At: <https://exämple.org:80/a>", b"Archived-At: <https://xn--exmple-cua.org:80/a>"),
        ("List-Archive: <https://me@exämple.org/ü>", b"List-Archive: <https://me@xn--exmple-cua.org/%C3%BC>"),
        ("X-List-Unsubscribe: <https://x.example/ü>", b"X-List-Unsubscribe: <https://x.example/%C3%BC>"),
    ],
)
def test_a_uri_gets_percent_signs(field, spelt):
    assert fit(field) == spelt


def test_octets_of_a_uri_in_another_charset_stay_the_octets_they_are():
    assert fit(b"List-Help: <https://x.example/\xfc>") == b"List-Help: <https://x.example/%FC>"


def test_a_long_list_of_uris_is_folded_between_them_and_each_is_whole():
    """One click has to find each as it is (RFC 8058)."""
    uris = [f"<https://x.example/{'a' * 400}{number}>" for number in range(5)]
    [field] = parse_header(f"List-Unsubscribe: {','.join(uris)}\r\n".encode()).fields

    spelt = fit_field(field)

    assert not ENCODED_WORD.search(spelt)
    assert re.findall(rb"<[^>]*>", spelt) == [uri.encode() for uri in uris]


@pytest.mark.parametrize(
    "field",
    [
        f"List-Unsubscribe: <https://x.example/{'a' * 1000}>", f"Archived-At: <https://x.example/{'a' * 1000}>",
        "List-Unsubscribe: https://x.example/ü", "List-Unsubscribe-Post: ü", "Return-Path: <ü@b.example>",
        "DKIM-Signature: v=1; d=ü.example", "ARC-Authentication-Results: i=1; x; spf=pass (ü)", "ARC-Seal: i=1; b=ü",
        "Authentication-Results: ü.example; spf=pass", "Message-ID: <ü@b.example>", "References: <ü@b.example> <a@b.example>",
        "Content-ID: <ü@b.example>", "Content-Transfer-Encoding: ü", "MIME-Version: ü", "Date: ü", "Autocrypt: addr=ü",
        "Content-Language: ü", "X-Google-DKIM-Signature: b=ü", "X-Original-Authentication-Results: ü", "Feedback-ID: ü",
        "X-Postage-Stamp: ü", "Content-Anything: ü", "BIMI-Selector: ü", "Auto-Submitted: ü", "List-Anything: ü",
    ],
)  # fmt: skip
def test_a_machines_field_that_cannot_travel_is_refused_by_its_name(field):
    assert f"field '{field.partition(':')[0].lower()}'" in refused(field)


@pytest.mark.parametrize(
    ("field", "spelt"),
    [
        (
            "Date: Wed, 18 Nov 2026 10:00:00 +0100 (Mitteleuropäische Zeit)",
            b"Date: Wed, 18 Nov 2026 10:00:00 +0100 (~ Zeit)",
        ),
        (
            "Authentication-Results: x.example; spf=pass (ü (ö)) a=b",
            b"Authentication-Results: x.example; spf=pass (~ (~)) a=b",
        ),
        ('In-Reply-To: Jörg\'s letter of "Mon, ö" <1@b.example>', b"In-Reply-To: ~ letter of ~ <1@b.example>"),
        ("MIME-Version: 1.0 (ü)", b"MIME-Version: 1.0 (~)"),
        ("List-Post: NO (ü)", b"List-Post: NO (~)"),
        ('Keywords: tea, Käse, "a, ö"', b"Keywords: tea, ~ , ~"),
        ("List-Id: Ü list <l.b.example>", b"List-Id: ~ list <l.b.example>"),
        ("Content-Type: text/plain (ü); charset=utf-8 (x)", b"Content-Type: text/plain (~); charset=utf-8 (x)"),
    ],
)
def test_comments_and_phrases_of_structured_fields_become_encoded_words_and_nothing_else_does(field, spelt):
    assert ENCODED_WORD.sub(b"~", fit(field)) == spelt


def test_what_a_server_wrote_of_a_strange_name_is_kept_though_received_may_not_have_it():
    """Not even in a comment; and one letter in a thousand has such a Received field."""
    spelt = fit("Received: from jörg ([192.0.2.1]) by x.example; today")

    assert spelt.startswith(b"Downgraded-Received: from =?utf-8?b?")
    assert str(email.header.make_header(email.header.decode_header(spelt.decode()))).endswith(
        "from jörg ([192.0.2.1]) by x.example; today"
    )


def test_long_references_are_folded_between_ids():
    ids = [f"<{number}{'x' * 60}@b.example>" for number in range(40)]

    spelt = fit(f"References: {''.join(ids)}")

    assert spelt.split()[1:] == [one.encode() for one in ids]


def test_long_results_are_folded_where_there_is_room_for_white_space():
    results = ";".join(f"dkim=pass header.d=a{number}.example" for number in range(60))

    spelt = fit(f"Authentication-Results: x.example;{results}".replace(" header", "\theader"))

    assert b"".join(spelt.split()) == f"Authentication-Results:x.example;{results}".replace(" ", "").encode()


def test_a_long_key_is_folded_where_its_readers_leave_white_space_out():
    spelt = fit(f"Autocrypt: addr=a@b.example; keydata={'QUJD' * 400}")

    assert re.sub(rb"\s", b"", spelt) == b"Autocrypt:addr=a@b.example;keydata=" + b"QUJD" * 400


# Parameters (RFC 2231)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ('name="Gr\\"üße.txt"', 'Gr"üße.txt'),
        ("filename=\"ü.txt\"; filename*=utf-8''%C3%BC.txt", "ü.txt"),
        ("filename*=utf-8''%C3%BC.txt; filename=\"ü.txt\"", "ü.txt"),
        ('filename*0="gr"; filename*1="ü.txt"', "grü.txt"),
        ("filename*0*=utf-8''gr; filename*1=\"ü.txt\"", "grü.txt"),
        ("filename*=utf-8'de'ü.txt", "ü.txt"),
        ("filename=Grüße aus Köln (1).txt", "Grüße aus Köln (1).txt"),
        ('filename="=?utf-8?q?Gr=C3=BC?= ä.txt"', "Grü ä.txt"),
        (f'filename="{"ü" * 300}.txt"', "ü" * 300 + ".txt"),
        (f'filename="{"x" * 1500}\\".txt"', "x" * 1500 + '".txt'),
        ('filename="ü.txt" (töll)', "ü.txt"),
        ("FileName=ü", "ü"),
        ('filename="ü";', "ü"),
    ],
)
def test_a_file_name_is_the_same_afterwards_and_there_is_one(parameters, name):
    spelt = fit(
        f"Content-Disposition: attachment; {parameters}; size=5".replace(";;", ";").replace('name="Gr', 'filename="Gr')
    )

    assert file_names(spelt + b"\r\n\r\n") == [name]
    assert b"size=5" in spelt
    assert len(re.findall(rb"filename(?:\*0)?\*?=", spelt, re.IGNORECASE)) == 1


def test_a_plain_name_beside_an_extended_one_stays_for_those_who_know_no_other():
    field = "Content-Disposition: attachment; filename=\"u.txt\"; filename*=utf-8''ü.txt"

    assert fit(field) == b"Content-Disposition: attachment; filename=\"u.txt\"; filename*=utf-8''%C3%BC.txt"


@pytest.mark.parametrize(
    "parameters",
    [
        "filename=\"ü.txt\"; filename*=utf-8''%C3%A4.txt", 'filename="ü.txt"; filename="ä.txt"', 'filename="ü"x"',
        'filename="C:\\docs\\ü.txt"', 'filename*0="ü"; filename*2="x"', 'filename="ü', "filename*=ü", "boundary=ü",
        "filename*=utf-8''ü; filename*0*=utf-8''a", "charset=ü", f"boundary={'x' * 1000}", "filename*0=a; filename*1*=ü",
        "üname*0=",
    ],
)  # fmt: skip
def test_a_parameter_that_programs_read_in_different_ways_is_refused(parameters):
    assert "programs differ in what it says" in refused(f"Content-Type: x/y; {parameters}")


def test_a_parameter_in_another_charset_keeps_its_octets_and_says_which():
    letter = b'Content-Type: text/plain; charset=koi8-r; name="\xc1.txt"\r\n\r\n'

    assert file_names(make_safe(letter, eight_bit=False)) == ["\u0430.txt"]


# Which charset raw octets are in, where they do not say


@pytest.mark.parametrize(
    ("octets", "content_type", "read"),
    [
        (b"J\xf6rg", b"text/plain", "Jörg"),
        (b"Caf\xe9 \x96 \x80", b"text/plain; charset=us-ascii", "Café – €"),
        (b"Caf\xe9 \x96", b"text/plain; charset=iso-8859-1", "Café –"),
        (b"\xd0\xd2\xc9\xd7\xc5\xd4", b"text/html; charset=koi8-r", "привет"),
        (b"\xef\xf0\xe8\xe2\xe5\xf2", b'text/html; charset="windows-1251"', "привет"),
        ("привет".encode(), b"text/html; charset=windows-1251", "привет"),
        (b"\xc4\xe3\xba\xc3" * 30, b"text/plain; charset=gb2312", "你好" * 30),
        (b"\xc7\xd1\xb1\xdb", b"text/plain; charset=euc-kr", "한글"),
        (b"\x93\xfa\x96\x7b" * 20, b"text/plain; charset=shift_jis", "日本" * 20),
        (b"J\xf6rg", b"text/plain; charset=utf-16", "Jörg"),
        (b"J\xf6rg", b"text/plain; charset=unicode_escape", "Jörg"),
        (b"J\xf6rg", b"text/plain; charset=nobody", "Jörg"),
        (b"\xd0\xd2", b"multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nx\r\n--b--", "пр"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", [b"From", b"Subject"])
def test_raw_octets_are_taken_for_what_mail_programs_take_them_for(name, octets, content_type, read):
    said = []
    value = octets + b" <ann@sender.example>" if name == b"From" else octets
    separator = b"" if b"\r\n\r\n" in content_type else b"\r\n"
    letter = name + b": " + value + b"\r\nContent-Type: " + content_type + b"\r\n" + separator

    safe = make_safe(letter, eight_bit=False, say=said.append)

    found = people(safe, "from")[0][0] if name == b"From" else subject(safe)
    assert found.replace(" ", "") == read.replace(" ", "")
    words = email.header.decode_header(str(email.message_from_bytes(safe)[name.decode()]))
    assert b"".join(word for word, charset in words if charset) == octets, "the octets are the ones that came"
    assert bool(said) == (octets.decode("utf-8", "replace") != read)


@pytest.mark.parametrize("name", ["{}", '"{}"'])
@pytest.mark.parametrize(
    ("text", "charset"),
    [("ソソ", "shift_jis"), ("表示", "shift_jis"), ("ァア", "shift_jis"), ("許功蓋", "big5"), ("俓怈", "gbk")],
)
def test_a_character_whose_second_octet_looks_like_a_mark_is_no_mark(text, charset, name):
    value = name.format(text).encode(charset)
    letter = b"From: %s <ann@sender.example>\r\nContent-Type: text/plain; charset=%s\r\n\r\n"

    safe = make_safe(letter % (value, charset.encode()), eight_bit=False)

    assert people(safe, "from") == [(text, "ann@sender.example")]
    words = email.header.decode_header(str(email.message_from_bytes(safe)["From"]))
    assert b"".join(word for word, said in words if said) == text.encode(charset), "the octets are the ones that came"


def test_a_quotation_mark_that_never_ends_makes_no_name_of_the_address():
    letter = b'From: "J\xf6rg <ann@sender.example>\r\n\r\nHello\r\n'

    with pytest.raises(MalformedLetter, match="field 'from': it has a quotation mark that never ends"):
        make_safe(letter, eight_bit=False)


def test_what_is_assumed_is_said():
    said = []

    make_safe(b"From: J\xf6rg <j@b.example>\r\n\r\n", eight_bit=False, say=said.append)

    assert said == ["field 'from': eight-bit text in it does not say its charset, and is taken for windows-1252"]


def test_a_header_in_another_charset_is_no_utf8_where_smtputf8_is_offered():
    letter = b"Subject: K\xe4se\r\n\r\n"

    assert not is_safe(letter, eight_bit=True, utf8=True)
    assert subject(make_safe(letter, eight_bit=True, utf8=True)) == "Käse"


# Whatever comes


@given(
    st.sampled_from(["Subject", "To", "Content-Type", "List-Unsubscribe", "References", "Date", "Received", "Keywords"]),
    st.lists(
        st.one_of(
            st.text(max_size=8).map(str.encode),
            st.binary(max_size=4),
            st.sampled_from(
                [b"=?utf-8?q?=C3=BC?=", b'"', b"<", b">", b"(", b")", b";", b",", b":", b"@", b"\\", b" ", b"x" * 1000,
                 b"name=", b"name*=utf-8''", b"name*0=", b"%C3", b"\xfc", b"=?utf-8?b?"]
            ),
        ),
        max_size=12,
    ).map(b"".join),
)  # fmt: skip
def test_any_field_is_fit_afterwards_or_refused_by_name(name, value):
    raw = f"{name}: ".encode() + re.sub(rb"[\r\n]", b" ", value)
    said = ""
    try:
        fit(raw)
    except MalformedLetter as error:
        said = str(error)
    assert not said or f"field '{name.lower()}'" in said


def test_every_field_has_one_grammar_and_none_of_a_machines_is_text():
    names = "cfbl-address cfbl-feedback-id sio-label hp-outer injection-info received dkim-signature arc-seal list-unsubscribe archived-at authentication-results content-type date from references"

    assert not {grammar_of(name.encode()) for name in names.split()} & {Grammar.TEXT, Grammar.UNKNOWN}
    assert grammar_of(b"x-anything") is Grammar.TEXT
    assert grammar_of(b"anything") is Grammar.UNKNOWN


def test_quotes_that_never_end_are_read_in_one_go():
    """By the time limit of every test: tried from each quote to the end, these would take hours."""
    for mark in (b'"\\', b"(", b"<", b'="', b"=?", b"=?utf-8?q?", b"[", b"\\", b"(x", b";a="):
        letter = (
            "To: ä".encode()
            + mark * (20_000 // len(mark))
            + b"\r\nContent-Type: x/\xc3\xa4"
            + mark * (20_000 // len(mark))
            + b"\r\n\r\n"
        )
        try:
            assert is_safe(make_safe(letter, eight_bit=False), eight_bit=False)
        except MalformedLetter:
            continue


def test_a_fold_is_put_where_no_program_shows_it():
    """Python's older way shows one within a file's quotes."""
    letter = (
        'Content-Type: image/png; name="a long name of a file with blanks in it, as people who are patient give them.png"; x="'
        + "ü" * 40
        + '"\r\n\r\n'
    ).encode()

    assert (
        email.message_from_bytes(make_safe(letter, eight_bit=False)).get_filename()
        == "a long name of a file with blanks in it, as people who are patient give them.png"
    )


def test_percent_signs_of_a_uri_stay():
    assert urllib.parse.quote("ü", safe="").encode() in fit("List-Help: <https://x.example/%C3%BC/ü>")

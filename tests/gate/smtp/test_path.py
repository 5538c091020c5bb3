"""MAIL and RCPT arguments: read for what matters, everything two readers could read differently refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pennyred.gate.smtp.path import parse_mail, parse_rcpt, without_size
from pennyred.postage.errors import MalformedAddress


@pytest.mark.parametrize(
    ("argument", "mailbox"),
    [
        (b"FROM:<>", b""),
        (b"from:<alice@example.com>", b"alice@example.com"),
        (b"FROM: <alice@example.com>", b"alice@example.com"),
        (b"FROM:alice@example.com", b"alice@example.com"),
        (b'FROM:<"u+x"@example.com>', b'"u+x"@example.com'),
        (b'FROM:<"a b\\"c@d>"@example.com>', b'"a b\\"c@d>"@example.com'),
        (b"FROM:<@relay.example,@other.example:alice@example.com>", b"alice@example.com"),
        (b"FROM:<alice@[192.0.2.1]>", b"alice@[192.0.2.1]"),
        (b"FROM:<alice@[IPv6:2001:db8::1]>", b"alice@[IPv6:2001:db8::1]"),
        (b"FROM:<a..b.@example.com>", b"a..b.@example.com"),
        (b"FROM:<postmaster>", b"postmaster"),
        ("FROM:<Jürgen@münchen.example> SMTPUTF8".encode(), "Jürgen@münchen.example".encode()),
        (b"FROM:<a%b!c=d/e@example.com>", b"a%b!c=d/e@example.com"),
    ],
)
def test_the_mailbox_is_what_stands_between_the_brackets_byte_for_byte(argument, mailbox):
    assert parse_mail(argument).mailbox == mailbox


@pytest.mark.parametrize(
    "argument",
    [
        b"",
        b"FROM:",
        b"<alice@example.com>",
        b"FROM:<alice@example.com",
        b"FROM:alice@example.com>",
        b"FROM:<alice@@example.com>",
        b"FROM:<alice@example.com>>",
        b"FROM:<al<ice@example.com>",
        b'FROM:<"alice@example.com>',
        b"FROM:<alice@b@example.com>",
        b"FROM:<alice@example.com>SIZE=1",
        b"FROM:<alice@example.com> =1",
        b"FROM:<alice@example.com> SIZE=x",
        b"FROM:<alice@example.com> SIZE=" + b"9" * 21,
        b"FROM:<alice (comment)@example.com>",
        b"FROM:<a\x00b@example.com>",
        b"FROM:< >",
        b"FROM:<\xff@example.com>",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(argument):
    with pytest.raises(MalformedAddress):
        parse_mail(argument)


def test_the_null_path_is_no_recipient():
    with pytest.raises(MalformedAddress):
        parse_rcpt(b"TO:<>")


def test_parameters_the_gate_does_not_know_are_kept_for_the_mail_server():
    parsed = parse_mail(b"FROM:<a@b.example> RET=HDRS ENVID=QQ+2B AUTH=<> size=123 MT-PRIORITY=3 REQUIRETLS smtputf8")
    assert parsed.parameters == (
        (b"RET", b"HDRS"),
        (b"ENVID", b"QQ+2B"),
        (b"AUTH", b"<>"),
        (b"SIZE", b"123"),
        (b"MT-PRIORITY", b"3"),
        (b"REQUIRETLS", None),
        (b"SMTPUTF8", None),
    )
    assert parsed.size == 123
    assert parsed.is_utf8


def test_size_can_be_left_out_for_a_server_that_does_not_know_it():
    line = b"MAIL FROM:<size=1@b.example> Size=123 BODY=8BITMIME"
    assert without_size(line) == b"MAIL FROM:<size=1@b.example> BODY=8BITMIME"
    assert without_size(b"MAIL FROM:<a@b.example> SIZE=1") == b"MAIL FROM:<a@b.example>"


@given(st.one_of(st.binary(max_size=200), st.text(alphabet='<>@"\\,:a. =\t[]FROMTO', max_size=60).map(str.encode)))
@example(b"FROM:<" + b'"' * 1000)
@example(b"FROM:<" + b'"a"' * 600 + b"<")
@example(b"FROM:<" + b"@a," * 600)
@example(b"FROM:<a@b>" + b" " * 1900 + b"\x00")
@example(b"FROM:<a@b>" + b" a" * 900 + b"\x00")
def test_any_bytes_are_read_or_refused_and_nothing_else_happens(argument):
    for parse in (parse_mail, parse_rcpt):
        for prefix in (b"", b"FROM:<", b"TO:<"):
            try:
                parsed = parse(prefix + argument)
            except MalformedAddress:
                continue
            assert b"\r" not in parsed.mailbox
            assert b"\x00" not in parsed.mailbox


_QUOTED = st.text('ab =<>@\\"', max_size=12).map(lambda text: text.replace("\\", "\\\\").replace('"', '\\"').encode())
_PARAMETERS_BUT_SIZE = st.lists(
    st.sampled_from(
        (b"BODY=8BITMIME", b"SMTPUTF8", b"RET=HDRS", b"ENVID=a+20SIZE=1", b"REQUIRETLS", b"MT-PRIORITY=-3", b"AUTH=<>")
    ),
    max_size=4,
)


@given(_QUOTED, _PARAMETERS_BUT_SIZE, _PARAMETERS_BUT_SIZE, st.sampled_from((b"SIZE=5", b"size=77")))
@example(b"a SIZE=5 b", [], [], b"SIZE=5")
def test_size_is_taken_from_the_parameters_and_never_from_a_quoted_local_part(local, before, after, size):
    path = b'MAIL FROM:<"a SIZE=5 ' + local + b'"@x.example>'
    without = b" ".join((path, *before, *after))
    assert without_size(b" ".join((path, *before, size, *after))) == without
    assert without_size(without) == without

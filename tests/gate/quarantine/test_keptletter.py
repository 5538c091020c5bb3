"""One kept letter as a file: nothing that strangers say can pass for a field of the gate's."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.kept import BOB, ORIGIN
from tests.support.stationery import LETTER, NOW

from pennyred.gate.quarantine.keptletter import HEAD_BYTES_MAX, MAILBOX_BYTES_MAX, format_head, parse_head
from pennyred.postage.errors import Malformed
from pennyred.postage.letter import parse_header, split_letter

octets = st.binary(max_size=300)
words = st.text(max_size=300)


def written(letter=LETTER, origin=ORIGIN, recipient=BOB, reason="no-stamp"):
    return format_head(origin, recipient, reason, len(letter), letter) + letter


@given(octets, octets, words, words, words, words, octets)
@example(b"a\r\nX-Postage-Pass: x", b"b\n\nbody", "1\r\n2", "h; size=1", "x\r\n\r\n", "; reason=ok;", b" folded")
def test_what_is_written_is_read_whatever_strangers_have_said(sender, recipient, source, name, helo, proven, letter):
    origin = replace(ORIGIN, sender=sender, source=source, client_name=name, helo=helo, authenticated=proven)
    file = written(letter, origin, recipient, "bulk")

    head = parse_head(file, len(file))

    assert head.origin.sender == sender
    assert head.recipient == recipient
    assert (head.reason, head.origin.at, head.size) == ("bulk", NOW, len(letter))
    assert (head.origin.helo, head.origin.authenticated) == (helo, proven)
    assert file[head.begins_at :] == letter


def test_a_file_that_several_have_is_whose_folder_it_lies_in_and_names_nobody():
    file = format_head(ORIGIN, None, "no-stamp", len(LETTER), LETTER) + LETTER
    head = parse_head(file, len(file), owner=b"eve@example.org")
    assert (head.recipient, head.reason, head.origin, head.size) == (
        b"eve@example.org",
        "no-stamp",
        ORIGIN,
        len(LETTER),
    )
    assert parse_head(written(), len(written()), owner=b"eve@example.org").recipient == BOB
    with pytest.raises(Malformed):
        parse_head(file, len(file))


@given(octets, octets, words, words)
@example(b"a\r\nX-Evil: 1", b"b\r\n\r\nbody", "h\r\nX-Evil: 1", "\rX-Evil: 1\n")
def test_no_value_can_put_a_field_above_the_letter(sender, recipient, helo, proven):
    origin = replace(ORIGIN, sender=sender, helo=helo, authenticated=proven)
    head = format_head(origin, recipient, "no-stamp", len(LETTER), LETTER)

    assert [field.key for field in parse_header(head).fields] == [b"return-path", b"delivered-to", b"x-postage-refused"]
    assert not set(head.replace(b"\r\n", b"")) & {*range(0x20), 0x7F}
    assert all(len(line) <= 998 for line in head.split(b"\r\n"))


@given(st.binary(max_size=2000), st.integers(0, 5000))
def test_any_file_is_read_or_malformed(file, size):
    with contextlib.suppress(Malformed):
        parse_head(file, size)


@given(st.integers(0, 600), octets)
def test_a_file_that_was_altered_is_read_or_malformed(at, insertion):
    file = written()
    altered = file[:at] + insertion + file[at + 1 :]
    with contextlib.suppress(Malformed):
        head = parse_head(altered, len(altered))
        assert head.begins_at + head.size == len(altered)


def test_a_letter_that_claims_to_be_kept_is_no_other_for_it():
    forged = written(
        origin=replace(ORIGIN, sender=b"mallory@evil.example"), recipient=b"eve@example.org", reason="bulk"
    )
    file = written(forged)

    head = parse_head(file, len(file))

    assert (head.recipient, head.reason, head.origin.sender) == (BOB, "no-stamp", b"ann@sender.example")
    assert file[head.begins_at :] == forged


@pytest.mark.parametrize(
    "begins", [b" folded\r\n\r\nx\r\n", b"\tfolded\r\n", b"\r\nno header\r\n", b"\r\n folded body", b"", b"no field"]
)
def test_whatever_a_letter_begins_with_our_field_ends_before_it(begins):
    file = written(begins)
    head = parse_head(file, len(file))

    assert file[head.begins_at :] == begins
    ours = parse_header(split_letter(file)[0]).fields[2]
    assert b"folded" not in ours.raw


@pytest.mark.parametrize("change", [-1, 1, 3, -len(LETTER), 10**6])
def test_a_letter_that_is_not_whole_is_none(change):
    file = written()
    with pytest.raises(Malformed):
        parse_head(file, len(file) + change)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b"v=1;", b"v=2;"),
        (b"reason=no-stamp", b"reason=NO\x1b[1m"),
        (b"reason=no-stamp", b"reason="),
        (b"time=1795000000", b"time=999999999999999"),
        (b"size=", b"siz="),
        (b"Delivered-To: ", b"Received: "),
    ],
)
def test_what_we_do_not_write_is_not_read(right, wrong):
    file = written()
    assert right in file
    file = file.replace(right, wrong, 1)
    with pytest.raises(Malformed):
        parse_head(file, len(file))


def test_long_mailboxes_are_kept_whole_and_the_rest_is_cut():
    longest = b"\xff" * MAILBOX_BYTES_MAX
    origin = replace(ORIGIN, sender=longest, helo="h" * 10**6, client_name="n" * 10**6, authenticated="\t" * 10**6)
    file = written(origin=origin, recipient=longest)

    head = parse_head(file[:HEAD_BYTES_MAX], len(file))

    assert (head.origin.sender, head.recipient) == (longest, longest)
    assert len(head.origin.helo) == 1000


def test_a_mailbox_longer_than_any_is_refused_and_never_cut():
    with pytest.raises(ValueError, match="mailbox"):
        written(recipient=b"x" * (MAILBOX_BYTES_MAX + 1))

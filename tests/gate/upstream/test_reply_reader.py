"""Replies are the same, however the network cuts what the mail server sends."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pennyred.gate.upstream.reply_reader import LINE_OCTETS_MAX, NotSmtp, ReplyReader

LINES = st.lists(
    st.one_of(
        st.sampled_from([b"250 2.0.0 Ok\r\n", b"250-PIPELINING\r\n", b"250 SIZE\r\n", b"354\r\n", b"421 bye\n"]),
        st.tuples(st.from_regex(rb"[1-6][0-9]{2}", fullmatch=True), st.binary(max_size=8)).map(b"".join),
        st.sampled_from([b"250 a\rb\r\n", b"250 \r\n", b"250 x\r\r\n", b"\xb2\xb2\xb2 x\r\n", b"\r\n"]),
        st.integers(LINE_OCTETS_MAX - 8, LINE_OCTETS_MAX + 8).map(lambda octets: b"250 " + b"x" * octets + b"\r\n"),
    ),
    max_size=5,
).map(b"".join)


def heard(pieces):
    """The replies that `Dialogue.data_received` takes out of these pieces, and whether it breaks off."""
    reader, found = ReplyReader(), []
    try:
        for piece in pieces:
            if whole := reader.whole(piece):
                found += whole
                continue
            reader.feed(piece)
            while (reply := reader.next()) is not None:
                found.append(reply)
    except NotSmtp:
        return found, True
    return found, False


@given(LINES, st.lists(st.integers(0, 5000), max_size=4))
@example(b"250 2.0.0 Ok\r\n", [])
@example(b"250-a\r\n250 b\r\n", [7])
@example(b"250 Ok\r\n250 Ok\r\n", [8])
@example(b"250 a\rb\r\n", [])
def test_replies_do_not_depend_on_how_they_are_cut(data, cuts):
    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    pieces = [data[begin:end] for begin, end in pairwise(places)]
    octets = [data[place : place + 1] for place in range(len(data))]
    by_lines = re.findall(rb"[^\n]*\n|[^\n]+", data)
    assert heard(pieces) == heard(octets) == heard(by_lines)


@pytest.mark.parametrize("line", [b"250 " + b"x" * LINE_OCTETS_MAX + b"\r\n", b"650 no\r\n", b"hello\r\n", b"25\r\n"])
def test_what_is_no_reply_is_none_in_one_piece_either(line):
    assert heard([line]) == ([], True)

"""Every reply of the gate's own: as the contract says, short enough, and with nothing of a stranger's in it raw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.letterbox import Delivered, Due, Fate, Reply
from pennyred.gate.smtp import replies
from pennyred.postage.reasons import Kind, Reason

DUE = [reason for reason in Reason if reason.kind is Kind.DUE]
LATER = [reason for reason in Reason if reason.kind is Kind.LATER]


def test_a_missing_stamp_is_asked_for_in_the_words_of_the_contract():
    assert replies.postage_due(
        b"bob@example.org", Due(0, Reason.NO_STAMP), issuers=("post.example.org",), help_url="https://example.org/post"
    ) == (
        b"550 5.7.1 Postage due: bob@example.org needs a 1-cent stamp from post.example.org (no-stamp);"
        b" see https://example.org/post\r\n"
    )
    assert replies.postage_due(b"b@e.org", Due(0, Reason.BULK, 3), issuers=("a.example", "b.example")) == (
        b"550 5.7.1 Postage due: b@e.org needs a 3-cent stamp from a.example or b.example (bulk)\r\n"
    )


@pytest.mark.parametrize("reason", DUE)
def test_a_stamp_that_does_not_count_says_why_and_is_temporary_only_where_time_cures_it(reason):
    reply = replies.postage_due(b"b@e.org", Due(0, reason), issuers=())
    expected = b"450 4.7.1 " if reason in (Reason.OVER_CAP, Reason.NOT_YET_VALID) else b"550 5.7.1 "
    assert reply.startswith(expected + b"Postage due: b@e.org")
    assert f"({reason})".encode() in reply


@pytest.mark.parametrize(
    ("reason", "altered", "told"),
    [
        (
            Reason.ALTERED_HEADERS,
            ("reply-to", "subject"),
            b"the letter's header was altered after stamping: reply-to, subject (altered-headers)",
        ),
        (
            Reason.ALTERED_BODY,
            ("to", "body"),
            b"the letter's text was altered after stamping: to, body (altered-body)",
        ),
    ],
)
def test_of_an_altered_letter_it_says_what_was_altered_and_what_to_do(reason, altered, told):
    due = Due(0, reason, altered=altered)
    assert replies.postage_due(b"b@e.org", due, issuers=(), help_url="https://x.example") == (
        b"550 5.7.1 Postage due: b@e.org: " + told + b"; stamp it behind what alters it; see https://x.example\r\n"
    )


def test_of_a_text_that_was_delivered_before_it_says_when():
    due = Due(0, Reason.RESENT, delivered_at=1_796_076_309)
    assert replies.postage_due(b"b@e.org", due, issuers=()) == (
        b"550 5.7.1 Postage due: b@e.org: this text was delivered there at 2026-11-30 22:05 UTC;"
        b" not charged again (resent)\r\n"
    )


@pytest.mark.parametrize("reason", LATER)
def test_trouble_is_always_temporary(reason):
    codes = {Reason.UPSTREAM_UNAVAILABLE: b"451 4.4.1 ", Reason.IDENTITY_REFUSED: b"451 4.3.5 "}
    code = codes.get(reason, b"451 4.3.0 ")
    assert replies.later(reason).startswith(code)
    assert b"(ref 12ab)" in replies.later(reason, "12ab")


@given(st.binary(max_size=3000), st.text(max_size=800), st.sampled_from(DUE))
def test_nothing_a_stranger_sends_breaks_a_reply(recipient, help_url, reason):
    reply = replies.postage_due(
        recipient, Due(0, reason), issuers=("i.example",), help_url=help_url.replace("\n", "").replace("\r", "")
    )
    lines = reply.split(b"\r\n")
    assert lines.pop() == b""
    assert all(len(line) <= 510 and line[:3] == lines[0][:3] for line in lines)
    assert all(line[3:4] == b"-" for line in lines[:-1])
    assert lines[-1][3:4] == b" "
    assert reply.isascii()
    assert b"\r" not in b"".join(lines)
    assert b"\n" not in b"".join(lines)


def delivered(*said: tuple[Fate, Reply | None]) -> Delivered:
    recipients = tuple(b"%d@example.org" % index for index in range(len(said)))
    return Delivered(tuple(fate for fate, _ in said), tuple(reply for _, reply in said), recipients, 1)


OK = (Fate.ACCEPTED, Reply(250, (b"ok",)))
NO = (Fate.REFUSED_PERMANENT, Reply(550, (b"5.1.1 one", b"5.1.1 no\xff")))
WAIT = (Fate.REFUSED_TEMPORARY, Reply(452, (b"4.2.2 full",)))
DOUBT = (Fate.IN_DOUBT, None)
LOST = (Fate.NOT_SENT, None)


def test_one_voice_is_passed_on_verbatim():
    assert replies.relayed(delivered(OK, OK)) == b"250 ok\r\n"
    assert replies.relayed(delivered(NO)) == b"550-5.1.1 one\r\n550 5.1.1 no\xff\r\n"
    assert replies.relayed(delivered(WAIT, WAIT)) == b"452 4.2.2 full\r\n"


def test_anything_temporary_among_several_makes_it_temporary():
    assert replies.relayed(delivered(OK, NO, WAIT)) == b"452 4.2.2 full\r\n"
    assert replies.relayed(delivered(OK, DOUBT)).startswith(b"451 4.4.1")
    assert replies.relayed(delivered(LOST)).startswith(b"451 4.4.1")
    assert replies.relayed(delivered((Fate.IN_DOUBT, Reply(354, (b"more",))))).startswith(b"451 4.4.1")


def test_accepted_and_refused_is_refused_and_names_who_has_it():
    reply = replies.relayed(delivered(OK, NO, OK, NO))
    assert reply == (
        b"550-5.0.0 refused (550 5.1.1 one 5.1.1 no\\xff): 1@example.org, 3@example.org\r\n"
        b"550 5.0.0 delivered: 0@example.org, 2@example.org\r\n"
    )


def test_who_has_had_it_before_is_not_told_that_it_was_refused():
    """A retry to the one who had to wait, now refused for good: the bounce must not name the other as lost."""
    reply = replies.relayed(delivered(NO), (b"ann@example.org", b"0@example.org"))
    assert reply.startswith(b"550-5.0.0 refused (550 5.1.1 one 5.1.1 no\\xff): 0@example.org\r\n")
    assert reply.endswith(b"\r\n550 5.0.0 delivered: ann@example.org\r\n")
    assert replies.relayed(delivered(OK), (b"ann@example.org", b"0@example.org")) == b"250 ok\r\n"


@given(
    st.lists(
        st.tuples(st.binary(max_size=300), st.sampled_from([OK, NO]) | st.binary(max_size=900)),
        min_size=2,
        max_size=40,
    ),
    st.sampled_from([1, 30]),
)
def test_a_reply_that_names_recipients_has_short_lines_and_nothing_of_a_strangers_raw(said, times):
    said = said * times
    pairs = [one if isinstance(one, tuple) else (Fate.REFUSED_PERMANENT, Reply(550, (one,))) for _, one in said]
    everyone = tuple(mailbox for mailbox, _ in said)
    reply = replies.relayed(
        Delivered(tuple(fate for fate, _ in pairs), tuple(text for _, text in pairs), everyone, 1),
        (b"before@example.org", *everyone),
    )
    if all(fate is Fate.ACCEPTED for fate, _ in pairs):
        assert reply == b"250 ok\r\n"
        return
    *lines, end = reply.split(b"\r\n")
    assert end == b""
    assert len(lines) <= 101
    assert all(len(line) <= 510 and line.startswith(b"550-5.0.0 ") for line in lines[:-1])
    assert lines[-1].startswith(b"550 5.0.0 ")
    assert reply.isascii()
    assert b"\r" not in b"".join(lines)
    assert b"\n" not in b"".join(lines)


def test_a_hundred_lines_name_a_thousand_recipients_and_say_how_many_they_do_not():
    alike = replies.relayed(delivered(NO, *[OK] * 999))
    assert all(b"%d@example.org" % number in alike for number in range(1000))
    different = [(Fate.REFUSED_PERMANENT, Reply(550, (b"no %d" % number,))) for number in range(1000)]
    assert replies.relayed(delivered(OK, *different)).endswith(b"\r\n550 5.0.0 and 901 more\r\n")


def test_every_constant_reply_is_well_formed():
    constants = [value for name, value in vars(replies).items() if name.isupper() and isinstance(value, bytes)]
    assert len(constants) > 30
    for reply in constants:
        assert reply[:3].isdigit()
        assert reply.endswith(b"\r\n")
        assert len(reply) <= 512
        if reply[:1] in b"245":
            assert reply[4:5] == reply[:1], "the enhanced code has the class of the reply"


@pytest.mark.parametrize(
    ("price", "words"), [(1, b"price here, 1 stamp (underpaid)"), (10, b"price here, 10 stamps (underpaid)")]
)
def test_who_paid_too_little_is_told_the_price(price, words):
    reply = replies.postage_due(
        b"bob@example.org", Due(0, Reason.UNDERPAID, price), issuers=(), help_url="https://x.example"
    )
    assert reply.startswith(b"550 5.7.1 Postage due: bob@example.org: ")
    assert words in reply

"""A real Postfix in front that asks the gate as its before-queue filter, by the very file in config/postfix, as it does
by default and with speed_adjust: then it has the whole letter before the gate hears of it, and passes one answer on.
"""

import contextlib
import smtplib
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.support import real_postfix
from tests.support.postfix_filter import filtered
from tests.support.real_postfix import free_port
from tests.support.town import ANN, BOB, Town, letter

pytestmark = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)

FREE = "postmaster@example.org"


@pytest.fixture(scope="module", params=[False, True], ids=["as it is", "speed_adjust"])
def started(request, tmp_path_factory):
    gate = 'mixed = "reject"' if request.param else ""
    with filtered(tmp_path_factory.mktemp("front"), gate, is_adjusted=request.param) as found:
        found[0].fund(100)
        yield *found, request.param


@pytest.fixture
def in_front(started):
    started[1].forget()
    return started


def test_stamped_mail_goes_through_for_one_cent(in_front):
    town, postfix, _, _ = in_front
    spent = town.balance()[0]
    stamped = town.stamped(letter(), BOB)
    assert town.send(stamped, BOB)[0] == 250
    [delivered] = postfix.wait_for_letters(1)
    assert delivered.endswith(stamped.replace(b"\r\n", b"\n"))
    assert town.balance() == (spent + 1, 0)


def test_the_refusal_reaches_the_client(in_front):
    town, postfix, _, _ = in_front
    code, text = town.send(letter(), BOB)
    assert code == 550
    assert "5.7.1 Postage due: bob@example.org needs a 1-cent stamp" in text
    assert postfix.letters() == []


def test_a_letter_of_three_megabytes_goes_through(in_front):
    town, postfix, _, _ = in_front
    stamped = town.stamped(
        letter() + b"0123456789abcdef" * 4 + b"\r\n.\r\n..\r\n" + (b"x" * 76 + b"\r\n") * 40_000, BOB
    )
    with closing(smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60)) as smtp:
        smtp.ehlo("client.example")
        assert smtp.sendmail(ANN, [BOB], stamped) == {}
    [delivered] = postfix.wait_for_letters(1)
    assert delivered.endswith(stamped.replace(b"\r\n", b"\n"))


def test_recipients_with_and_without_a_stamp_each_get_their_answer_or_the_letter_is_judged_whole(in_front):
    """Whichever way, nobody is dropped silently: not one of the two copies is delivered without its answer."""
    town, postfix, _, is_adjusted = in_front
    with closing(smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60)) as smtp:
        smtp.ehlo("client.example")
        smtp.mail(ANN)
        assert [smtp.rcpt(one)[0] for one in (FREE, BOB)] == [250, 250 if is_adjusted else 452]
        if is_adjusted:
            code, text = smtp.data(letter())
            assert (code, b"bob@example.org needs a 1-cent stamp" in text) == (550, True)
            assert postfix.letters() == []
            assert town.send(town.stamped(letter(), BOB), FREE, BOB)[0] == 250
            assert len(postfix.wait_for_letters(2)) == 2
        else:
            assert smtp.data(letter())[0] == 250
            assert len(postfix.wait_for_letters(1)) == 1


def test_the_gate_is_told_who_the_client_is(in_front):
    """Else every source would look like one, and a single spammer would use up everybody's allowance."""
    town, _, served, _ = in_front
    with as_client(town, "198.51.100.77") as smtp, pytest.raises(smtplib.SMTPDataError, match="Postage due"):
        say(smtp, BOB)
    line = served.wait_for(lambda one: one.get("sender") == "a@spam.example")
    assert line["source"] == "198.51.100.77"


def test_it_is_no_open_relay(in_front):
    town, _, _, _ = in_front
    assert town.send(letter(), "somebody@elsewhere.example")[0] == 554


@pytest.mark.parametrize("is_adjusted", [False, True])
def test_later_reaches_the_client_as_later(tmp_path, is_adjusted):
    """The mail server behind the gate is away: nothing of that is a refusal."""
    with filtered(tmp_path, 'mixed = "reject"', is_adjusted=is_adjusted, behind=free_port()) as (town, postfix, _):
        code, _ = town.send(letter(), FREE)
        assert 400 <= code <= 499
        assert postfix.letters() == []


def test_a_letter_that_speed_adjust_cannot_divide_is_noticed_and_not_put_off_for_ever(tmp_path):
    with filtered(tmp_path, 'mixed = "split"', is_adjusted=True) as (town, postfix, served):
        said = [town.send(letter(), FREE, BOB) for _ in range(3)]
        assert [code for code, _ in said] == [452, 452, 550]
        assert "Postage due: bob@example.org" in said[-1][1]
        line = served.wait_for(lambda line: line["event"] == "smtp.split_given_up")
        assert line["front"] == "127.0.0.1"
        assert postfix.letters() == []


def test_by_xforward_the_second_postfix_logs_the_client_and_judges_the_gate(tmp_path):
    with filtered(tmp_path, 'upstream_identity = "xforward"', is_adjusted=False) as (town, postfix, _):
        with as_client(town, "198.51.100.78") as smtp:
            say(smtp, FREE)
        postfix.wait_for_letters(1)
        assert "client=localhost[127.0.0.1], orig_client=spam.example[198.51.100.78]" in postfix.log.read_text()


@contextlib.contextmanager
def as_client(town: Town, address: str) -> Iterator[smtplib.SMTP]:
    """A session of the client there (Postfix lets the test say so)."""
    with closing(smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60)) as smtp:
        smtp.ehlo("front.example")
        smtp.docmd(f"XCLIENT ADDR={address} NAME=spam.example")
        smtp.ehlo("spam.example")
        yield smtp


def say(smtp: smtplib.SMTP, recipient: str) -> None:
    smtp.sendmail("a@spam.example", [recipient], letter())

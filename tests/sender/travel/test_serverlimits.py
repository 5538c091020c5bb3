"""A sender is told what servers on the way would not take whole, and of nothing else."""

import pytest

from pennyred.sender.travel.serverlimits import told_limits

REST = b"From: ann@sender.example\r\nSubject: Tea\r\n\r\nShall we?\r\n"
PERSON = b'"Ann B., Dr." <ann.b@x.example>'
"""With its comma, eleven tokens: the name, two brackets, ann . b @ x . example"""


def people(count: int) -> bytes:
    return b",\r\n ".join([PERSON] * count)


@pytest.mark.parametrize("field", [b"To", b"cc", b"From"])
def test_it_is_said_where_postfix_would_drop_addresses(field):
    told = [list(told_limits(field + b": " + people(count) + b"\r\n" + REST)) for count in (931, 932)]

    assert [any("10,240" in text for text in texts) for texts in told] == [False, True]
    assert told[1][0].startswith(f"the {field.decode().capitalize()} field has 10,251 words and signs")


def test_in_other_fields_as_many_signs_are_of_no_account():
    assert not any("10,240" in text for text in told_limits(b"X-Own: " + people(932) + b"\r\n" + REST))


def test_it_is_said_where_postfix_would_cut_a_field():
    lines = b"\r\n ".join([b"x" * 70] * 1421)
    whole = b"X: " + lines[: 102_400 - 5] + b"\r\n"

    assert not any("102,400" in text for text in told_limits(whole + REST))
    assert any("102,400" in text for text in told_limits(b"X-" + whole + REST))


def test_it_is_said_where_sendmail_would_refuse_the_letter():
    field = b"X: " + b"x" * 900 + b"\r\n"

    assert not list(told_limits(field * 36 + REST))
    assert any("32,768" in text for text in told_limits(field * 37 + REST))


def test_usual_letters_are_sent_in_silence():
    assert not list(told_limits(b"To: " + people(50) + b"\r\n" + REST))
    assert not list(told_limits(b"a line that is no field\r\n" + REST))


def test_it_is_said_where_sendmail_would_cut_a_files_name():
    def attached(count: int) -> bytes:
        names = b";\r\n ".join(b"filename*%d*=%b" % (at, b"%C3%BC" * 10) for at in range(count))
        return REST + b"--b\r\nContent-Disposition: attachment;\r\n " + names + b"\r\n\r\nShall we?\r\n"

    assert not list(told_limits(attached(25)))
    [told] = told_limits(attached(30))
    assert told.startswith("a Content-Disposition field")


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (b"<" + b"x" * 39 + b"@a.example>", ""),
        (b"\r\n <1@[192.0.2.1]> ", ""),
        (b"<" + b"x" * 40 + b"@a.example>", "40 characters"),
        (b"1@a.example", "form"),
        (b"<1>", "form"),
        (b"<1 2@a.example>", "form"),
    ],
)
def test_an_id_that_servers_replace_or_lose_is_told(value, word):
    told = list(told_limits(b"Message-ID: " + value + b"\r\n" + REST))

    assert len(told) == bool(word)
    assert all(word in text for text in told)

"""A letter made safe says to other programs what it said before: every part, every file name, every text.

They are the judges: Python's library in its two ways, and Perl's MIME-tools. What is refused is refused with a sentence;
nothing is left out, and nothing is shown that was not there.
"""

import contextlib

import pytest
from hypothesis import given, settings
from tests.support.corpus import corpus_letters
from tests.support.other_readers import WHY_NO_MIME_TOOLS, MimeTools, file_names, parts, people, subject
from tests.support.written_letters import letters

from pennyred.postage.errors import MalformedLetter
from pennyred.sender.travel.preparing import is_safe, make_safe


def safe(letter: bytes, *, eight_bit: bool = False) -> bytes | None:
    """The letter made safe; None where it is refused, which is always right."""
    with contextlib.suppress(MalformedLetter):
        made = make_safe(letter, eight_bit=eight_bit)
        assert is_safe(made, eight_bit=eight_bit)
        assert make_safe(made, eight_bit=eight_bit) is made
        return made
    return None


@pytest.mark.parametrize("eight_bit", [False, pytest.param(True, marks=pytest.mark.long)])
@settings(max_examples=100)
@given(letter=letters())
def test_pythons_library_reads_the_same(eight_bit, letter):
    made = safe(letter, eight_bit=eight_bit)
    if made is None:
        return

    assert parts(made) == parts(letter)
    assert file_names(made) == file_names(letter)
    assert subject(made) == subject(letter)
    assert people(made) == people(letter)
    assert people(made, "from") == people(letter, "from")


@settings(max_examples=100)
@given(letter=letters(is_broken=True))
def test_where_empty_lines_are_missing_it_loses_nothing(letter):
    """It ends a header where mail servers do, but in a line that is nothing but white space."""
    made = safe(letter)
    if made is None:
        return

    assert parts(made) == parts(letter)


@pytest.fixture(scope="module")
def mime_tools():
    if not MimeTools.is_available():
        pytest.skip(WHY_NO_MIME_TOOLS)
    with MimeTools() as tools:
        yield tools


@settings(max_examples=100)
@given(letter=letters())
def test_perls_mime_tools_read_the_same(mime_tools, letter):
    made = safe(letter)
    if made is None or made == letter:
        return
    then, now = mime_tools.read(letter), mime_tools.read(made)

    assert [(part["type"], part.get("content")) for part in now["parts"]] == [
        (part["type"], part.get("content")) for part in then["parts"]
    ]
    assert texts(now) == texts(then)


def texts(read):
    """Without the quotes and blanks around names, which it shows as they stand."""
    return {
        field: text and "".join(one for one in text.replace('"', " ").split(" ") if one)
        for field, text in read["texts"].items()
    }


def test_real_letters_read_the_same():
    for name, letter in corpus_letters():
        made = make_safe(letter, eight_bit=False)

        assert parts(made) == parts(letter), name
        assert file_names(made) == file_names(letter), name

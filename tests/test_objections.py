"""The page of objections holds its word: thirty of them, each with its state, and every test it names is there."""

import re
from pathlib import Path

import click
import pytest

from pennyred.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "src/pennyred/OBJECTIONS.md").read_text()
ANSWERS = re.findall(r"^\*\*(\d+)\. (.+?)\*\*.*? \*(Met|Partly|Not yet|Not met)\.\*$", PAGE, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+\.py(?:::\w+)?)`", PAGE)))


def test_there_are_thirty_in_order_each_with_what_became_of_it():
    assert [int(number) for number, _, _ in ANSWERS] == list(range(1, 31))


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_is_there(name):
    path, _, function = name.partition("::")
    text = (ROOT / path).read_text()
    assert not function or re.search(rf"^(?:    )?(?:def|class) {function}\b", text, re.MULTILINE)


def test_commands_that_are_named_are_there():
    for words in re.findall(r"`pennyred ([a-z ]+)", PAGE):
        group: click.Command | None = main
        for word in words.split():
            assert isinstance(group, click.Group), words
            group = group.get_command(click.Context(group), word)
        assert group is not None, words


def test_every_answer_that_claims_something_names_a_test():
    parts = re.split(r"^\*\*\d+\. ", PAGE, flags=re.MULTILINE)[1:]
    silent = [number for number, part in enumerate(parts, 1) if "`tests/" not in part]
    assert silent == [21, 29], "the law is not for software, and what is not there needs no test"

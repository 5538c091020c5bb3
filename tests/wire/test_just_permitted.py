"""What a command has just written counts for the next letter, though the letters before it asked no file."""

import pytest
from tests.support.town import ANN, BOB


@pytest.fixture
def town(found_town):
    return found_town()


def paid(town, letter, count=3):
    """Letters that are paid for: afterwards the gate knows that nobody has written anything down."""
    for number in range(count):
        assert town.send(town.stamped(letter(f"Tea, {number}"), BOB), BOB)[0] == 250


def test_a_window_opened_by_command_lets_the_next_letter_in(town, letter):
    with town.serve():
        town.fund(5)
        paid(town, letter)
        assert town.send(letter(), BOB)[0] == 550
        town.admin("permit", "expect", BOB, "--minutes", "5")
        assert town.send(letter(), BOB)[0] == 250


def test_and_the_next_stamp_is_not_spent(town, letter):
    with town.serve():
        town.fund(5)
        paid(town, letter)
        town.admin("permit", "expect", BOB, "--minutes", "5")
        paid(town, letter, 1)
        assert town.balance() == (3, 0)


def test_the_same_with_several_workers(found_town, letter):
    town = found_town("workers = 2")
    with town.serve():
        town.fund(9)
        paid(town, letter, 6)
        town.admin("permit", "expect", BOB, "--minutes", "5")
        paid(town, letter, 2)
        assert [town.send(letter(str(number)), BOB, sender=ANN)[0] for number in range(3)] == [250] * 3
        assert town.balance() == (6, 0)

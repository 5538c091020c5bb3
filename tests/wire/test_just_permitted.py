"""What a command has just written counts for the next letter, though the letters before it asked no file."""

import pytest
from tests.support.dkim_keys import ed25519_key, key_name, sign
from tests.support.dns_server import DnsServer
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


def test_so_does_a_correspondent_where_others_have_some_and_all_senders_are_proven(found_town, letter):
    """Then the gate looks for a sender in what it remembers of the state, and asks the state for what it may know."""
    zone = {key_name("sender.example", "s1"): [ed25519_key().txt], "sender.example": ["v=spf1 ip4:127.0.0.1 -all"]}
    with DnsServer({name: {"TXT": texts} for name, texts in zone.items()}) as dns:
        host, port = dns.address
        town = found_town(f'nameservers = ["{host}:{port}"]')
        town.admin("correspondents", "add", "eve@example.org", ANN)

        def send(number: int) -> None:
            octets = town.stamped(letter(f"Tea, {number}"), BOB)
            assert town.send(sign(octets, "sender.example", "s1", ed25519_key()), BOB)[0] == 250

        with town.serve():
            town.fund(9)
            for number in range(3):
                send(number)
            town.admin("correspondents", "add", BOB, ANN)
            for number in range(2):
                send(number)
            assert town.balance() == (3, 0)
            town.admin("correspondents", "remove", BOB, ANN)
            send(9)
            assert town.balance() == (4, 0)

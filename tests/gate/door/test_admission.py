"""Who is let in: so many of one network, and nobody else pays for it."""

from ipaddress import ip_network

import pytest
from tests.support.memory_gate import MemoryClient, MemoryGate

from pennyred.gate.door.admission import CountedBadStamps
from pennyred.gate.door.tally import Tally

FRONT = "192.0.2.1"
CROWDED = b"421 4.3.2 Too many connections from your network, try again later\r\n"
BUSY = b"421 4.3.2 Too busy, try again later\r\n"
MAIL = b"MAIL FROM:<a@x.example>\r\n"
LETTER = b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n"


def said_to(gate: MemoryGate, address: str) -> bytes:
    """What a client hears that connects and says nothing."""
    return bytes(MemoryClient(gate, gate.loop.run_until_complete(gate._session()), address).said)


def is_in(gate: MemoryGate, address: str) -> bool:
    said = said_to(gate, address)
    assert said.startswith(b"220 ") or said == CROWDED
    return said != CROWDED


def test_one_address_has_so_many_connections_and_its_neighbours_have_theirs():
    with MemoryGate(options={"connections_per_network_max": 2}) as gate:
        assert [is_in(gate, "198.51.100.7") for _ in range(4)] == [True, True, False, False]
        assert [is_in(gate, "198.51.100.8") for _ in range(3)] == [True, True, False]


def test_of_ipv6_a_64_is_one_network_and_mapped_ipv4_is_ipv4():
    with MemoryGate(options={"connections_per_network_max": 1}) as gate:
        assert is_in(gate, "2001:db8::1")
        assert not is_in(gate, "2001:db8::ffff:0:2")
        assert is_in(gate, "2001:db8:0:1::1")
        assert is_in(gate, "::ffff:198.51.100.7")
        assert not is_in(gate, "198.51.100.7")


def test_who_has_a_48_does_not_take_all_the_room():
    """It has 65,536 networks, which cost nothing; four times as many connections as one of them are enough."""
    with MemoryGate(options={"connections_per_network_max": 2, "connections_max": 100}) as gate:
        assert sum(is_in(gate, f"2001:db8:1:{net:x}::1") for net in range(50)) == 8
        assert is_in(gate, "2001:db8:2::1")
        for session in tuple(gate.server._house.sessions):
            session.cut_off()
        gate.loop.settle()
        assert is_in(gate, "2001:db8:1::1"), "whoever leaves makes room there, too"


@pytest.mark.parametrize("way", ["EHLO only", "inside a transaction", "inside a letter", "says nothing at all"])
def test_where_nobody_else_can_come_in_those_leave_who_say_nothing(way):
    """From many networks that is how a gate is held shut; while there is room they may be silent for five minutes."""
    with MemoryGate(options={"connections_max": 2, "trusted_fronts": (ip_network(FRONT),)}) as gate:
        front, silent = gate.client(address=FRONT), gate.client(b"" if way == "says nothing at all" else b"EHLO x\r\n")
        if way.startswith("inside"):
            silent.send(b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n")
        if way == "inside a letter":
            silent.send(b"DATA\r\n")
            silent.send(b"Subject: x\r\n")
        gate.loop.pass_seconds(5)
        assert said_to(gate, "203.0.113.1") == BUSY
        assert not silent.has_heard_end
        gate.loop.pass_seconds(10)
        assert said_to(gate, "203.0.113.1") == BUSY
        gate.loop.settle()
        assert silent.has_heard_end
        assert bytes(silent.said).endswith(b"421 4.4.2 Too slow, closing\r\n")
        assert is_in(gate, "203.0.113.1")
        assert not front.has_heard_end


def test_whoever_leaves_makes_room_whatever_way_it_goes():
    with MemoryGate(options={"connections_per_network_max": 1}) as gate:
        for way in ("QUIT", "end", "reset", "silence"):
            client = gate.client()
            assert not is_in(gate, "198.51.100.7")
            if way == "QUIT":
                client.send(b"QUIT\r\n")
            elif way == "end":
                client.send(None)
            elif way == "reset":
                client.transport._protocol.connection_lost(ConnectionResetError())
                gate.loop.settle()
            else:
                gate.loop.pass_seconds(1000)
        assert is_in(gate, "198.51.100.7")


def test_fronts_and_exempt_networks_have_no_limit_of_their_own():
    options = {
        "connections_per_network_max": 1,
        "trusted_fronts": (ip_network(FRONT),),
        "uncounted_networks": (ip_network("203.0.113.0/24"),),
    }
    with MemoryGate(options=options) as gate:
        assert all(is_in(gate, address) for address in (FRONT, "203.0.113.9") for _ in range(5))
        assert [is_in(gate, "198.51.100.7") for _ in range(2)] == [True, False]


def test_a_client_turned_away_costs_no_task_and_nothing_of_the_mail_servers():
    with MemoryGate(options={"connections_max": 1}) as gate:
        gate.client()
        heard = len(gate.upstream.heard)
        turned_away = [
            MemoryClient(gate, gate.loop.run_until_complete(gate._session()), "203.0.113.9") for _ in range(9)
        ]
        assert all((client.said, client.has_heard_end) == (BUSY, True) for client in turned_away)
        assert (gate.server.sessions, len(gate.upstream.heard)) == (1, heard)


def test_that_clients_are_turned_away_is_written_down_once_a_minute():
    with MemoryGate(options={"connections_per_network_max": 1}) as gate:
        for _ in range(9):
            said_to(gate, "198.51.100.7")
        gate.loop.pass_seconds(61)
        said_to(gate, "198.51.100.7")
        lines = [facts for _, event, facts in gate.notes.lines if event == "smtp.crowded"]
    assert [(line["client"], line["refused"]) for line in lines] == [("198.51.100.7", 1), ("198.51.100.7", 8)]


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [("198.51.100.7", "198.51.100.7", "198.51.100.8"), ("2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2::1")],
)
def test_behind_a_shared_address_those_leave_who_say_nothing_where_no_more_can_come_in_from_there(address, same, other):
    """Else one who opens connections and says nothing shuts out everybody there, for nothing."""
    count = 2 if address == same else 8
    with MemoryGate(options={"connections_per_network_max": 2}) as gate:
        silent = [gate.client(b"EHLO x\r\n", address=address.replace(":2:", f":{one // 2}:")) for one in range(count)]
        elsewhere = gate.client(b"EHLO x\r\n", address=other)
        assert not is_in(gate, same)
        assert not any(client.has_heard_end for client in silent)
        gate.loop.pass_seconds(11)
        assert not is_in(gate, same), "who comes first is turned away, the next finds room"
        gate.loop.settle()
        assert all(client.has_heard_end for client in silent)
        assert not elsewhere.has_heard_end
        assert is_in(gate, same)


def test_two_workers_count_together():
    tally = Tally(2, 100)
    options = {"connections_per_network_max": 2, "connections_max": 3}
    with MemoryGate(options=options, tally=tally.of(0)) as one, MemoryGate(options=options, tally=tally.of(1)) as other:
        assert is_in(one, "198.51.100.7")
        assert is_in(other, "198.51.100.7")
        assert not is_in(one, "198.51.100.7")
        assert is_in(other, "198.51.100.8")
        assert said_to(one, "198.51.100.9") == BUSY
    assert tally.of(0).connections == 0


def test_bad_stamps_are_counted_by_network_and_account_for_all_workers_and_for_a_minute():
    now = 0.0
    tally = Tally(2, 100, clock=lambda: now)
    one, other = (CountedBadStamps(tally.of(worker)) for worker in range(2))
    one.add("198.51.100.7", "", 3)
    other.add("198.51.100.7", "", 1)
    other.add("198.51.100.7", "post.example.org aaaa", 2)
    other.add("2001:db8::1", "", 5)
    assert [book.count("198.51.100.7", "") for book in (one, other)] == [4, 4]
    assert one.count("198.51.100.7", "post.example.org aaaa") == 2
    assert one.count("198.51.100.7", "post.example.org bbbb") == 0
    assert one.count("198.51.100.8", "") == 0
    assert (one.count("2001:db8::2", ""), one.count("2001:db8:0:1::1", "")) == (5, 0)
    now = 60.0
    assert one.count("198.51.100.7", "") == 0


def test_whom_no_front_speaks_for_cannot_pass_for_another():
    """Neither to hide behind an address, nor to have what it does counted against it."""
    with MemoryGate(options={"trusted_fronts": (ip_network(FRONT),)}) as gate:
        client = gate.client()
        assert client.send(b"XCLIENT ADDR=198.51.100.8\r\n").startswith(b"550 ")
        client.send(LETTER + b"Subject: x\r\n\r\nx\r\n.\r\n")
        assert [one.source_ip for one in gate.desk.envelopes] == ["198.51.100.7"]

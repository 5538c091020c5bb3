"""The HTTP door: who may hold a connection, how many, how long; and nobody's silence shuts out anybody else."""

import asyncio
import socket
import ssl
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme
import uvloop
from tests.support.http_door import BIG, get, open_door

from pennyred.gate.door.tally import Tally
from pennyred.http.admission import Guest, Guests, LocalCounts, Room, network_of
from pennyred.http.exchange import HEADER_OCTETS_MAX, SLICE_OCTETS, Deadlines, Exchange, Phase
from pennyred.http.listener import CLOSING_MAX
from pennyred.http.pieces import PIECES_FREE, BoundedConnection

OK = b"HTTP/1.1 200 OK"
CROWDED = b"HTTP/1.1 503 Service Unavailable"
SLOW = b"HTTP/1.1 408 Request Timeout"
HALF_HEADER = b"GET /here HTTP/1.1\r\nHost: he"
HALF_BODY = b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\nhalf"
KEPT = get("/here")


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    """As tests run, and as the program does."""
    return request.param


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of localhost: the files, and who believes it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {"tls_certificate": folder / "cert.pem", "tls_key": folder / "key.pem"}, context


@pytest.mark.parametrize("said", [b"", HALF_HEADER, HALF_BODY, KEPT], ids=["nothing", "header", "body", "kept"])
def test_a_full_crowd_of_silent_connections_makes_room_for_whoever_comes(run, said):
    async def story():
        async with open_door(room=Room(20, 5)) as house:
            silent = [await house.client(f"127.0.1.{number}", said) for number in range(1, 41)]
            assert await house.asks("/here", source="127.0.2.1") == OK
            assert await silent[0].hears() in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            assert silent[-1].is_there, "who came last has a place"

    run(story())


def test_one_network_has_its_share_and_its_own_silence_makes_room_there(run):
    async def story():
        async with open_door(room=Room(100, 5)) as house:
            others = [await house.client("127.0.3.1") for _ in range(3)]
            silent = [await house.client("127.0.1.1") for _ in range(60)]
            assert await house.asks("/here", source="127.0.1.1") == OK
            assert await silent[0].hears() == b""
            await house.until(lambda: sum(one.is_there for one in silent) <= 5)
            assert all(one.is_there for one in others), "nobody else had to go"
            assert [line["event"] for line in house.log.lines] == ["http.crowded"]

    run(story())


def test_who_is_asked_of_is_never_let_go_and_then_newcomers_are_told_to_come_again(run):
    async def story():
        async with open_door(room=Room(3, 2)) as house:
            asking = [await house.client(f"127.0.1.{number}", get("/wait")) for number in (1, 2, 3)]
            await house.until(lambda: house.waiting == 3)
            refused = await house.client("127.0.2.1")
            answer = await refused.hears()
            assert answer.startswith(CROWDED)
            assert b"retry-after: 10" in answer
            assert b'"reason": "too-many-connections"' in answer
            house.go_on.set()
            assert [await one.hears_an_answer() != b"" for one in asking] == [True] * 3
            assert await house.asks("/here", source="127.0.2.1") == OK

    run(story())


def test_of_one_network_no_more_than_its_share_is_worked_for(run):
    async def story():
        async with open_door(room=Room(100, 2)) as house:
            for _ in range(2):
                await house.client("127.0.1.1", get("/wait"))
            await house.until(lambda: house.waiting == 2)
            assert (await house.asks("/here", source="127.0.1.1")) in (CROWDED, b"")
            assert await house.asks("/here", source="127.0.2.1") == OK

    run(story())


def test_strangers_do_not_shut_out_a_network_from_which_a_token_came(run):
    async def story():
        async with open_door(room=Room(3, 3)) as house:
            assert await house.asks("/known", source="127.0.9.1") == OK
            for number in (1, 2, 3):
                await house.client(f"127.0.1.{number}", get("/wait"))
            await house.until(lambda: house.waiting == 3)
            assert await house.asks("/here", source="127.0.2.1") in (CROWDED, b"")
            assert await house.asks("/here", source="127.0.9.1") == OK

    run(story())


@pytest.mark.parametrize("reach", ["receivers", "trusted_proxies"])
def test_strangers_do_not_shut_out_those_whom_the_settings_name(run, reach):
    async def story():
        async with open_door(room=Room(3, 1), **{reach: (ip_network("127.0.9.0/24"),)}) as house:
            for number in (1, 2, 3):
                await house.client(f"127.0.1.{number}", get("/wait"))
            await house.until(lambda: house.waiting == 3)
            waiting = [await house.client("127.0.9.1", get("/wait")) for _ in range(2)]
            assert await house.asks("/here", source="127.0.9.1") == OK
            house.go_on.set()
            assert all([await one.hears_an_answer() for one in waiting])

    run(story())


def test_behind_a_proxy_each_client_has_his_share_and_no_more(run):
    async def story():
        async with open_door(room=Room(100, 2), trusted_proxies=(ip_network("127.0.9.1/32"),)) as house:
            slow = [await house.client("127.0.9.1", get("/wait", "X-Forwarded-For: 192.0.2.1")) for _ in range(2)]
            await house.until(lambda: house.waiting == 2)
            mine = "X-Forwarded-For: 192.0.2.1"
            assert await house.asks("/here", mine, source="127.0.9.1") == CROWDED
            assert await house.asks("/here", "X-Forwarded-For: 192.0.2.2", source="127.0.9.1") == OK
            assert await house.asks("/here", source="127.0.9.1") == OK, "the proxy for itself: it asks for health"
            house.go_on.set()
            assert all([await one.hears_an_answer() for one in slow])
            assert await house.asks("/here", mine, source="127.0.9.1") == OK
            assert set(house.asked_by) == {"192.0.2.1", "192.0.2.2", "127.0.9.1"}

    run(story())


def test_a_kept_connection_of_a_proxy_counts_as_nobody_s_between_requests(run):
    async def story():
        async with open_door(room=Room(100, 1), trusted_proxies=(ip_network("127.0.9.1/32"),)) as house:
            kept = [await house.client("127.0.9.1", get("/here", "X-Forwarded-For: 192.0.2.1")) for _ in range(1)]
            assert await kept[0].hears_an_answer()
            assert await house.asks("/here", "X-Forwarded-For: 192.0.2.1", source="127.0.9.1") == OK
            assert kept[0].is_there

    run(story())


DEADLINES = {
    "the first request": (Deadlines(0.3, 600, 600, 600), b"", SLOW),
    "half a header": (Deadlines(0.3, 600, 600, 600), HALF_HEADER, SLOW),
    "half a body": (Deadlines(600, 0.3, 600, 600), HALF_BODY, SLOW),
    "another request": (Deadlines(600, 600, 600, 0.3), KEPT, OK),
    "half of another request": (Deadlines(0.5, 600, 600, 600), KEPT + HALF_HEADER, OK),
    "a body that is not wanted": (Deadlines(600, 0.3, 600, 600), HALF_BODY.replace(b"/body", b"/here"), OK),
}


@pytest.mark.parametrize(("deadlines", "said", "heard"), DEADLINES.values(), ids=DEADLINES.keys())
def test_nobody_waits_for_ever_for(run, deadlines, said, heard):
    async def story():
        async with open_door(deadlines=deadlines) as house:
            answer = await (await house.client(octets=said)).hears()
            assert answer.startswith(heard)
            assert answer.count(b"HTTP/1.1 ") == (2 if said == KEPT + HALF_HEADER else 1)
            assert house.log.lines == []

    run(story())


def test_a_drip_does_not_put_a_deadline_off(run):
    async def story():
        async with open_door(deadlines=Deadlines(0.5, 600, 600, 600)) as house:
            dripping = await house.client()

            async def drip():
                while True:
                    await dripping.says(b"G")
                    await asyncio.sleep(0.05)

            task = asyncio.create_task(drip())
            assert (await dripping.hears())[: len(SLOW)] in (SLOW, b"")
            task.cancel()

    run(story())


def test_who_does_not_take_an_answer_is_hung_up_on(run):
    async def story():
        async with open_door(deadlines=Deadlines(600, 600, 0.5, 600)) as house:
            reader = await house.client(octets=get("/big"))
            reader.writer.transport.pause_reading()
            await house.until(lambda: house.asked_by)
            await asyncio.sleep(1)
            reader.writer.transport.resume_reading()
            assert len(await reader.hears()) < BIG

    run(story())


def test_who_reads_gets_a_long_answer_whole(run):
    async def story():
        async with open_door() as house:
            one = await house.client(octets=get("/big", "Connection: close"))
            assert (await one.hears()).endswith(b"x" * BIG)

    run(story())


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_handshake_that_does_not_come_to_an_end_is_given_up(run, certificate, said):
    files, _ = certificate

    async def story():
        async with open_door(deadlines=Deadlines(0.5, 600, 600, 600), **files) as house:
            assert OK not in await (await house.client(octets=said)).hears()
            assert house.log.lines == []

    run(story())


def test_silence_in_or_after_the_handshake_makes_room_too(run, certificate):
    files, context = certificate

    async def story():
        async with open_door(room=Room(20, 20), **files) as house:
            silent = [await house.client("127.0.1.1", b"\x16\x03\x01\x02\x00") for _ in range(10)]
            silent += [await house.client("127.0.1.2", tls=context) for _ in range(10)]
            honest = [await house.client("127.0.2.1", get("/here"), tls=context) for _ in range(15)]
            assert all([await one.hears_an_answer() for one in honest])
            assert await silent[0].hears() == b""

    run(story())


def test_over_tls_requests_and_kept_connections_are_as_without(run, certificate):
    files, context = certificate

    async def story():
        async with open_door(**files) as house:
            one = await house.client(octets=get("/here"), tls=context)
            for _ in range(3):
                assert await one.hears_an_answer()
                await one.says(get("/here"))
            assert await one.hears_an_answer()

    run(story())


def test_the_limits_hold_for_all_workers_together(run):
    async def story():
        strangers, known = Tally(2, 10), Tally(2, 10)
        doors = [open_door(room=Room(4, 4), strangers=strangers.of(n), known=known.of(n)) for n in (0, 1)]
        async with doors[0] as one, doors[1] as other:
            for number in (1, 2, 3, 4):
                await one.client(f"127.0.1.{number}", get("/wait"))
            await one.until(lambda: one.waiting == 4)
            assert await other.asks("/here", source="127.0.2.1") in (CROWDED, b"")
            one.go_on.set()
        assert strangers.of(0).connections == 0

    run(story())


def test_what_was_counted_is_uncounted_whatever_became_of_it(run, certificate):
    files, context = certificate

    async def story():
        strangers, known = LocalCounts(), LocalCounts()
        counts = {"strangers": strangers, "known": known}
        async with open_door(
            room=Room(5, 3), trusted_proxies=(ip_network("127.0.9.1/32"),), **counts, **files
        ) as house:
            for said in (b"", HALF_HEADER, HALF_BODY, KEPT, get("/known"), b"nonsense\r\n\r\n"):
                for source in ("127.0.1.1", "127.0.9.1"):
                    one = await house.client(
                        source, said.replace(b"Host", b"X-Forwarded-For: 192.0.2.7\r\nHost"), tls=context
                    )
                    one.writer.close()
                (await house.client("127.0.1.2", b"no handshake")).writer.close()
            await house.until(lambda: (strangers.connections, known.connections) == (0, 0))
            assert strangers._networks == known._networks == {}

    run(story())


def test_who_has_to_go_holds_no_descriptor_for_long_however_fast_others_come(run):
    """By hand: take all that come, and some hundred are open at once."""

    async def story():
        def descriptors():
            return len(list(Path("/proc/self/fd").iterdir()))

        async with open_door(room=Room(5, 5)) as house:
            for _ in range(4):
                before = descriptors()
                flood = [socket.create_connection(("127.0.0.1", house.port)) for _ in range(200)]
                most = 0
                for _ in range(30):
                    await asyncio.sleep(0)
                    most = max(most, descriptors() - len(flood) - before)
                assert most < 2 * 5 + CLOSING_MAX + 5
                assert await house.asks("/here", source="127.0.2.1") == OK
                for one in flood:
                    one.close()

    run(story())


@pytest.mark.parametrize(
    "said",
    [
        HALF_HEADER,
        HALF_BODY,
        b"nonsense\r\n\r\n",
        b"\x00" * 100,
        get("/here", "Upgrade: websocket", "Connection: Upgrade"),
    ],
)
def test_who_hangs_up_or_talks_nonsense_leaves_no_line_in_the_log(run, said, capfd):
    async def story():
        async with open_door() as house:
            one = await house.client(octets=said)
            await asyncio.sleep(0.1)
            one.writer.close()
            assert await house.asks("/here") == OK
            assert house.log.lines == []

    run(story())
    assert capfd.readouterr() == ("", "")


CHUNKED = b"POST /body HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
MALFORMED = b"HTTP/1.1 400 Bad Request"


@pytest.mark.parametrize(("octets", "times", "heard"), [(1, 1000, MALFORMED), (1, PIECES_FREE, OK), (1000, 200, OK)])
def test_a_body_comes_in_pieces_but_not_in_crumbs(run, octets, times, heard):
    """A chunk of one octet takes as long to read as any other: 60 KB of them took a second of everybody's."""

    async def story():
        async with open_door() as house:
            piece = b"%x\r\n%b\r\n" % (octets, b"x" * octets)
            one = await house.client(octets=CHUNKED + piece * times + b"0\r\n\r\n")
            assert (await one.reader.readline()).rstrip() == heard
            assert house.log.lines == []

    run(story())


@pytest.mark.parametrize(
    "said",
    [
        b"GET /here HTTP/1.1\r\nHost: here\r\n" + b"A:b\r\n" * HEADER_OCTETS_MAX + b"\r\n",
        CHUNKED + b"0\r\n" + b"A:b\r\n" * HEADER_OCTETS_MAX + b"\r\n",
    ],
    ids=["header", "trailer"],
)
def test_nobody_has_more_header_read_than_a_little(run, said):
    async def story():
        async with open_door() as house:
            one = await house.client()
            one.writer.write(said)
            assert (await one.hears()).split(b"\r\n")[0] in (MALFORMED, b"")
            assert house.log.lines == []

    run(story())


@pytest.mark.parametrize("is_known", [False, True])
def test_of_a_stranger_no_more_than_a_slice_is_read_in_one_turn(run, monkeypatch, is_known):
    """45 connections that had 64 KB of fields or crumbs each read at once kept a mail client waiting for a minute."""
    lengths = []

    def receive_data(self, data):
        lengths.append(len(data))
        super(BoundedConnection, self).receive_data(data)

    monkeypatch.setattr(BoundedConnection, "receive_data", receive_data, raising=False)

    async def story():
        async with open_door() as house:
            if is_known:
                await house.asks("/known")
            long = b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
            one = await house.client(octets=long + KEPT)
            assert await one.hears_an_answer()
            assert await one.hears_an_answer(), "what comes behind it is read, too"

    run(story())
    assert (max(lengths) > SLICE_OCTETS) is is_known
    assert sum(lengths) > 300_000


@pytest.mark.parametrize(
    ("first", "then", "heard"),
    [
        (CHUNKED.replace(b"/body", b"/here"), b"no length\r\n", b""),
        (CHUNKED.replace(b"/body", b"/here") + b"5\r\nhel", b"lo and more\r\nno length\r\n", b""),
        (get("/here"), b"\0\0\0\r\n\r\n", MALFORMED),
        (get("/here", "Connection: close"), b"\0\0\0\r\n\r\n", b""),
        (get("/here") + b"\0\0\0\r\n\r\n", b"", MALFORMED),
    ],
)
def test_nonsense_behind_an_answer_leaves_no_line_in_the_log_either(run, caplog, first, then, heard):
    async def story():
        async with open_door() as house:
            one = await house.client(octets=first)
            assert await one.hears_an_answer()
            await one.says(then)
            assert (await one.hears()).split(b"\r\n")[0] == heard
            assert house.log.lines == []

    run(story())
    assert caplog.records == [], "what the event loop says of an exception, with its lines"


def test_a_deadline_that_comes_when_the_connection_is_closed_already_says_nothing_more():
    """By uvloop it is closed a turn before its protocol is told; a turn that takes long has both in it."""

    class Closed(asyncio.Transport):
        is_aborted = False

        def is_closing(self):
            return True

        def get_write_buffer_size(self):
            return 0

        def write(self, data):
            raise RuntimeError("the handler is closed")

        def abort(self):
            self.is_aborted = True

    exchange = Exchange.__new__(Exchange)
    exchange.transport, exchange._phase = Closed(), Phase.HEADER
    exchange._give_up()
    assert exchange.transport.is_aborted


def test_at_the_end_nobody_waits_for_half_a_body(run, capfd):
    async def story():
        async with open_door() as house:
            for said in (b"", HALF_HEADER, HALF_BODY, KEPT):
                await house.client(octets=said)
            await house.until(lambda: len(house.asked_by) == 2)
        assert house.log.lines == []

    run(story())
    assert capfd.readouterr() == ("", "")


def test_what_counts_as_one_network():
    assert network_of("192.0.2.1") == network_of("::ffff:192.0.2.1") != network_of("192.0.2.2")
    assert network_of("2001:db8::1") == network_of("2001:db8::2") != network_of("2001:db8:0:1::1")
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("nonsense") == network_of("") == network_of("unknown")


@pytest.mark.parametrize("form", ["198.51.100.7", "::ffff:198.51.100.7"])
def test_a_gate_whose_network_is_listed_is_known_as_each_proxy_spells_its_address(form):
    """A proxy that listens for IPv6 and IPv4 on one socket names IPv4 clients by their mapped addresses."""
    lists = {"proxies": (ip_network("192.0.2.1/32"),), "receivers": (ip_network("198.51.100.0/24"),)}
    guests = Guests(Room(10, 1), LocalCounts(), LocalCounts(), **lists)
    gates = [guests.admit("192.0.2.1") for _ in range(5)]
    assert all(gate.speaks_for(form) and gate.crowd is guests._known for gate in gates), "however many they are"


def test_a_network_is_known_for_a_day_and_only_so_many_are():
    now = [0.0]
    guests = Guests(Room(10, 2), LocalCounts(), LocalCounts(), clock=lambda: now[0])
    one = guests.admit("192.0.2.1")
    one.vouch("192.0.2.1")
    assert one.crowd is guests._known
    assert guests.admit("192.0.2.1").crowd is guests._known
    now[0] = 2 * 86_400
    assert guests.admit("192.0.2.1").crowd is guests._strangers
    for number in range(2000):
        one.vouch(f"198.51.{number // 250}.{number % 250}")
    assert len(guests._vouched) == 1000


def test_one_that_is_gone_is_never_seated_again():
    guests = Guests(Room(1, 1), LocalCounts(), LocalCounts(), proxies=(ip_network("192.0.2.1/32"),))
    proxy = guests.admit("192.0.2.1")
    assert proxy.speaks_for("198.51.100.1")
    newcomer = guests.admit("203.0.113.1")
    assert proxy.is_gone, "its client had to make room"
    proxy.speaks_for_itself()
    proxy.vouch("198.51.100.1")
    assert proxy.crowd is None
    assert newcomer.crowd is guests._strangers
    newcomer.leave()
    assert guests._strangers._counts.connections == guests._known._counts.connections == 0


def test_who_counts_as_another_does_not_have_to_make_room_for_himself():
    guests = Guests(Room(1, 1), LocalCounts(), LocalCounts(), proxies=(ip_network("192.0.2.1/32"),))
    proxy = guests.admit("192.0.2.1")
    proxy.speaks_for("192.0.2.1")
    assert isinstance(proxy, Guest)
    assert not proxy.is_gone
    assert guests._known._counts.connections == 1

"""The DNS of one letter: what is asked, how often, and what is kept."""

import time

import pytest
from tests.support.dns_server import DnsServer

from pennyred.gate.authentication import lookups
from pennyred.gate.authentication.lookups import Cache, Lookups, Servers, Temporary, TooMany

SOON = 30.0


@pytest.fixture(scope="module")
def server():
    zone = {
        "example.org": {
            "TXT": ["one", "x" * 3000],
            "A": ["192.0.2.1", "192.0.2.2"],
            "AAAA": ["2001:db8::1"],
            "MX": ["10 mx.example.org.", "5 Other.example.org."],
        },
        "1.2.0.192.in-addr.arpa": {"PTR": ["mx.example.org."]},
        "alias.example.org": {"CNAME": ["example.org."]},
        "a=b.example.org": {"TXT": ["odd"]},
        "empty.example.org": {"TXT": [""]},
    }
    with DnsServer(zone) as server:
        server.fail("broken.example.org")
        server.fall_silent("silent.example.org")
        yield server


def asking(server, seconds=SOON, **more):
    return Lookups(Servers([server.address]), time.monotonic() + seconds, **more)


@pytest.mark.parametrize(
    ("name", "rdtype", "records"),
    [
        ("example.org", "TXT", (b"one", b"x" * 3000)),
        ("EXAMPLE.org.", "A", ("192.0.2.1", "192.0.2.2")),
        ("example.org", "AAAA", ("2001:db8::1",)),
        ("example.org", "MX", ((10, "mx.example.org"), (5, "Other.example.org"))),
        ("1.2.0.192.in-addr.arpa", "PTR", ("mx.example.org",)),
        ("alias.example.org", "A", ("192.0.2.1", "192.0.2.2")),
        ("a=b.example.org", "TXT", (b"odd",)),
        ("empty.example.org", "TXT", (b"",)),
        ("example.org", "PTR", ()),
        ("nowhere.example.org", "A", ()),
    ],
)
def test_records_come_as_plain_values_and_long_ones_come_whole(server, name, rdtype, records):
    assert sorted(asking(server).ask(name, rdtype), key=str) == sorted(records, key=str)


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", "x" * 64 + ".org", "a." * 130 + "org", "é.example", "\ud800.example"]
)
def test_a_name_that_cannot_exist_has_no_records_and_nobody_is_asked(server, name):
    before = server.asked_in_all
    assert asking(server).ask(name, "TXT") == ()
    assert server.asked_in_all == before


def test_what_looks_like_an_escape_is_none(server):
    assert asking(server).ask(r"\101.example.org", "TXT") == ()
    assert server.asked(r"\\101.example.org") == 1


def test_a_server_that_fails_is_a_temporary_error_and_is_asked_again(server):
    servers = Servers([server.address])
    for _ in range(2):
        with pytest.raises(Temporary):
            servers.ask("broken.example.org", "TXT", SOON)
    server.mend("broken.example.org")
    assert servers.ask("broken.example.org", "TXT", SOON) == ()
    server.fail("broken.example.org")


def test_no_answer_in_time_is_a_temporary_error(server):
    with pytest.raises(Temporary):
        asking(server, seconds=0.05).ask("silent.example.org", "TXT")


def test_after_two_silent_servers_nothing_new_is_asked(server, monkeypatch):
    monkeypatch.setattr(lookups, "QUESTION_SECONDS", 0.05)
    letter = asking(server)
    letter.ask("example.org", "A")
    for name in ("silent.example.org", "silent.example.org", "never-asked.example.org"):
        with pytest.raises(Temporary):
            letter.ask(name, "TXT")
    assert server.asked("never-asked.example.org") == 0
    assert letter.ask("example.org", "A")


def test_a_letter_asks_so_often_and_no_more(server):
    letter = asking(server, questions_max=2)
    letter.ask("example.org", "A")
    letter.ask("example.org", "A")
    with pytest.raises(TooMany):
        letter.ask("example.org", "A")


def test_where_no_server_is_named_and_the_system_knows_none_all_is_temporary(monkeypatch):
    monkeypatch.setattr(lookups.dns.resolver.Resolver, "read_resolv_conf", _no_settings)
    with pytest.raises(Temporary):
        Servers().ask("example.org", "A", SOON)


def _no_settings(*_):
    raise lookups.dns.resolver.NoResolverConfiguration


def test_an_answer_is_asked_for_once_while_it_holds_and_a_no_as_well():
    now = [0.0]
    with DnsServer({"example.org": {"A": ["192.0.2.1"]}}, ttl=100) as server:
        servers = Servers([server.address], cache=Cache(lambda: now[0]))
        for moment, asked in ((0, 1), (99, 1), (101, 2)):
            now[0] = moment
            assert servers.ask("example.org", "A", SOON) == ("192.0.2.1",)
            assert servers.ask("nowhere.example.org", "A", SOON) == ()
            assert servers.ask("example.org", "TXT", SOON) == ()
            assert server.asked("example.org", "A") == asked
        assert server.asked("nowhere.example.org", "A") == 2
        assert server.asked("example.org", "TXT") == 2


def test_an_answer_that_says_it_holds_for_years_is_asked_for_again():
    now = [0.0]
    with DnsServer({"example.org": {"A": ["192.0.2.1"]}}, ttl=2**31 - 2) as server:
        servers = Servers([server.address], cache=Cache(lambda: now[0]))
        servers.ask("example.org", "A", SOON)
        now[0] = lookups.KEEP_SECONDS_MAX + 1
        servers.ask("example.org", "A", SOON)
        assert server.asked("example.org", "A") == 2


def test_the_cache_is_bounded_in_number_and_size(monkeypatch):
    monkeypatch.setattr(lookups, "ENTRIES_MAX", 3)
    monkeypatch.setattr(lookups, "CACHE_BYTES_MAX", 100_000)
    cache = Cache()
    for number in range(5):
        cache.put((f"{number}.example", "TXT"), (b"x",), SOON)
    assert [cache.get((f"{number}.example", "TXT")) is not None for number in range(5)] == [False, False] + [True] * 3
    cache.put(("big.example", "TXT"), (b"x" * 60_000,), SOON)
    cache.put(("big2.example", "TXT"), (b"x" * 60_000,), SOON)
    assert cache.get(("big.example", "TXT")) is None
    assert cache.get(("big2.example", "TXT")) is not None


def test_names_that_a_stranger_makes_up_push_out_nothing_that_letters_need(monkeypatch):
    """Neither those that do not exist, nor those of a zone of his own that has a record for each."""
    monkeypatch.setattr(lookups, "ENTRIES_MAX", 100)
    with DnsServer({"selector._domainkey.friend.example": {"TXT": ["v=DKIM1; p=x"]}}) as server:
        for number in range(300):
            server.add(f"x{number}.evil.example", "TXT", "v=DKIM1; p=y")
        servers = Servers([server.address])
        for _ in range(2):
            servers.ask("selector._domainkey.friend.example", "TXT", SOON)
        for number in range(300):
            assert servers.ask(f"nothing{number}.evil.example", "TXT", SOON) == ()
            assert servers.ask(f"x{number}.evil.example", "TXT", SOON)
        assert servers.ask("selector._domainkey.friend.example", "TXT", SOON) == (b"v=DKIM1; p=x",)
        assert server.asked("selector._domainkey.friend.example") == 1

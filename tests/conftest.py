"""What every test shares: Hypothesis profiles, and the rule that a machine which should skip nothing skips nothing."""

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.corpus import ABSENT
from tests.support.postgres import PostgresServer, binaries, why_not

settings.register_profile("short", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("long" if os.environ.get("PENNYRED_LONG") else "short")


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[Callable[[int], PostgresServer]]:
    """Real PostgreSQL servers by major version, each started when it is first asked for."""
    servers: dict[int, PostgresServer] = {}

    def server(version: int) -> PostgresServer:
        if version not in binaries():
            pytest.skip(why_not(version))
        return servers.setdefault(version, servers.get(version) or PostgresServer(version))

    yield server
    for one in servers.values():
        one.end()


@pytest.fixture
def postgres_database(postgres_servers: Callable[[int], PostgresServer]) -> Iterator[Callable[[int], str]]:
    """URLs of new, empty databases on a server of a major version; dropped afterwards."""
    made: list[tuple[PostgresServer, str]] = []

    def database(version: int) -> str:
        server = postgres_servers(version)
        made.append((server, server.new_database()))
        return made[-1][1]

    yield database
    for server, url in made:
        server.drop_database(url)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With PENNYRED_NO_SKIPS set, a skipped test fails the run: what the tests ask for can be installed.

    The real letters cannot, as they are not ours to hand on.
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("PENNYRED_NO_SKIPS") or reporter is None or hasattr(session.config, "workerinput"):
        return
    skipped = [one for one in reporter.stats.get("skipped", []) if ABSENT not in str(one.longrepr)]
    if skipped:
        reporter.write_line(f"PENNYRED_NO_SKIPS is set, and {len(skipped)} tests were skipped", red=True)
        session.exitstatus = 1

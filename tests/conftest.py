"""What every test shares: Hypothesis profiles, what a plain run leaves out, and that nothing is skipped where all is there."""

import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.corpus import ABSENT
from tests.support.postgres import PostgresServer, binaries, why_not

settings.register_profile("short", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
IS_LONG = bool(os.environ.get("PENNYRED_LONG"))
settings.load_profile("long" if IS_LONG else "short")
left_out = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[left_out] = 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A plain run is for a newcomer: what is marked `long` is left out, and counted."""
    long = [] if IS_LONG else [item for item in items if item.get_closest_marker("long")]
    if long:
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        config.stash[left_out] = len(long)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """With -n it is the workers that collect, each of them everything; the summary is written where they report to."""
    config = node.config
    count = getattr(node, "workeroutput", {}).get("left_out", 0)
    if count and not config.stash[left_out]:
        config.stash[left_out] = count
        config.pluginmanager.get_plugin("terminalreporter").stats["deselected"] = [SimpleNamespace()] * count


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if count := config.stash[left_out]:
        terminalreporter.write_line(f"left out {count} long tests; PENNYRED_LONG=1 runs them too (tests/README.md)")


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
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[left_out]
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("PENNYRED_NO_SKIPS") or reporter is None or hasattr(session.config, "workerinput"):
        return
    skipped = [one for one in reporter.stats.get("skipped", []) if ABSENT not in str(one.longrepr)]
    if skipped:
        reporter.write_line(f"PENNYRED_NO_SKIPS is set, and {len(skipped)} tests were skipped", red=True)
        session.exitstatus = 1

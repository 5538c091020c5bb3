"""What every test shares: Hypothesis profiles, and the rule that a machine which should skip nothing skips nothing."""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("short", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("long" if os.environ.get("PENNYRED_LONG") else "short")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With PENNYRED_NO_SKIPS set, a skipped test fails the run: the machine has everything the tests ask for."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("PENNYRED_NO_SKIPS") or reporter is None or hasattr(session.config, "workerinput"):
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped:
        reporter.write_line(f"PENNYRED_NO_SKIPS is set, and {len(skipped)} tests were skipped", red=True)
        session.exitstatus = 1

"""One gate and office for all paths; what stands on them is started when the first of its paths is walked."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.support import chroots, real_haraka, real_postfix
from tests.support.chroots import Chroot
from tests.support.real_haraka import Haraka
from tests.wire.paths.postfix import Postfixes
from tests.wire.paths.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


def _why_not(carrier: Any) -> str:
    """What is missing to start it; empty if nothing is."""
    if isinstance(carrier, Postfixes):
        return "" if real_postfix.is_available() else real_postfix.WHY_NOT
    if isinstance(carrier, Haraka):
        return "" if real_haraka.is_available() else real_haraka.WHY_NOT
    return (
        chroots.why_not(carrier.name) if isinstance(carrier, Chroot) and not chroots.is_available(carrier.name) else ""
    )


@pytest.fixture(scope="module")
def started(world) -> Iterator[Callable[[type], Any]]:
    """Start a carrier once for all of its paths; they end with the module."""
    running: dict[type, Any] = {}
    with ExitStack() as stack:

        def start(kind: type) -> Any:
            if kind not in running:
                carrier = kind(world)
                if why := _why_not(carrier):
                    pytest.skip(why)
                running[kind] = stack.enter_context(carrier)
            return running[kind]

        yield start

"""One gate and office for all paths; what stands on them is started when the first of its paths is walked."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.wire.paths.missing import why_not
from tests.wire.paths.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(scope="module")
def started(world) -> Iterator[Callable[[type], Any]]:
    """Start a carrier once for all of its paths; they end with the module."""
    running: dict[type, Any] = {}
    with ExitStack() as stack:

        def start(kind: type) -> Any:
            if kind not in running:
                carrier = kind(world)
                if why := why_not(carrier):
                    pytest.skip(why)
                running[kind] = stack.enter_context(carrier)
            return running[kind]

        yield start

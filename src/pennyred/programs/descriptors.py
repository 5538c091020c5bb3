"""How many files and sockets a process may have open: the system's default of 1024 is less than a gate's limits."""

import resource
from typing import Any

from pennyred.config import GateSettings

_SPARE = 100
"""For databases, logs, listening sockets and the like."""


def allow_descriptors(gate: GateSettings, log: Any) -> None:
    """Raise this process's own limit as far as it may; say so where that does not do for all connections.

    Any one worker may get all clients, each with a spooled letter.
    """
    needed = 2 * gate.max_connections + len(gate.upstream) * gate.upstream_connections + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        log.warning("few descriptors", allowed=allowed, needed=needed)

"""How many files and sockets a process may have open: the system's default of 1024 is less than a gate's limits."""

import resource
from typing import Any

from pennyred.config import Settings
from pennyred.http.admission import CROWDS

WATCHERS_MAX = 64
"""Connections to the pages of `[gate] metrics`, from all networks; watchers are few."""
WATCHERS_PER_NETWORK_MAX = 16
_SPARE = 100
"""For databases, logs, listening sockets and the like."""
_HTTP_SHARE = 8
"""Where there are too few, HTTP has one in so many, and mail the rest."""


def allow_descriptors(settings: Settings, log: Any) -> int:
    """Raise this process's own limit as far as it may; say so where that does not do for all connections.

    Any one worker may get all clients, each with a spooled letter. Answers how many connections each crowd of the
    office's API may have at most: mail goes before it, so that it cannot take the descriptors that letters need.
    """
    office = settings.office
    mail, http = _mail(settings), CROWDS * office.max_connections if office is not None else 0
    needed = mail + http + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    left = http
    if allowed < needed:
        left = max(allowed // _HTTP_SHARE, min(http, allowed - mail - _SPARE))
        log.warning("service.few_descriptors", allowed=allowed, needed=needed, **({"http": left} if http else {}))
    return max(1, left // CROWDS)


def _mail(settings: Settings) -> int:
    """What letters need: a client and its spooled letter at each door, ways to the mail servers, watchers."""
    gate = settings.gate
    if gate is None:
        return 0
    ways = [gate.upstream, *([gate.outgoing.upstream] if gate.outgoing is not None else [])]
    return WATCHERS_MAX + sum(2 * gate.max_connections + len(way) * gate.upstream_connections for way in ways)

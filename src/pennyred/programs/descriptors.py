"""Sets how many files and sockets a process may have open: the usual 1024 are too few for a gate's limits."""

import resource
from typing import Any

from pennyred.config import Settings
from pennyred.http.admission import CROWDS

WATCHERS_MAX = 64
"""The most connections to the pages of `[gate] metrics`, from all networks; few programs watch."""
WATCHERS_PER_NETWORK_MAX = 16
_SPARE = 100
"""Descriptors for databases, logs, listening sockets and the like."""
_HTTP_SHARE = 8
"""If there are too few descriptors, HTTP gets one in so many, and mail the rest."""


def allow_descriptors(settings: Settings, log: Any) -> int:
    """Raise this process's limit as far as allowed; log if that is not enough for all connections.

    Any one worker may get all clients, each with a spooled letter. Returns how many connections each group of clients
    of the office's API may have. Mail comes first: the API must not take the descriptors that letters need.
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
    """How many descriptors letters need: clients and spooled letters of each door, mail servers, watchers."""
    gate = settings.gate
    if gate is None:
        return 0
    ways = [gate.upstream, *([gate.outgoing.upstream] if gate.outgoing is not None else [])]
    return WATCHERS_MAX + sum(2 * gate.max_connections + len(way) * gate.upstream_connections for way in ways)

"""Checks whether a Postfix on this machine completes the gate's letters, which breaks DKIM signatures.

Postfix takes a client on this machine for a local one, whatever XCLIENT says later (postconf(5),
local_header_rewrite_clients). SMTP does not tell that, so its settings are read with its own `postconf`.
"""

import asyncio
import socket
import subprocess
from collections.abc import Sequence

from pennyred.gate.upstream.endpoint import Endpoint, parse_url

_COMMAND = ("/usr/sbin/postconf", "postconf")
_SECONDS_MAX = 5.0
SETTING = "local_header_rewrite_clients"


async def completing_listeners(urls: Sequence[str]) -> list[str]:
    """The listeners in master.cf that `urls` name and that complete letters; empty without Postfix."""
    return await asyncio.to_thread(_completing, [parse_url(url) for url in urls])


def _completing(endpoints: Sequence[Endpoint]) -> list[str]:
    listeners = [line.split()[0] for line in _postconf("-M").splitlines() if line.split()[1:2] == ["inet"]]
    known = [one for one in listeners if any(_is_meant(one, endpoint) for endpoint in endpoints)]
    return [one for one in known if _names_anybody(one)]


def _is_meant(listener: str, endpoint: Endpoint) -> bool:
    """Whether the gate hands its letters to this listener; names that mean this machine are not looked up."""
    if endpoint.is_lmtp or endpoint.port != _port(listener):
        return False
    host = listener.rpartition(":")[0].strip("[]")
    return endpoint.host in ("localhost", "::1", host) or endpoint.host.startswith("127.")


def _names_anybody(listener: str) -> bool:
    own = _postconf("-P", f"{listener}/inet/{SETTING}")
    value = own.partition("=")[2] if "=" in own else _postconf("-h", SETTING)
    return bool(value.strip())


def _postconf(*arguments: str) -> str:
    """The output of `postconf`; empty if there is none, or if it fails."""
    for command in _COMMAND:
        try:
            done = subprocess.run(  # noqa: S603 - its own words and those of master.cf, which is root's
                [command, *arguments], capture_output=True, text=True, timeout=_SECONDS_MAX, check=False
            )
        except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
            continue
        return done.stdout
    return ""


def _port(listener: str) -> int:
    """The port of `10025`, `127.0.0.1:10025`, `[::1]:10025` or `smtp`; 0 if it is not known."""
    name = listener.rpartition(":")[2]
    try:
        return int(name) if name.isascii() and name.isdigit() else socket.getservbyname(name, "tcp")
    except (OSError, ValueError):
        return 0

"""Whether a Postfix on this machine completes the letters that the gate hands to it: then DKIM signatures break.

It takes who connects from this machine for one of the house, whatever XCLIENT says later (postconf(5),
local_header_rewrite_clients). By SMTP nobody is told that, so its settings are read, by its own postconf.
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
    """The listeners in master.cf, of those that `urls` name, where that setting names anybody; none without Postfix."""
    return await asyncio.to_thread(_completing, [parse_url(url) for url in urls])


def _completing(endpoints: Sequence[Endpoint]) -> list[str]:
    listeners = [line.split()[0] for line in _postconf("-M").splitlines() if line.split()[1:2] == ["inet"]]
    known = [one for one in listeners if any(_is_meant(one, endpoint) for endpoint in endpoints)]
    return [one for one in known if _names_anybody(one)]


def _is_meant(listener: str, endpoint: Endpoint) -> bool:
    """Whether this is where the gate hands letters in; a name that stands for this machine is not looked into."""
    if endpoint.is_lmtp or endpoint.port != _port(listener):
        return False
    host = listener.rpartition(":")[0].strip("[]")
    return endpoint.host in ("localhost", "::1", host) or endpoint.host.startswith("127.")


def _names_anybody(listener: str) -> bool:
    own = _postconf("-P", f"{listener}/inet/{SETTING}")
    value = own.partition("=")[2] if "=" in own else _postconf("-h", SETTING)
    return bool(value.strip())


def _postconf(*arguments: str) -> str:
    """What it says; nothing where there is none, or none that can be asked."""
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
    """Of `10025`, `127.0.0.1:10025`, `[::1]:10025` or `smtp`; 0 where that is not known."""
    name = listener.rpartition(":")[2]
    try:
        return int(name) if name.isascii() and name.isdigit() else socket.getservbyname(name, "tcp")
    except (OSError, ValueError):
        return 0

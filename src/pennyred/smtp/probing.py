"""Ask a mail server what it would do for a stranger, without sending anything: for `pennyred check`."""

import asyncio
from dataclasses import dataclass

from pennyred.smtp import replies
from pennyred.smtp.upstream import Endpoint

TIMEOUT_SECONDS = 10.0
_LINES_MAX = 100
_STRANGER = "192.0.2.1"
"""TEST-NET-1 (RFC 5737): nobody's neighbour."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found; with `error` nothing else is known."""

    error: str = ""
    offers_xclient: bool = False
    is_open_relay: bool = False


async def probe_upstream(
    endpoint: Endpoint, hostname: str, foreign_recipient: str, *, as_stranger: bool = True
) -> Probe:
    """Say EHLO and ask for a foreign recipient, in the way the gate will; DATA is never said.

    `as_stranger`: the gate will say by XCLIENT who the client is, so here it is a stranger, where that is offered.
    """
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            if endpoint.path:
                reader, writer = await asyncio.open_unix_connection(endpoint.path)
            else:
                reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
            try:
                return await _ask(reader, writer, endpoint, hostname, foreign_recipient, as_stranger)
            finally:
                writer.close()
    except TimeoutError:
        return Probe(f"no answer within {TIMEOUT_SECONDS:.0f} s")
    except (OSError, EOFError, ValueError) as error:
        return Probe(f"cannot be spoken with: {error}")


async def _ask(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    endpoint: Endpoint,
    hostname: str,
    foreign_recipient: str,
    as_stranger: bool,
) -> Probe:
    async def say(line: str) -> list[bytes]:
        writer.write(line.encode() + b"\r\n")
        await writer.drain()
        return await _reply(reader)

    hello = f"{'LHLO' if endpoint.is_lmtp else 'EHLO'} {hostname}"
    greeting = await _reply(reader)
    if replies.is_error(greeting[-1]):
        return Probe(f"it greets with {greeting[-1].decode('ascii', 'replace')}")
    offered = await say(hello)
    offers_xclient = any(line[4:].upper().split()[:1] == [b"XCLIENT"] for line in offered)
    is_told = as_stranger and offers_xclient
    if is_told and not replies.is_error((await say(f"XCLIENT ADDR={_STRANGER} NAME=[UNAVAILABLE]"))[-1]):
        await say(hello)
    is_refused = replies.is_error((await say(f"MAIL FROM:<postmaster@{hostname}>"))[-1])
    is_refused = is_refused or replies.is_error((await say(f"RCPT TO:<{foreign_recipient}>"))[-1])
    await say("QUIT")
    return Probe(offers_xclient=offers_xclient, is_open_relay=not is_refused)


async def _reply(reader: asyncio.StreamReader) -> list[bytes]:
    lines = []
    for _ in range(_LINES_MAX):
        line = await reader.readuntil(b"\n")
        lines.append(line.rstrip(b"\r\n"))
        if line[3:4] != b"-":
            return lines
    raise ValueError("a reply without end")

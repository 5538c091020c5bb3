"""The hashes of a body that signatures are compared with: one came with the letter, the other is made when wanted."""

import asyncio
import contextlib
import hashlib
import threading
from concurrent.futures import Executor

from pennyred.gate.authentication.signatures import BodyHashes
from pennyred.gate.letterbox import Letter
from pennyred.postage.canonical import SimpleBody

_SEPARATOR = b"\r\n"


async def simple_body_hash(letter: Letter, executor: Executor) -> bytes:
    """SHA-256 of the body in simple form (RFC 6376 section 3.4.3), made in a thread.

    The letter has one reader at a time, and delivery comes next: so whoever cancels this waits until the thread has let
    go. Raises what reading raises.
    """
    stop = threading.Event()
    hashing = asyncio.get_running_loop().run_in_executor(executor, _hash, letter, stop)
    try:
        return await asyncio.shield(hashing)
    except asyncio.CancelledError:
        stop.set()
        while not hashing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([hashing])
        if not hashing.cancelled():
            hashing.exception()  # seen
        raise


async def body_hashes(letter: Letter, *, wants_simple: bool, executor: Executor) -> BodyHashes:
    """All that this letter's signatures are compared with; raises what reading raises."""
    simple = await simple_body_hash(letter, executor) if wants_simple else b""
    return BodyHashes(letter.body_hash, simple)


def _hash(letter: Letter, stop: threading.Event) -> bytes:
    digest = hashlib.sha256()
    body = SimpleBody(digest.update)
    pieces = letter.body()
    first = next(pieces, b"")
    body.update(first.removeprefix(_SEPARATOR))  # the empty line below the header is not the body's
    for piece in pieces:
        if stop.is_set():
            break
        body.update(piece)
    body.finish()
    return digest.digest()

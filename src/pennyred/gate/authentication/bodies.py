"""The two hashes of a body for signatures: the relaxed one came with the letter, the simple one is made if needed."""

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

    A letter has one reader at a time, and delivery reads it next. So if this is cancelled, it still waits until the
    thread has stopped. Raises what reading raises.
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
            hashing.exception()  # marks its exception as seen
        raise


async def body_hashes(letter: Letter, *, wants_simple: bool, executor: Executor) -> BodyHashes:
    """The hashes for this letter's signatures; raises what reading raises."""
    simple = await simple_body_hash(letter, executor) if wants_simple else b""
    return BodyHashes(letter.relaxed_hash, simple, hides_lines=letter.relaxed_hash != letter.body_hash)


def _hash(letter: Letter, stop: threading.Event) -> bytes:
    digest = hashlib.sha256()
    body = SimpleBody(digest.update)
    pieces = letter.body()
    first = next(pieces, b"")
    body.update(first.removeprefix(_SEPARATOR))  # the empty line below the header is no part of the body
    for piece in pieces:
        if stop.is_set():
            break
        body.update(piece)
    body.finish()
    return digest.digest()

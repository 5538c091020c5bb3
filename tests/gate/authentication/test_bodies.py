"""The hash of a body in simple form, made in pieces, is what dkimpy makes of the whole; nobody is left reading."""

import asyncio
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from dkim.canonicalization import Simple
from hypothesis import given
from hypothesis import strategies as st
from tests.support.authenticating import LETTER, received

from pennyred.gate.authentication.bodies import simple_body_hash
from pennyred.postage.canonical import SimpleBody

bodies = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b"a", b"\r\n\r\n", b"long line" * 9])).map(b"".join)


@given(bodies, st.integers(1, 20))
def test_the_simple_form_is_the_librarys_however_the_body_is_cut(body, size):
    pieces = []
    simple = SimpleBody(pieces.append)
    for start in range(0, len(body), size):
        simple.update(body[start : start + size])
    simple.finish()
    assert b"".join(pieces) == Simple.canonicalize_body(body)


def hash_of(letter):
    with ThreadPoolExecutor(1) as executor:
        return asyncio.run(simple_body_hash(letter, executor))


@pytest.mark.parametrize(
    ("letter", "canonical"),
    [
        (b"From: a@example.org\r\n", b"\r\n"),
        (b"From: a@example.org\r\n\r\n", b"\r\n"),
        (b"From: a@example.org\r\n\r\n\r\n\r\n", b"\r\n"),
        (b"From: a@example.org\r\n\r\n\r\ntext", b"\r\ntext\r\n"),
        (b"\r\n\r\nno header", b"\r\nno header\r\n"),
    ],
)
def test_the_empty_line_below_the_header_is_not_the_bodys(letter, canonical):
    assert hash_of(received(letter)) == hashlib.sha256(canonical).digest()


def test_a_body_in_a_file_is_hashed_as_one_in_memory():
    letter = LETTER + b"line\r\n" * 100_000
    in_file = received(letter, memory_bytes_max=1000)
    assert in_file.file is not None
    assert hash_of(in_file) == hash_of(received(letter))
    in_file.close()


class SlowLetter:
    """One whose body is read until the test lets go."""

    body_hash = relaxed_hash = bytes(32)

    def __init__(self):
        self.begun, self.go_on, self.ended = threading.Event(), threading.Event(), False

    def body(self):
        yield b"\r\n"
        self.begun.set()
        self.go_on.wait(30)
        yield b"text"
        self.ended = True


def test_who_is_cancelled_waits_until_the_letter_has_no_reader_any_more():
    async def run():
        letter = SlowLetter()
        with ThreadPoolExecutor(1) as executor:
            task = asyncio.create_task(simple_body_hash(letter, executor))
            await asyncio.to_thread(letter.begun.wait, 30)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
            letter.go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            return executor._work_queue.qsize()

    assert asyncio.run(run()) == 0

"""Octets to messages: each frame is the length of its body in four octets, the highest first, then the body."""

from typing import Any

import msgspec

from pennyred.office.ledger.callers import ANSWER_BYTES_MAX
from pennyred.postage.errors import Malformed

FRAME_BYTES_MAX = ANSWER_BYTES_MAX + 2**20
"""The longest body; an answer that an office keeps for its callers has room in it."""
_LENGTH_BYTES = 4
_INTEGER_MAX = 2**63 - 1

_encoder = msgspec.msgpack.Encoder()


class FrameReader:
    """Puts the frames of one connection together."""

    __slots__ = ("_missing", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        """What is there of the frame that comes next. Joined when it is whole: a long one comes in many pieces."""
        self._missing = 0
        """At least so many octets are still to come of it."""

    def feed(self, data: bytes) -> list[memoryview]:
        """The bodies that are whole now. Raises `Malformed` for one that is too long; then the connection is over."""
        self._pieces.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return []
        octets = b"".join(self._pieces)
        view, place, end, bodies = memoryview(octets), 0, _LENGTH_BYTES, []
        while end <= len(octets):
            body = place + _LENGTH_BYTES
            end = body + int.from_bytes(view[place:body], "big")
            if end - body > FRAME_BYTES_MAX:
                raise Malformed("a frame that is too long")
            if end <= len(octets):
                bodies.append(view[body:end])
                place, end = end, end + _LENGTH_BYTES
        self._pieces = [octets[place:]] if place < len(octets) else []
        self._missing = end - len(octets)
        return bodies


def frame_of(message: Any) -> bytes:
    """A message as a frame; integers that msgpack has no form for are brought to the nearest that it has.

    Such a number is beyond every limit of the ledger's, before and after. Raises ValueError for what is too long, or is
    no text in UTF-8.
    """
    try:
        body = _encoder.encode(message)
    except OverflowError:
        body = _encoder.encode(_clamped(msgspec.to_builtins(message, builtin_types=(bytes,))))
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError("too much for one request")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def _clamped(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return max(-_INTEGER_MAX - 1, min(_INTEGER_MAX, value))
        case list() | tuple():
            return [_clamped(one) for one in value]
        case dict():
            return {name: _clamped(one) for name, one in value.items()}
    return value

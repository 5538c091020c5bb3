"""What programs do in steps or with values at hand, at once: for tests that want to look at the whole."""

from collections.abc import Sequence
from typing import Any

from pennyred.gate.rules.passes import Passes
from pennyred.postage.canonical import RelaxedBody
from pennyred.postage.errors import MalformedStamp
from pennyred.postage.letter import Field
from pennyred.postage.stamp import parse_stamp
from pennyred.postage.verification import Verdict, judge_parsed


def relaxed_body(body: bytes) -> bytes:
    """A whole body in relaxed form."""
    pieces: list[bytes] = []
    relaxed = RelaxedBody(pieces.append)
    relaxed.update(body)
    relaxed.finish()
    return b"".join(pieces)


def pass_holds(key: bytes, fields: Sequence[Field], letter_hash: bytes, day: int) -> bool:
    """Whether one of the pass fields is for this letter and recipient, and good on `day`."""
    return bool(Passes(key, fields, day).holding(letter_hash))


def judge_stamp(value: bytes, **meets: Any) -> Verdict:
    """Parse the value of one stamp field and judge it as `judge_parsed` does; a `Verdict` also if it does not parse."""
    try:
        stamp = parse_stamp(value)
    except MalformedStamp as error:
        return Verdict(error.reason, detail=str(error))
    return judge_parsed(stamp, **meets)

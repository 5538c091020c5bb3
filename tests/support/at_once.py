"""What programs do in steps or with values at hand, at once: for tests that want to look at the whole."""

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import starmap
from typing import Any

from pennyred.gate.rules.passes import Passes
from pennyred.postage.address import canonical_recipient
from pennyred.postage.alteration import alteration
from pennyred.postage.canonical import RelaxedBody, body_hash, plain_field
from pennyred.postage.digest import LETTER_NAMES, SignedParts, signed_parts
from pennyred.postage.errors import MalformedStamp
from pennyred.postage.letter import Field, HeaderSection, parse_header, split_letter
from pennyred.postage.reading.texts import field_texts
from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import Stamp, parse_stamp
from pennyred.postage.verification import LicenceCache, Verdict, judge_parsed


def relaxed_body(body: bytes) -> bytes:
    """A whole body in relaxed form."""
    pieces: list[bytes] = []
    relaxed = RelaxedBody(pieces.append)
    relaxed.update(body)
    relaxed.finish()
    return b"".join(pieces)


def bound_body(body: bytes) -> bytes:
    """A whole body in the form that stamps bind (STAMP.md 5.2)."""
    usual: list[bytes] = []
    bound: list[bytes] | None = None

    def branch() -> Callable[[bytes], None]:
        nonlocal bound
        bound = usual.copy()
        return bound.append

    relaxed = RelaxedBody(usual.append, branch)
    relaxed.update(body)
    relaxed.finish()
    return b"".join(usual if bound is None else bound)


def pass_holds(key: bytes, fields: Sequence[Field], letter_hash: bytes, day: int) -> bool:
    """Whether one of the pass fields is for this letter and recipient, and good on `day`."""
    return bool(Passes(key, fields, day).holding(letter_hash))


def parts_of(letter: bytes, subject_tags: Collection[str] = ()) -> SignedParts:
    """What stamps sign of a letter."""
    section, body = split_letter(letter)
    return signed_parts(parse_header(section), body_hash(body), subject_tags)


def texts_of(header: HeaderSection) -> tuple[bytes, ...]:
    """The six texts that stand for the fields of a letter, each whole (STAMP.md 5.3)."""
    plain = {name: b"".join(starmap(plain_field, header.named(name))) for name in LETTER_NAMES}
    return field_texts(header, plain)


def judge_stamp(
    value: bytes | Stamp, letter: bytes, recipients: Iterable[str], *, subject_tags: Collection[str] = (), **meets: Any
) -> Verdict:
    """Judge one stamp of a letter as `judge_parsed` does; raises MalformedStamp."""
    stamp = parse_stamp(value) if isinstance(value, bytes) else value
    found = alteration(stamp, parts_of(letter, subject_tags))
    canonical = [canonical_recipient(one) for one in recipients]
    return judge_parsed(stamp, found=found, recipients=canonical, **{"licences": LicenceCache(), "price": 1} | meets)


def reason_and_altered(
    value: bytes | Stamp, letter: bytes, recipients: Iterable[str], **meets: Any
) -> tuple[Reason, tuple[str, ...]]:
    """The reason, also of a stamp that does not parse, and what was altered."""
    try:
        verdict = judge_stamp(value, letter, recipients, **meets)
    except MalformedStamp as error:
        return error.reason, ()
    return verdict.reason, verdict.altered


def reason_of(value: bytes | Stamp, letter: bytes, recipients: Iterable[str], **meets: Any) -> Reason:
    """The reason alone."""
    return reason_and_altered(value, letter, recipients, **meets)[0]

"""Judge an office's receipts, for `pennyred verify --receipt`: whether it has signed them, and for which letter."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from pennyred.cli.common import RuleRefused, print_json, print_table
from pennyred.postage.errors import Malformed
from pennyred.postage.proofs.receipt import RECEIPT_BYTES_MAX, Receipt, holds, parse_receipt

RECEIPTS_MAX = 1000
"""How many receipts one file may have."""


class Verdict(StrEnum):
    """What can be said of a receipt."""

    HOLDS = "holds"
    """The office has signed it."""
    RESTORED = "restored"
    """The office has signed it, and has lost it since, as its ledger was restored from a backup."""
    FORGED = "forged"
    """It is not signed with a key of the issuer's."""
    CONTRADICTS = "contradicts"
    """The office has signed it, and another one that cannot be true beside it."""


_GOOD = (Verdict.HOLDS, Verdict.RESTORED)

FindKeys = Callable[[str, str], Awaitable[Mapping[str, bytes]]]
"""Finds an issuer's keys, by issuer and selector; the selector's key is among them if it can be found."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found about one receipt; a row of the table."""

    verdict: Verdict
    issuer: str
    account: str
    serial: str
    letter: str
    """"own" if it is the given letter, "other" if not; without a given letter, the letter hash in hexadecimal."""
    receiver: str
    domain: str
    at: str
    batch: int
    """The number of the batch that it stands in."""
    epoch: int
    """How often the office's ledger had been restored before it."""


def read_receipts(file: Path) -> list[Receipt]:
    """Read receipts from a file, one a line; raises `Malformed` and OSError."""
    with file.open("rb") as opened:
        lines = opened.read(RECEIPTS_MAX * RECEIPT_BYTES_MAX + 1).splitlines()
    texts = [line.strip() for line in lines if line.strip()]
    if not texts or len(texts) > RECEIPTS_MAX:
        raise Malformed(f"{file}: expected 1 to {RECEIPTS_MAX} receipts, one a line")
    return [_read(file, place, text) for place, text in enumerate(texts, 1)]


def _read(file: Path, place: int, text: bytes) -> Receipt:
    try:
        return parse_receipt(text)
    except Malformed as error:
        raise Malformed(f"{file}: the {place}. text in it is no receipt of an office's ({error})") from error


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore of an office from a backup: what it had signed after batch `follows` is lost from its books."""

    issuer: str
    at: str
    follows: int


async def judge_receipts(
    receipts: Sequence[Receipt], letters: Sequence[bytes], find: FindKeys
) -> tuple[list[Judged], list[Restored]]:
    """Judge each receipt, in order, and list the restores that the receipts name.

    `letters` are the letter hashes of the given letter, one for each recipient; empty if none was given. Raises what
    `find` raises.
    """
    good = [receipt for receipt in receipts if holds(receipt, await find(receipt.issuer, receipt.selector))]
    newest = {one.issuer: one.sealed.head for one in sorted(good, key=_age)}
    contradicted = set(map(id, _contradicted(good)))
    genuine = set(map(id, good))

    def verdict(receipt: Receipt) -> Verdict:
        if id(receipt) not in genuine:
            return Verdict.FORGED
        if id(receipt) in contradicted:
            return Verdict.CONTRADICTS
        is_kept = receipt.sealed.head.is_in_books_of(newest[receipt.issuer])
        return Verdict.HOLDS if is_kept else Verdict.RESTORED

    restored = [
        Restored(issuer, _rfc3339(epoch.at), epoch.follows) for issuer, head in newest.items() for epoch in head.epochs
    ]
    return [_judged(receipt, letters, verdict(receipt)) for receipt in receipts], restored


def tell(found: Sequence[Judged], restored: Sequence[Restored], *, as_json: bool) -> None:
    """Print what was found; raises `RuleRefused` if a receipt is forged, or contradicts another."""
    rows = [asdict(one) for one in found]
    if not as_json:
        columns = list(rows[0])
        print_table("", columns, [[row[column] for column in columns] for row in rows])
        for one in restored:
            click.echo(
                f"{one.issuer} was restored from a backup on {one.at}: what it had signed behind batch {one.follows}"
                " is not in its books any more"
            )
    document: dict[str, Any] = {"receipts": rows}
    if restored:
        document["restored"] = [asdict(one) for one in restored]
    if bad := sorted({one.verdict for one in found}.difference(_GOOD)):
        raise RuleRefused(bad[0], f"{len(found)} receipts, of which some {' and '.join(bad)}", document)
    if as_json:
        print_json(document)


def _contradicted(good: Sequence[Receipt]) -> Iterator[Receipt]:
    """Receipts that contradict each other, so that the office convicts itself.

    They are for the same stamp and two letters, or have two different heads of the same number. If one of the two was
    lost by a restore, that is no contradiction: the office no longer knows what it had signed.
    """
    by_stamp: dict[object, list[Receipt]] = {}
    by_number: dict[object, list[Receipt]] = {}
    for one in good:
        use, head = one.sealed.use, one.sealed.head
        by_stamp.setdefault((one.issuer, use.key), []).append(one)
        by_number.setdefault((one.issuer, head.epochs, head.number), []).append(one)
    for some in by_stamp.values():
        for one in some:
            if any(one.sealed.use.letter != other.sealed.use.letter and _know(one, other) for other in some):
                yield one
    for some in by_number.values():
        if len({one.sealed.head.hash for one in some}) > 1:
            yield from some


def _know(one: Receipt, other: Receipt) -> bool:
    """Whether one of the two receipts was signed while the ledger had the other in its books."""
    head, other_head = one.sealed.head, other.sealed.head
    return head.is_in_books_of(other_head) or other_head.is_in_books_of(head)


def _age(receipt: Receipt) -> tuple[int, int]:
    head = receipt.sealed.head
    return head.epochs[-1].at if head.epochs else 0, head.number


def _judged(receipt: Receipt, letters: Sequence[bytes], verdict: Verdict) -> Judged:
    use, head = receipt.sealed.use, receipt.sealed.head
    letter = ("own" if use.letter in letters else "other") if letters else use.letter.hex()
    return Judged(
        verdict, receipt.issuer, use.account, use.serial.hex(), letter, use.receiver, use.domain, _rfc3339(use.at),
        head.number, len(head.epochs),
    )  # fmt: skip


def _rfc3339(at: int) -> str:
    """A time (seconds since 1970 UTC) as in RFC 3339; as the plain number if it is outside the calendar."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return str(at)

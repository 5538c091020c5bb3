"""What `pennyred verify --receipt` says of an office's receipts: signed by it or not, and for which letter."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pennyred.cli.common import RuleRefused, print_json, print_table
from pennyred.postage.errors import Malformed
from pennyred.postage.receipt import RECEIPT_BYTES_MAX, Receipt, holds, parse_receipt

RECEIPTS_MAX = 1000
"""Of one file."""

FindKeys = Callable[[str, str], Awaitable[Mapping[str, bytes]]]
"""An issuer's keys, among them that of the selector, where it can be found."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One receipt; a row of the table."""

    verdict: str
    """holds, forged (not signed with a key of the issuer's), or contradicts (another one that holds)."""
    issuer: str
    account: str
    serial: str
    letter: str
    """own: the letter that was given; other: not that one; else the hash, where no letter was given."""
    receiver: str
    domain: str
    at: str
    batch: int
    """The link of the journal's chain that has it."""


def read_receipts(file: Path) -> list[Receipt]:
    """One a line; raises `Malformed` for what is none, OSError."""
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


async def judge_receipts(receipts: Sequence[Receipt], letters: Sequence[bytes], find: FindKeys) -> list[Judged]:
    """Each, in order. `letters` are the hashes of the letter that was given, one for each recipient."""
    good = [receipt for receipt in receipts if holds(receipt, await find(receipt.issuer, receipt.selector))]
    uses: dict[tuple[str, str, int, bytes], set[bytes]] = {}
    for receipt in good:
        uses.setdefault(_stamp(receipt), set()).add(receipt.sealed.use.letter)
    return [
        _judged(receipt, letters, is_signed=receipt in good, is_alone=len(uses.get(_stamp(receipt), ())) < 2)
        for receipt in receipts
    ]


def tell(found: Sequence[Judged], *, as_json: bool) -> None:
    """Print them; raises `RuleRefused` unless all hold."""
    rows = [asdict(one) for one in found]
    if not as_json:
        columns = list(rows[0])
        print_table("", columns, [[row[column] for column in columns] for row in rows])
    document: dict[str, Any] = {"receipts": rows}
    if bad := sorted({one.verdict for one in found} - {"holds"}):
        raise RuleRefused(bad[0], f"{len(found)} receipts, of which some {' and '.join(bad)}", document)
    if as_json:
        print_json(document)


def _stamp(receipt: Receipt) -> tuple[str, str, int, bytes]:
    use = receipt.sealed.use
    return receipt.issuer, use.account, use.expiry_day, use.serial


def _judged(receipt: Receipt, letters: Sequence[bytes], *, is_signed: bool, is_alone: bool) -> Judged:
    use, head = receipt.sealed.use, receipt.sealed.head
    letter = ("own" if use.letter in letters else "other") if letters else use.letter.hex()
    verdict = "forged" if not is_signed else "holds" if is_alone else "contradicts"
    at = datetime.fromtimestamp(use.at, UTC).isoformat().replace("+00:00", "Z")
    return Judged(
        verdict, receipt.issuer, use.account, use.serial.hex(), letter, use.receiver, use.domain, at, head.number
    )

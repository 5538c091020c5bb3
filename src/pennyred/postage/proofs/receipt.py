"""An office's receipt for a settled stamp: what it was used for, and where that stands in the journal's chain.

A sender who is told `spent` can ask for the receipt of the first use, signed by the office. An office that invents a
double spend cannot produce it; an office that denies having settled a stamp is contradicted by it. One signature covers
a whole batch: a receipt carries the path from its detail to the batch's root (STAMP.md 13).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pennyred.postage.encoding import decode_base64, decode_integer, encode_base64, encode_integer
from pennyred.postage.errors import Malformed, MalformedReceipt
from pennyred.postage.licence import ACCOUNT, ALGORITHM, SELECTOR, read_domain, read_text
from pennyred.postage.proofs.chain import EPOCHS_BYTES_MAX, BatchHead, Epoch, Totals, Use, pack_epochs, unpack_epochs
from pennyred.postage.proofs.merkle import DEPTH_MAX, HASH_BYTES, Tree, root_from
from pennyred.postage.signing import CONTEXT_RECEIPT, SigningKey, verify
from pennyred.postage.taglist import Tag, format_tag_list, parse_tag_list

RECEIPT_BYTES_MAX = 4096
_TAGS = (
    "v", "a", "i", "s", "c", "x", "n", "l", "r", "d", "p", "t",
    "cn", "ct", "cs", "cu", "cr", "cc", "ci", "cm", "cp", "b",
)  # fmt: skip
_TAGS_RESTORED = (*_TAGS[:-1], "ce", "b")
"""The tags of a receipt from an office that was restored from a backup."""


@dataclass(frozen=True, slots=True)
class SealedUse:
    """A use, with its place in the chain and the Merkle path that proves it."""

    use: Use
    head: BatchHead
    index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A sealed use, signed by the office."""

    issuer: str
    selector: str
    """Which of the office's keys signed."""
    sealed: SealedUse
    signature: bytes


def seal(use: Use, head: BatchHead, index: int, details: Tree) -> SealedUse:
    """Add the proof of a use's place among the `details` of its batch. Raises IndexError for an index out of bounds."""
    return SealedUse(use, head, index, tuple(details.path(index)))


def sign_head(key: SigningKey, issuer: str, selector: str, head: BatchHead) -> bytes:
    """The office's signature over a batch's head, 64 bytes: the same for all receipts of the batch."""
    return key.sign(CONTEXT_RECEIPT, _signed(issuer, selector, head.hash))


def format_receipt(issuer: str, selector: str, sealed: SealedUse, signature: bytes) -> bytes:
    """The canonical text of a receipt, on one line."""
    use, head = sealed.use, sealed.head
    tags: list[Tag] = [
        ("v", b"1"),
        ("a", ALGORITHM),
        ("i", issuer.encode()),
        ("s", selector.encode()),
        ("c", use.account.encode()),
        ("x", encode_integer(use.expiry_day)),
        ("n", encode_base64(use.serial)),
        ("l", encode_base64(use.letter)),
        ("r", use.receiver.encode()),
        ("d", use.domain.encode()),
        ("p", encode_integer(use.price)),
        ("t", encode_integer(use.at)),
        ("cn", encode_integer(head.number)),
        ("ct", encode_integer(head.at)),
        ("cs", encode_integer(head.totals.sold)),
        ("cu", encode_integer(head.totals.settled)),
        ("cr", encode_integer(head.totals.refunded)),
        ("cc", encode_integer(head.count)),
        ("ci", encode_integer(sealed.index)),
        ("cm", encode_base64(b"".join(sealed.path))),
        ("cp", encode_base64(head.previous)),
        *([("ce", encode_base64(pack_epochs(head.epochs)))] if head.epochs else []),
        ("b", encode_base64(signature)),
    ]
    return format_tag_list(tags)


def parse_receipt(text: bytes) -> Receipt:
    """Read a receipt's text; raises `MalformedReceipt`. It does not check the signature: see `holds`."""
    try:
        return _parse(text.strip())
    except MalformedReceipt:
        raise
    except Malformed as error:
        raise MalformedReceipt(f"receipt: {error}") from error


def holds(receipt: Receipt, keys: Mapping[str, bytes]) -> bool:
    """Whether the receipt is signed by the key it names; `keys` are the issuer's by selector."""
    return signs_head(keys, receipt.issuer, receipt.selector, receipt.sealed.head, receipt.signature)


def signs_head(keys: Mapping[str, bytes], issuer: str, selector: str, head: BatchHead, signature: bytes) -> bool:
    """Whether `signature` is what `sign_head` makes for this head with the issuer's key of this selector."""
    key = keys.get(selector)
    return key is not None and verify(key, CONTEXT_RECEIPT, _signed(issuer, selector, head.hash), signature)


def _parse(text: bytes) -> Receipt:
    tags = parse_tag_list(text, bytes_max=RECEIPT_BYTES_MAX)
    if tuple(name for name, _ in tags) not in (_TAGS, _TAGS_RESTORED) or format_tag_list(tags) != text:
        raise MalformedReceipt("receipt: a tag is missing, out of order or not in canonical form")
    values = dict(tags)
    if values["v"] != b"1" or values["a"] != ALGORITHM:
        raise MalformedReceipt("receipt: a version or algorithm not known here")
    use = Use(
        account=read_text(values["c"], ACCOUNT),
        expiry_day=decode_integer(values["x"]),
        serial=decode_base64(values["n"], length=16),
        letter=decode_base64(values["l"], length=32),
        receiver=values["r"].decode("ascii"),
        domain=values["d"].decode("ascii"),
        price=decode_integer(values["p"]),
        at=decode_integer(values["t"]),
    )
    index, count = decode_integer(values["ci"]), decode_integer(values["cc"])
    path = _path(values["cm"])
    root = root_from(use.detail, index, count, path)
    if root is None or count >= 2**DEPTH_MAX:
        raise MalformedReceipt("receipt: its path fits no batch of that size")
    head = BatchHead(
        number=decode_integer(values["cn"]),
        at=decode_integer(values["ct"]),
        totals=Totals(*(decode_integer(values[name]) for name in ("cs", "cu", "cr"))),
        count=count,
        root=root,
        previous=decode_base64(values["cp"], length=HASH_BYTES),
        epochs=_epochs(values["ce"]) if "ce" in values else (),
    )
    if head.epochs and head.epochs[-1].follows >= head.number:
        raise MalformedReceipt("receipt: a head of before its epoch")
    sealed = SealedUse(use, head, index, path)
    selector = read_text(values["s"], SELECTOR)
    return Receipt(read_domain(values["i"]), selector, sealed, decode_base64(values["b"], length=64))


def _path(encoded: bytes) -> tuple[bytes, ...]:
    joined = decode_base64(encoded, length_max=DEPTH_MAX * HASH_BYTES)
    if len(joined) % HASH_BYTES:
        raise Malformed("a path of no whole number of hashes")
    return tuple(joined[start : start + HASH_BYTES] for start in range(0, len(joined), HASH_BYTES))


def _epochs(encoded: bytes) -> tuple[Epoch, ...]:
    epochs = unpack_epochs(decode_base64(encoded, length_max=EPOCHS_BYTES_MAX))
    if not epochs:
        raise Malformed("no epochs: then there is no such tag")
    return epochs


def _signed(issuer: str, selector: str, head_hash: bytes) -> bytes:
    return format_tag_list(
        [
            ("v", b"1"),
            ("a", ALGORITHM),
            ("i", issuer.encode()),
            ("s", selector.encode()),
            ("h", encode_base64(head_hash)),
        ]
    )

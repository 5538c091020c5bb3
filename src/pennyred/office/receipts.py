"""The office's receipts: signed statements of what each settled stamp was used for (STAMP.md 13).

One signature serves all receipts of a batch, so the signatures of the last batches are remembered.
"""

from collections.abc import Sequence
from functools import lru_cache

from pennyred.office.keys import OfficeKeys
from pennyred.office.ledger.protocol import Ledger
from pennyred.postage.proofs.chain import BatchHead
from pennyred.postage.proofs.receipt import SealedUse, format_receipt, sign_head
from pennyred.postage.signing import SigningKey
from pennyred.postage.stamp import StampKey

_SIGNATURES_REMEMBERED = 1000


class Receipts:
    """Writes the receipts of one office."""

    def __init__(self, issuer: str, ledger: Ledger, keys: OfficeKeys) -> None:
        self._issuer = issuer
        self._ledger = ledger
        self._keys = keys
        self._signature = lru_cache(_SIGNATURES_REMEMBERED)(self._sign)

    async def of(self, stamps: Sequence[StampKey]) -> list[str]:
        """A receipt for each of these stamps, in their order; "" where there is none. Raises `Unavailable`."""
        return [self._write(sealed) if sealed else "" for sealed in await self._ledger.uses(stamps)]

    def signature(self, head: BatchHead) -> tuple[str, bytes]:
        """The selector of the key that signs now, and its signature (64 bytes) over a head of the chain."""
        selector, key = self._keys.newest
        return selector, self._signature(key, selector, head)

    def _write(self, sealed: SealedUse) -> str:
        selector, signature = self.signature(sealed.head)
        return format_receipt(self._issuer, selector, sealed, signature).decode("ascii")

    def _sign(self, key: SigningKey, selector: str, head: BatchHead) -> bytes:
        return sign_head(key, self._issuer, selector, head)

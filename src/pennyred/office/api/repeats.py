"""The same answer to a repeated request: `Idempotency-Key`, for clients that got no answer and send it again.

The answer is kept for a day (`callers`), under a hash of the caller, the route and the key, with a hash of the body.
The same key with another body is the caller's mistake: it is refused, not answered with the result of another request.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.params import HeaderParameter

from pennyred.office.ledger.callers import KeptAnswer
from pennyred.office.office import Office
from pennyred.postage.errors import Malformed

HEADER = "Idempotency-Key"
KEY_CHARACTERS_MAX = 255

Asked = Request[Any, Any, State]
Key = Annotated[
    str | None,
    HeaderParameter(
        name=HEADER,
        max_length=KEY_CHARACTERS_MAX,
        description="Your name for this request: sent again with it within a day, it is told what the first was.",
    ),
]
"""The type of a route's argument for the key, with its text in the API's description."""
Answer = TypeVar("Answer", bound=msgspec.Struct)


class KeyReused(Malformed):
    """The same idempotency key was used for two different requests; its text is safe to show."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks (`principal`), and which office."""

    office: Office
    principal: str


async def answered_once(
    request: Asked, caller: Caller, key: str | None, kind: type[Answer], do: Callable[[], Awaitable[Answer]]
) -> Answer:
    """The answer of `do`, or the kept answer if this request was answered before; raises `KeyReused`, `Malformed`.

    `do` may run twice if two equal requests come at once, or if this machine fails in between. That does no harm:
    whatever moves money is idempotent by itself (a voucher is redeemed once, a key has one account). The idempotency
    key only makes the answer the same.
    """
    office, name = caller.office, _name(request, caller.principal, key)
    if name is None:
        return await do()
    if kept := await _kept(request, office, name):
        return msgspec.json.decode(kept.answer, type=kind)
    answer = await do()
    await _keep(request, office, name, msgspec.json.encode(answer))
    return answer


async def require_same(request: Asked, caller: Caller, key: str | None) -> None:
    """Raise `KeyReused` if this key came with another body before; for routes whose answers are not kept.

    Such are holds: what counts is whether a stamp is held now, not what was answered an hour ago. The ledger recognises
    a repetition by `tx` and letter.
    """
    office, name = caller.office, _name(request, caller.principal, key)
    if name is not None and await _kept(request, office, name) is None:
        await _keep(request, office, name, b"")


def _name(request: Asked, principal: str, key: str | None) -> bytes | None:
    if key is None:
        return None
    if not 0 < len(key) <= KEY_CHARACTERS_MAX or not all(32 < ord(one) < 127 for one in key):
        raise Malformed(f"{HEADER}: 1 to {KEY_CHARACTERS_MAX} printable ASCII characters, no spaces")
    return hashlib.sha256(f"{principal}\n{request.method}\n{request.url.path}\n{key}".encode()).digest()


async def _kept(request: Asked, office: Office, name: bytes) -> KeptAnswer | None:
    kept = await office.ledger.kept_answer(name, now=office.now)
    if kept is not None and kept.body_hash != await _body_hash(request):
        raise KeyReused(f"this {HEADER} was sent with another body before; make a new key for a new request")
    return kept


async def _keep(request: Asked, office: Office, name: bytes, answer: bytes) -> None:
    await office.ledger.keep_answer(name, KeptAnswer(await _body_hash(request), answer), now=office.now)


async def _body_hash(request: Asked) -> bytes:
    return hashlib.sha256(await request.body()).digest()

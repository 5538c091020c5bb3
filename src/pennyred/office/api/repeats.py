"""The same answer to the same request: `Idempotency-Key`, for requests that are sent again because none came.

A key is the caller's own: it is kept under a hash of who asks, what for and the key, for a day (`callers`), with the
hash of the body. The key with another body is a slip of the caller's, and told so, rather than answered with what
belongs to something else.
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
"""For the API's description; the key is read here."""
Answer = TypeVar("Answer", bound=msgspec.Struct)


class KeyReused(Malformed):
    """One idempotency key for two requests; its text is safe to show."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks which office."""

    office: Office
    principal: str


async def answered_once(
    request: Asked, caller: Caller, key: str | None, kind: type[Answer], do: Callable[[], Awaitable[Answer]]
) -> Answer:
    """What `do` answers, or what it answered to this very request; raises `KeyReused` and `Malformed`.

    `do` may be done twice where two of the same come at once, or this machine dies in between: whatever moves money is
    idempotent by itself (a voucher is redeemed once, an account goes by its key). The key is for the answer.
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
    """Raise `KeyReused` where this key came with another body; for what is answered afresh each time.

    Holds are: whether a stamp is held is true or false now, whatever was answered an hour ago. The ledger knows a
    repetition by `tx` and letter.
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

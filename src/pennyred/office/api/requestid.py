"""A name for every request, in its answer, in problems and in the log, so that all can refer to it.

The client's own `X-Request-Id` is used if it is a plain word; else a name is made.
"""

import re
from collections.abc import Callable

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-Id"
_WORD = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_STATE = "request_id"


def request_id(scope: Scope) -> str:
    """The name of the request with this scope; "" before the middleware has given it one."""
    return str(scope.get("state", {}).get(_STATE, ""))


def naming(random_bytes: Callable[[int], bytes]) -> Callable[[ASGIApp], ASGIApp]:
    """The middleware that names each request; new names are 16 random bytes in hexadecimal.

    It is around the whole application, so requests without a route, or that fail early, get a name too.
    """

    def middleware(app: ASGIApp) -> ASGIApp:
        async def named(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            name = _asked(scope) or random_bytes(16).hex()
            scope.setdefault("state", {})[_STATE] = name

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableScopeHeaders.from_message(message)[HEADER] = name
                await send(message)

            await app(scope, receive, answer)

        return named

    return middleware


def _asked(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == HEADER.lower().encode():
            word = value.decode("latin-1")
            return word if _WORD.fullmatch(word) else ""
    return ""

"""Answer HEAD like GET, but without the body (RFC 9110 section 9.3.2): monitors use it to see if a server is up."""

from collections.abc import Container
from typing import Any


def answering_head(app: Any, paths: Container[str]) -> Any:
    """Wrap an application that knows only GET: a HEAD for one of `paths` is passed on as GET.

    The server leaves out the body: its own scope still says HEAD.
    """

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD" and scope["path"] in paths:
            scope = {**scope, "method": "GET"}
        await app(scope, receive, send)

    return serve

"""HEAD, as GET without what would be shown (RFC 9110 section 9.3.2): so monitors ask whether somebody is there."""

from collections.abc import Container
from typing import Any


def answering_head(app: Any, paths: Container[str]) -> Any:
    """An application that knows GET, asked by HEAD for pages that everybody may see. The server leaves the body out:
    it goes by its own scope, which stays as it came.
    """

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD" and scope["path"] in paths:
            scope = {**scope, "method": "GET"}
        await app(scope, receive, send)

    return serve

"""A few pages for whoever watches a gate: what Prometheus reads, and whether it lives and can work."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from pennyred.http.heads import answering_head


@dataclass(frozen=True, slots=True)
class Page:
    """What one page answers."""

    body: bytes
    media_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


Pages = Mapping[str, Callable[[], Awaitable[Page]]]
"""What answers each page, by its path."""


def watching(pages: Pages) -> ASGIApp:
    """An application of these pages, for GET and HEAD, and nothing else."""
    routes = [_route(path, page) for path, page in pages.items()]
    app = Litestar(routes, openapi_config=None, logging_config=None, request_max_body_size=1)
    return answering_head(app, pages)  # type: ignore[no-any-return]


def _route(path: str, page: Callable[[], Awaitable[Page]]) -> HTTPRouteHandler:
    @get(path, name=path, cache_control=None)
    async def answer() -> Response[bytes]:
        told = await page()
        return Response(
            told.body, status_code=told.status, media_type=told.media_type, headers={"Cache-Control": "no-store"}
        )

    return answer

"""The office's HTTP application; it describes itself at /v1/openapi.json."""

from typing import Any

from litestar import Litestar, Request, Router, get
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.enums import OpenAPIMediaType
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp

from pennyred.http.heads import answering_head
from pennyred.office.api import probes, proofs, receivers, senders, signers
from pennyred.office.api.limits import Minute, PerMinute
from pennyred.office.api.measured import ApiMetrics, measured
from pennyred.office.api.problems import handlers
from pennyred.office.api.requestid import naming
from pennyred.office.office import Office

BODY_BYTES_MAX = 64 * 1024
"""The longest body of a request, unless its route has another limit."""
DESCRIPTION = "/v1/openapi.json"
SEEN_BY_ALL = frozenset((DESCRIPTION, "/.well-known/pennyred", "/healthz", "/metrics"))
"""What HEAD may ask for; elsewhere the method is signed."""


def make_app(
    office: Office,
    log: Any = None,
    *,
    openings: Minute | None = None,
    lookups: Minute | None = None,
    probings: Minute | None = None,
    metrics: ApiMetrics | None = None,
) -> ASGIApp:
    """Make the application of one office; `log` gets our own mistakes.

    `openings`, `lookups` and `probings` count, for all workers together, the requests that strangers may make only so
    often a minute: opened accounts, looked-up domains, and opened probes.
    """
    app: ASGIApp = _routes(office, log, openings, lookups, probings)
    named = naming(office.random_bytes)(app if metrics is None else measured(app, metrics))
    return answering_head(named, SEEN_BY_ALL)  # type: ignore[no-any-return]


def _routes(
    office: Office, log: Any, openings: Minute | None, lookups: Minute | None, probings: Minute | None
) -> Litestar:
    return Litestar.from_config(
        AppConfig(
            route_handlers=[
                *senders.ROUTES,
                *proofs.ROUTES,
                *probes.ROUTES,
                receivers.prove_domain,
                receivers.redemption_routes(),
                describe,
            ],
            state=State(
                {
                    "office": office,
                    "log": log,
                    "openings": PerMinute(senders.OPENINGS_PER_MINUTE, openings),
                    "proofs": PerMinute(receivers.PROOFS_PER_MINUTE, lookups),
                    "probes": PerMinute(probes.PROBES_PER_MINUTE, probings),
                }
            ),
            request_max_body_size=BODY_BYTES_MAX,
            openapi_config=OpenAPIConfig(
                title="Penny Red post office",
                version="1",
                # Litestar's own pages, HTML where there is none: nobody finds them, so that all below /v1 is ours.
                openapi_router=Router("/-", route_handlers=[], include_in_schema=False, guards=[_nobody]),
                render_plugins=[JsonRenderPlugin()],
                components=Components(security_schemes=_security_schemes()),
            ),
            exception_handlers=handlers(),
        )
    )


@get(DESCRIPTION, media_type=OpenAPIMediaType.OPENAPI_JSON, include_in_schema=False, sync_to_thread=False)
def describe(request: Request[Any, Any, State], state: State) -> bytes:
    """The API's description of itself."""
    if "description" not in state:
        state["description"] = JsonRenderPlugin.render_json(request, request.app.openapi_schema.to_schema())
    description: bytes = state["description"]
    return description


def _nobody(_: ASGIConnection[Any, Any, Any, Any], __: BaseRouteHandler) -> None:
    raise NotFoundException


def _security_schemes() -> dict[str, Any]:
    return {
        signers.SCHEME: SecurityScheme(
            type="http",
            scheme="bearer",
            bearer_format="JWT",
            description="EdDSA JWT of the account's Ed25519 key, which is in its header's jwk: aud the issuer, htm the "
            "method, htu the path and query, bh the SHA-256 of the body in base64url, exp at most 60 s behind now and "
            "iat, jti 16 to 64 ASCII characters that this key has not used before.",
        ),
        receivers.SCHEME: SecurityScheme(
            type="http",
            scheme="bearer",
            description="The token that `pennyred receiver add` has printed.",
        ),
    }

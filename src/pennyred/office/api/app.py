"""The office's HTTP application (CONTRACT: HTTP), described by itself at /v1/openapi.json."""

from typing import Any

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from pennyred.office.api import proofs, receivers, senders, signers
from pennyred.office.api.limits import Minute, PerMinute
from pennyred.office.api.problems import handlers
from pennyred.office.api.requestid import naming
from pennyred.office.office import Office

BODY_BYTES_MAX = 64 * 1024
"""Of a request, where its route does not say otherwise."""


def make_app(
    office: Office, log: Any = None, *, openings: Minute | None = None, lookups: Minute | None = None
) -> Litestar:
    """The application of one office; `log` hears of our own mistakes.

    `openings` and `lookups` count of all workers together what strangers may ask for so often a minute.
    """
    return Litestar.from_config(
        AppConfig(
            route_handlers=[*senders.ROUTES, *proofs.ROUTES, receivers.prove_domain, receivers.redemption_routes()],
            state=State(
                {
                    "office": office,
                    "log": log,
                    "openings": PerMinute(senders.OPENINGS_PER_MINUTE, openings),
                    "proofs": PerMinute(receivers.PROOFS_PER_MINUTE, lookups),
                }
            ),
            request_max_body_size=BODY_BYTES_MAX,
            middleware=[naming(office.random_bytes)],
            openapi_config=OpenAPIConfig(
                title="Penny Red post office",
                version="1",
                path="/v1",
                render_plugins=[JsonRenderPlugin()],
                components=Components(security_schemes=_security_schemes()),
            ),
            exception_handlers=handlers(),
        )
    )


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

"""A sender's signed request: a short-lived EdDSA JWT (RFC 7519, RFC 8037) made with the account's key.

It says for which office, method, path and body it is, so that it is good for that one request; its id is remembered by
the office until it expires, so that it is good once.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from pennyred.postage.errors import Malformed
from pennyred.postage.signing import SigningKey

LIFETIME_SECONDS = 60
CLOCK_SKEW_SECONDS = 30
TOKEN_CHARACTERS_MAX = 2000
_ALGORITHM = "EdDSA"


class _EdDsaOnly(JWSRegistry):
    """No other algorithm exists here, so none can be asked for (RFC 8725 section 3.1).

    The library calls the name EdDSA deprecated (RFC 9864); with the curve named in the key there is nothing to confuse.
    """

    def get_alg(self, name: str) -> Any:
        """The one algorithm."""
        if name != _ALGORITHM:
            raise UnsupportedAlgorithmError("only EdDSA")
        return self.algorithms[name]


class BadToken(Malformed):
    """A token that is none, or is for something else; its text is safe to show."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a token is for."""

    audience: str
    """The office's domain."""
    method: str
    path: str
    """With the query, where there is one."""
    body: bytes

    @property
    def claims(self) -> dict[str, str]:
        """As the token must say it."""
        digest = hashlib.sha256(self.body).digest()
        return {"aud": self.audience, "htm": self.method, "htu": self.path, "bh": _base64url(digest)}


@dataclass(frozen=True, slots=True)
class Claimed:
    """Who signed, with which id, until when."""

    public_key: bytes
    token_id: str
    expires_at: int


def make_token(key: SigningKey, request: Request, *, now: int, random: bytes) -> str:
    """Sign a request; `random` is 16 bytes, the token's id."""
    claims = request.claims | {"iat": now, "exp": now + LIFETIME_SECONDS, "jti": _base64url(random)}
    header = {"alg": _ALGORITHM, "jwk": _jwk(key.public)}
    private = OKPKey.import_key(key.to_pem())
    return jwt.encode(header, claims, private, registry=_EdDsaOnly())


def check_token(token: str, request: Request, *, now: int) -> Claimed:
    """Who signed this request; raises `BadToken`. Whether it was seen before is for the ledger to say."""
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise BadToken("token too long")
    try:
        public = _public_key(token)
        decoded = jwt.decode(token, OKPKey.import_key(_jwk(public)), registry=_EdDsaOnly())
    except BadToken:
        raise
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadToken("not a token signed with the account's key") from error
    claims = decoded.claims
    for name, value in request.claims.items():
        if claims.get(name) != value:
            raise BadToken(f"the token is for another request ({name})")
    expires_at, token_id = claims.get("exp"), claims.get("jti")
    if not isinstance(expires_at, int) or not isinstance(token_id, str):
        raise BadToken("the token has no expiry or no id")
    if not 16 <= len(token_id) <= 64 or not token_id.isascii():
        raise BadToken("the token's id is not one of 16 to 64 ASCII characters")
    if not now - CLOCK_SKEW_SECONDS < expires_at <= now + LIFETIME_SECONDS + CLOCK_SKEW_SECONDS:
        raise BadToken("the token has expired, or lives too long; is the clock right?")
    return Claimed(public, token_id, expires_at + CLOCK_SKEW_SECONDS)


def _public_key(token: str) -> bytes:
    """The key the token says it was signed with; an account goes by its key, so nothing is believed by reading it."""
    header = jws.extract_compact(token.encode()).headers()
    jwk = header.get("jwk")
    x = jwk.get("x") if isinstance(jwk, dict) else None
    if not isinstance(x, str) or len(x) != 43:
        raise BadToken("the token does not name its key")
    public = base64.urlsafe_b64decode(x + "=")
    if len(public) != 32:
        raise BadToken("the token does not name its key")
    return public


def _jwk(public: bytes) -> dict[str, str | list[str]]:
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(public)}


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")

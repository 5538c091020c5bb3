"""How a sender signs a request: with a short-lived EdDSA JWT (RFC 7519, RFC 8037), made with the account's key.

The token names office, method, path and body, so it is valid for that request only. The office remembers its id until
it expires, so it is valid once. Ids belong to the key: nobody can use up those of another account.
"""

import base64
import hashlib
import math
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
_TIME_MAX = 2**53
"""Times must be below this; sums with larger numbers would not be exact."""
_ALGORITHM = "EdDSA"


class _EdDsaOnly(JWSRegistry):
    """Knows only EdDSA, so a token cannot ask for another algorithm (RFC 8725 section 3.1).

    The library calls the name EdDSA deprecated (RFC 9864). Here the key names the curve, so it is not ambiguous.
    """

    def get_alg(self, name: str) -> Any:
        """The algorithm with this name; raises `UnsupportedAlgorithmError` for any but EdDSA."""
        if name != _ALGORITHM:
            raise UnsupportedAlgorithmError("only EdDSA")
        return self.algorithms[name]


class BadToken(Malformed):
    """A token that is malformed, expired, used or for another request; its text is safe to show."""


@dataclass(frozen=True, slots=True)
class Request:
    """The request that a token is valid for."""

    audience: str
    """The office's domain."""
    method: str
    path: str
    """The path, with the query if there is one."""
    body: bytes

    @property
    def claims(self) -> dict[str, str]:
        """The claims that the token must have for this request."""
        digest = hashlib.sha256(self.body).digest()
        return {"aud": self.audience, "htm": self.method, "htu": self.path, "bh": _base64url(digest)}


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a checked token says: who signed it, its id, and how long to remember that."""

    public_key: bytes
    token_id: str
    expires_at: int
    """Until when the id must be remembered, seconds since 1970 UTC: then it has expired by the clock of every office on
    the same ledger."""

    @property
    def unique_id(self) -> str:
        """The public key and the id, as one text: this is remembered."""
        return f"{_base64url(self.public_key)} {self.token_id}"


def make_token(key: SigningKey, request: Request, *, now: int, random: bytes) -> str:
    """Sign a request; `random` is 16 bytes, the token's id."""
    claims = request.claims | {"iat": now, "exp": now + LIFETIME_SECONDS, "jti": _base64url(random)}
    header = {"alg": _ALGORITHM, "jwk": _jwk(key.public)}
    private = OKPKey.import_key(key.to_pem())
    return jwt.encode(header, claims, private, registry=_EdDsaOnly())


def check_token(token: str, request: Request, *, now: int) -> Claimed:
    """Check a token for this request; raises `BadToken`. Only the ledger knows whether the token was used before."""
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
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not 16 <= len(token_id) <= 64 or not token_id.isascii():
        raise BadToken("the token's id is not one of 16 to 64 ASCII characters")
    expires_at = _require_now(claims, now)
    return Claimed(public, token_id, math.ceil(expires_at) + 2 * CLOCK_SKEW_SECONDS)


def _require_now(claims: dict[str, Any], now: int) -> float:
    """When the token expires (RFC 7519 section 4.1.4), seconds since 1970 UTC; raises `BadToken` if it is not valid.

    Clocks may differ by `CLOCK_SKEW_SECONDS`. `iat` and `nbf` are optional.
    """
    expires_at, issued_at, not_before = (_time(claims, name) for name in ("exp", "iat", "nbf"))
    if expires_at is None:
        raise BadToken("the token has no expiry")
    latest = now + CLOCK_SKEW_SECONDS
    if not now - CLOCK_SKEW_SECONDS < expires_at <= latest + LIFETIME_SECONDS:
        raise BadToken("the token has expired, or lives too long; is the clock right?")
    if issued_at is not None and not expires_at - LIFETIME_SECONDS <= issued_at <= min(latest, expires_at):
        raise BadToken(f"the token is of a time to come, or lives longer than {LIFETIME_SECONDS} s (iat, exp)")
    if not_before is not None and not_before > latest:
        raise BadToken("the token is not valid yet (nbf); is the clock right?")
    return expires_at


def _time(claims: dict[str, Any], name: str) -> float | None:
    """A time claim, seconds since 1970 UTC, perhaps with a fraction (RFC 7519 section 2); None if it is missing."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _TIME_MAX:
        raise BadToken(f"the token's {name} is no time")
    return value


def _public_key(token: str) -> bytes:
    """The key that the token names. The account is found by the key, so the token is not trusted by reading it."""
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

"""The API's error answers: problems as in RFC 9457, each with the name of the reason."""

from typing import Any

from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import ResponseSpec
from litestar.types import ExceptionHandlersMap

from pennyred.http import messages
from pennyred.http.admission import GUEST, Guest
from pennyred.http.tokens import BadToken
from pennyred.office.api.repeats import KeyReused
from pennyred.office.api.requestid import request_id
from pennyred.office.office import Refused
from pennyred.postage.errors import Malformed, Unavailable

Asked = Request[Any, Any, State]


class TooOften(Exception):  # noqa: N818 - it is no error, and time cures it
    """The client asks more often than the office allows."""


def described(*statuses: int) -> dict[int, ResponseSpec]:
    """The problems that a route may answer with, for the API's description."""
    return {
        status: ResponseSpec(messages.Problem, generate_examples=False, media_type=messages.PROBLEM_TYPE)
        for status in (*statuses, 413, 503)
    }


def handlers() -> ExceptionHandlersMap:
    """The function that makes the answer for each kind of exception."""
    return {
        Refused: _refused,
        TooOften: _too_often,
        BadToken: _bad_token,
        KeyReused: _key_reused,
        Malformed: _malformed,
        Unavailable: _unavailable,
        ValidationException: _invalid,
        HTTPException: _http,
        RecursionError: _too_deep,
        UnicodeDecodeError: _not_text,
        Exception: _internal,
    }


def _problem(request: Asked, status: int, reason: str, title: str, detail: str) -> Response[Any]:
    problem = messages.Problem("about:blank", title, status, reason, detail, f"urn:request:{request_id(request.scope)}")
    return Response(problem, status_code=status, media_type=messages.PROBLEM_TYPE)


def _refused(request: Asked, error: Refused) -> Response[Any]:
    return _problem(request, 403, error.reason.value, "Refused", str(error))


def _too_often(request: Asked, error: TooOften) -> Response[Any]:
    detail = str(error)
    response = _problem(request, 429, "too-many-requests", "Too many requests", detail)
    response.headers["Retry-After"] = "60"
    return response


def _bad_token(request: Asked, error: BadToken) -> Response[Any]:
    response = _problem(request, 401, "bad-token", "Not signed as it must be", str(error))
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _malformed(request: Asked, error: Malformed) -> Response[Any]:
    return _problem(request, 400, "malformed", "Malformed request", str(error))


def _key_reused(request: Asked, error: KeyReused) -> Response[Any]:
    return _problem(request, 422, "key-reused", "Idempotency key reused", str(error))


def _unavailable(request: Asked, error: Unavailable) -> Response[Any]:
    response = _problem(request, 503, error.reason.value, "Try again later", error.reason.sentence)
    response.headers["Retry-After"] = "10"
    return response


def _invalid(request: Asked, error: ValidationException) -> Response[Any]:
    """The answer to a body or query that the route does not take: it names the key, and what was expected."""
    extra = error.extra if isinstance(error.extra, list) else []
    found = [f"{one.get('key', '')}: {one.get('message', '')}".strip(": ") for one in extra if isinstance(one, dict)]
    return _problem(
        request, 400, "malformed", "Malformed request", "; ".join(found)[:500] or "not what this route takes"
    )


def _too_deep(request: Asked, __: RecursionError) -> Response[Any]:
    """The answer to a body nested too deeply: nothing else here recurses."""
    return _problem(request, 400, "malformed", "Malformed request", "body: lists in lists without end")


def _not_text(request: Asked, __: UnicodeDecodeError) -> Response[Any]:
    """The answer to a body that is not UTF-8: nothing else here decodes text."""
    return _problem(request, 400, "malformed", "Malformed request", "body: not UTF-8")


def _http(request: Asked, error: HTTPException) -> Response[Any]:
    if error.status_code >= 500 and _is_gone(request):
        return _problem(request, 400, "malformed", "Malformed request", "broken off")  # nobody hears it
    if error.status_code >= 500:
        return _internal(request, error)
    reason = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}
    name = reason.get(error.status_code, "malformed")
    response = _problem(request, error.status_code, name, name.replace("-", " ").capitalize(), error.detail[:500])
    response.headers.update(error.headers or {})
    return response


def _is_gone(request: Asked) -> bool:
    """Whether the client has hung up in the middle of its request; then an error is no mistake of ours."""
    guest: Guest | None = request.scope.get("state", {}).get(GUEST)
    return guest is not None and guest.is_gone


def _internal(request: Asked, error: Exception) -> Response[Any]:
    """The answer to a mistake of ours: its text goes to the log, never to the client."""
    log = request.app.state.log
    if log is not None:
        log.error("service.internal_error", path=request.url.path, request=request_id(request.scope), exc_info=error)
    return _problem(request, 500, "internal", "Internal error", "something broke here; it has been written down")

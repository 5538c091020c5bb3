"""Answers to clients that do not reach the application: problems (RFC 9457) in the same form as the application's."""

import json
from http import HTTPStatus

from pennyred.http.messages import PROBLEM_TYPE

RETRY_SECONDS = 10


def problem(status: HTTPStatus, reason: str, detail: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The header fields and the body of an error answer that closes the connection."""
    document = {"type": "about:blank", "title": status.phrase, "status": status, "reason": reason, "detail": detail}
    body = json.dumps(document).encode()
    fields = [
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    if status is not HTTPStatus.BAD_REQUEST:
        fields.append((b"retry-after", b"%d" % RETRY_SECONDS))
    return fields, body


def raw(status: HTTPStatus, reason: str, detail: str) -> bytes:
    """The same as a whole HTTP answer in octets, to write straight to a connection."""
    fields, body = problem(status, reason, detail)
    lines = [b"HTTP/1.1 %d %b" % (status, status.phrase.encode()), *(b"%b: %b" % field for field in fields)]
    return b"\r\n".join([*lines, b"", body])


CROWDED_REASON = "too-many-connections"
CROWDED = "too many connections; try again in a while"
TOO_CROWDED = raw(HTTPStatus.SERVICE_UNAVAILABLE, CROWDED_REASON, CROWDED)
TOO_SLOW = raw(HTTPStatus.REQUEST_TIMEOUT, "too-slow", "the request did not come in time")
NOT_HTTP = raw(HTTPStatus.BAD_REQUEST, "malformed", "that is no HTTP/1.1, or in too many too small pieces")

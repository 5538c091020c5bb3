"""What every answer of the API has in common, whatever was asked: a request's name, and problems of one shape."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest
from tests.support.office_at_work import OfficeAtWork


async def ask(url: str, first: str, host: str = "office") -> tuple[int, dict[str, str], bytes]:
    """Status, header fields and body, of octets that no client library would send."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(f"{first} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    header, _, body = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = header.decode().split("\r\n")
    return int(status.split()[1]), {k.lower(): v.strip() for k, _, v in (one.partition(":") for one in lines)}, body


@pytest.fixture
def answer(tmp_path):
    """Asks an office of its own."""

    def asked(*request: str):
        async def story():
            async with OfficeAtWork(tmp_path).on_the_web() as work:
                return await ask(work.url, *request)

        return asyncio.run(story())

    return asked


@pytest.mark.parametrize(
    ("request_line", "host", "status", "reason"),
    [
        ("GET /nonsense", "office", 404, "not-found"),
        ("GET /v1", "office", 404, "not-found"),
        ("GET /v1/nonsense", "office", 404, "not-found"),
        ("GET /v1/nonsense.json", "office", 404, "not-found"),
        ("GET /v1/nonsense/more", "office", 404, "not-found"),
        ("POST /v1/nonsense", "office", 404, "not-found"),
        ("GET /-/openapi.json", "office", 404, "not-found"),
        ("GET /-/nonsense", "office", 404, "not-found"),
        ("DELETE /healthz", "office", 405, "method-not-allowed"),
        ("PUT /v1/totals", "office", 405, "method-not-allowed"),
        ("GET /healthz", "a b", 400, "malformed"),
        ("GET /v1/accounts/me", "office", 401, "bad-token"),
    ],
)
def test_whatever_is_not_done_is_a_problem_with_the_requests_name(answer, request_line, host, status, reason):
    seen, fields, body = answer(request_line, host)
    problem = json.loads(body)
    assert (seen, problem["status"], problem["reason"]) == (status, status, reason)
    assert fields["content-type"] == "application/problem+json"
    assert len(fields["x-request-id"]) == 32
    assert problem["instance"] == f"urn:request:{fields['x-request-id']}"


@pytest.mark.parametrize("line", ["GET /healthz", "GET /v1/openapi.json", "OPTIONS /healthz", "HEAD /healthz"])
def test_and_so_has_whatever_is_done(answer, line):
    status, fields, _ = answer(line)
    assert status in (200, 204)
    assert fields["x-request-id"]


@pytest.mark.parametrize("path", ["/healthz", "/v1/openapi.json", "/.well-known/pennyred"])
def test_what_everybody_may_see_is_there_for_head_too(answer, path):
    """Monitors ask so (RFC 9110 section 9.3.2): the same fields, and nothing behind them."""
    status, fields, body = answer(f"GET {path}")
    told, same, nothing = answer(f"HEAD {path}")
    for one in (fields, same):
        one.pop("x-request-id")
    assert (told, same, nothing) == (status, fields, b"")
    assert (status, int(fields["content-length"])) == (200, len(body))


def test_what_is_signed_is_asked_for_by_its_own_method(answer):
    assert answer("HEAD /v1/accounts/me")[0] == 405

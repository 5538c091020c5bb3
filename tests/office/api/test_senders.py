"""The office's HTTP API as a stranger meets it, over a real socket."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.support.office_at_work import ANN, EVE, OfficeAtWork
from tests.support.stationery import ISSUER, NOW

from pennyred.http import messages, redemptions, tokens
from pennyred.office.api import senders
from pennyred.postage.encoding import encode_base64
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

Story = Callable[[OfficeAtWork], Awaitable[None]]


@pytest.fixture
def tell(tmp_path):
    """Run a story with an office on the web."""

    def tell(story: Story) -> None:
        async def run() -> None:
            async with OfficeAtWork(tmp_path).on_the_web() as office:
                await story(office)

        asyncio.run(run())

    return tell


def signed(office: OfficeAtWork, method: str, path: str, body: bytes = b"", **changes: Any) -> dict[str, str]:
    """The headers of a signed request."""
    request = tokens.Request(changes.get("audience", ISSUER), method, path, body)
    token = tokens.make_token(
        changes.get("key", ANN), request, now=changes.get("now", office.now), random=office.random_bytes(16)
    )
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def opening(key=ANN, address="ann@sender.example") -> bytes:
    return json.dumps({"address": address, "key": encode_base64(key.public).decode()}).encode()


async def opened(office: OfficeAtWork) -> str:
    """Open Ann's account; returns its id."""
    async with office.client() as client:
        return (await client.open_account("ann@sender.example")).account


def test_the_issuer_tells_its_keys_and_price(tell):
    async def story(office):
        status, document, _ = await office.ask("GET", "/.well-known/pennyred")

        assert status == 200
        assert document["issuer"] == ISSUER
        assert [key["selector"] for key in document["keys"]] == ["s1"]
        assert document["price"] == 1

    tell(story)


def test_it_is_healthy_while_its_ledger_answers(tell):
    async def story(office):
        assert (await office.ask("GET", "/healthz"))[:2] == (200, "ok\n")

        async def silent(*_, **__):
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, "/secret/path: disk I/O error")

        office.ledger.account = silent
        status, problem, media_type = await office.ask("GET", "/healthz")

        assert (status, problem["reason"], media_type) == (503, "ledger-unavailable", "application/problem+json")
        assert "secret" not in problem["detail"]

    tell(story)


def test_an_account_is_opened_for_the_key_that_signs(tell):
    async def story(office):
        body = opening()
        status, document, _ = await office.ask(
            "POST", "/v1/accounts", data=body, headers=signed(office, "POST", "/v1/accounts", body)
        )

        assert status == 201
        assert len(document["account"]) == 16
        assert document["licence"].startswith("v=1;")
        assert (await office.ledger.account_by_key(ANN.public)).address == "ann@sender.example"

    tell(story)


def test_no_account_is_opened_for_somebody_elses_key(tell):
    async def story(office):
        body = opening(EVE)
        status, problem, _ = await office.ask(
            "POST", "/v1/accounts", data=body, headers=signed(office, "POST", "/v1/accounts", body)
        )

        assert (status, problem["reason"]) == (401, "bad-token")
        assert await office.ledger.account_by_key(EVE.public) is None

    tell(story)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"audience": "post.example.net"}, "/v1/accounts/me"),
        ({"now": NOW - 200}, "/v1/accounts/me"),
        ({"now": NOW + 200}, "/v1/accounts/me"),
        ({}, "/v1/accounts/me/entries"),
        ({"key": EVE}, "/v1/accounts/me"),
    ],
    ids=["another office", "expired", "too long-lived", "another path", "no account"],
)
def test_a_token_for_something_else_is_good_for_nothing(tell, changes, path):
    async def story(office):
        await opened(office)
        status, problem, _ = await office.ask("GET", "/v1/accounts/me", headers=signed(office, "GET", path, **changes))

        assert (status, problem["reason"], problem["status"]) == (401, "bad-token", 401)

    tell(story)


def test_a_token_for_another_body_or_method_is_good_for_nothing(tell):
    async def story(office):
        await opened(office)
        other = signed(office, "POST", "/v1/purchases", b'{"method":"voucher","code":"MINE","stamps":1}')
        body = b'{"method":"voucher","code":"YOURS","stamps":1}'

        assert (await office.ask("POST", "/v1/purchases", data=body, headers=other))[0] == 401
        assert (await office.ask("GET", "/v1/accounts/me", headers=signed(office, "POST", "/v1/accounts/me")))[0] == 401

    tell(story)


def test_a_signed_request_is_good_once(tell):
    async def story(office):
        await opened(office)
        headers = signed(office, "GET", "/v1/accounts/me")

        assert (await office.ask("GET", "/v1/accounts/me", headers=headers))[0] == 200
        status, problem, _ = await office.ask("GET", "/v1/accounts/me", headers=headers)

        assert (status, problem["detail"]) == (401, "this very request has been made before")

    tell(story)


def test_nobody_uses_up_another_s_token_ids(tell):
    async def story(office):
        await opened(office)
        async with office.client(EVE) as eve:
            await eve.open_account("eve@sender.example")
        headers = {}
        for key in (EVE, ANN):
            request = tokens.Request(ISSUER, "GET", "/v1/accounts/me", b"")
            token = tokens.make_token(key, request, now=office.now, random=b"the very same id")
            headers[key] = {"Authorization": f"Bearer {token}"}
        for key, status in ((EVE, 200), (EVE, 401), (ANN, 200), (ANN, 401)):
            assert (await office.ask("GET", "/v1/accounts/me", headers=headers[key]))[0] == status

    tell(story)


def test_a_token_is_good_once_as_long_as_any_clock_lets_it_in(tell):
    """Of offices over one ledger, one may be half a minute behind."""

    async def story(office):
        await opened(office)
        headers = signed(office, "GET", "/v1/accounts/me", now=NOW)
        assert (await office.ask("GET", "/v1/accounts/me", headers=headers))[0] == 200
        office.now = NOW + 119
        for _ in range(5):  # what is forgotten goes when others are remembered
            assert (await office.ask("GET", "/v1/accounts/me", headers=signed(office, "GET", "/v1/accounts/me")))[
                0
            ] == 200
        office.now = NOW + 89
        assert (await office.ask("GET", "/v1/accounts/me", headers=headers))[0] == 401

    tell(story)


def test_a_stranger_who_signs_writes_nothing_into_the_ledger(tell):
    async def story(office):
        remembered = []

        async def remember(jti, expires_at, *, now):
            remembered.append(jti)
            return True

        office.ledger.remember_jti = remember
        status, _, _ = await office.ask("GET", "/v1/accounts/me", headers=signed(office, "GET", "/v1/accounts/me"))

        assert (status, remembered) == (401, [])

    tell(story)


def test_openings_have_a_limit_for_each_network(tell, monkeypatch):
    monkeypatch.setattr(senders, "OPENINGS_PER_MINUTE", 2)

    async def story(office):
        async def open_one() -> int:
            body = opening()
            return (
                await office.ask(
                    "POST", "/v1/accounts", data=body, headers=signed(office, "POST", "/v1/accounts", body)
                )
            )[0]

        assert [await open_one() for _ in range(3)] == [201, 201, 429]
        office.now += 60
        assert await open_one() == 201

    tell(story)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"method":"voucher"}', b'{"method":"voucher","code":1,"stamps":1}', b'{"method":"card","code":"","stamps":1}', b"\xff" * 9,
     b'{"method":"voucher","code":"x","stamps":1,"tip":1}', b'{"method":"voucher","code":"x","stamps":0}',
     b'{"method":"voucher","code":"x","stamps":-3}', b'{"method":"voucher","code":"x","stamps":1000000001}', b"[" * 60_000,
     b'{"method":"voucher","code":"\xff","stamps":1}'],
    ids=["empty", "cut off", "a list", "incomplete", "wrong type", "unknown method", "not text", "unknown key", "none", "fewer than none", "too many", "deep", "text that is none"],
)  # fmt: skip
def test_a_body_that_is_none_of_ours_is_a_problem_and_not_an_error(tell, body):
    async def story(office):
        await opened(office)
        status, problem, media_type = await office.ask(
            "POST", "/v1/purchases", data=body, headers=signed(office, "POST", "/v1/purchases", body)
        )

        assert (status, problem["reason"], media_type) == (400, "malformed", "application/problem+json")
        assert office.log == []

    tell(story)


def test_a_problem_says_which_key_was_wrong(tell):
    async def story(office):
        await opened(office)
        body = b'{"method":"voucher","code":"x","stamps":"many"}'
        _, problem, _ = await office.ask(
            "POST", "/v1/purchases", data=body, headers=signed(office, "POST", "/v1/purchases", body)
        )

        assert "stamps" in problem["detail"]

    tell(story)


@pytest.mark.parametrize("address", ["nobody", "postmaster", "a@b@c", "ann@sender..example"])
def test_an_address_that_is_none_opens_nothing(tell, address):
    async def story(office):
        body = opening(address=address)
        status, problem, _ = await office.ask(
            "POST", "/v1/accounts", data=body, headers=signed(office, "POST", "/v1/accounts", body)
        )

        assert (status, problem["reason"]) == (400, "malformed")

    tell(story)


def test_a_body_without_end_is_not_read_to_its_end(tell):
    async def story(office):
        status, problem, _ = await office.ask("POST", "/v1/purchases", data=b"x" * 100_000)

        assert (status, problem["reason"]) == (413, "too-large")

    tell(story)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("DELETE", "/v1/purchases", 405)])
def test_what_is_not_there_is_a_problem_too(tell, method, path, status):
    async def story(office):
        got, problem, media_type = await office.ask(method, path)

        assert (got, problem["status"], media_type) == (status, status, "application/problem+json")

    tell(story)


def test_our_own_mistake_is_written_down_and_not_told(tell):
    async def story(office):
        async def broken(_):
            raise RuntimeError("the password is swordfish")

        office.ledger.account = broken
        status, problem, _ = await office.ask("GET", "/healthz")

        assert (status, problem["reason"]) == (500, "internal")
        assert "swordfish" not in json.dumps(problem)
        assert "swordfish" in str(office.log[0][1]["exc_info"])

    tell(story)


def test_the_api_describes_itself(tell):
    async def story(office):
        status, document, _ = await office.ask("GET", "/v1/openapi.json")

        assert status == 200
        assert document["openapi"].startswith("3.1")
        opening = document["paths"]["/v1/accounts"]["post"]
        assert "OpenRequest" in json.dumps(opening["requestBody"])
        assert "application/problem+json" in opening["responses"]["429"]["content"]
        assert opening["security"] == [{"sender": []}]

    tell(story)


def test_a_statement_comes_in_pages(tell, monkeypatch):
    monkeypatch.setattr(senders, "PAGE_MAX", 2)

    async def story(office):
        account = await opened(office)
        for number in range(5):
            await office.ledger.credit(account, 1, f"gift {number}", now=NOW)
        async with office.client() as client:
            entries = await client.entries()

        assert [entry.detail for entry in entries] == [f"gift {number}" for number in range(5)]
        assert [entry.balance for entry in entries] == [1, 2, 3, 4, 5]
        assert entries[0].at == "2026-11-18T11:06:40Z"

    tell(story)


@pytest.mark.parametrize("after", ["-1", "x", "9" * 30])
def test_a_page_that_cannot_be_is_a_problem(tell, after):
    async def story(office):
        await opened(office)
        path = f"/v1/accounts/me/entries?after={after}"
        status, problem, _ = await office.ask("GET", path, headers=signed(office, "GET", path))

        assert (status, problem["reason"]) == (400, "malformed")

    tell(story)


def test_a_purchase_that_is_sent_again_is_told_what_it_was(tell):
    async def story(office):
        account = await opened(office)
        [code] = await office.office.create_vouchers(10, 1)
        body = f'{{"method":"voucher","code":"{code}","stamps":10}}'.encode()
        answers = []
        for _ in range(2):
            headers = signed(office, "POST", "/v1/purchases", body) | {"Idempotency-Key": "mine"}
            answers.append(await office.ask("POST", "/v1/purchases", data=body, headers=headers))
            await office.ledger.credit(account, 5, "meanwhile", now=office.now)
        assert answers[0][:2] == answers[1][:2] == (201, {"bought": 10, "available": 10})
        other = body.replace(b":10}", b":11}")
        headers = signed(office, "POST", "/v1/purchases", other) | {"Idempotency-Key": "mine"}
        status, problem, _ = await office.ask("POST", "/v1/purchases", data=other, headers=headers)
        assert (status, problem["reason"]) == (422, "key-reused")

    tell(story)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "\u00e9"])
def test_an_idempotency_key_out_of_form_is_named(tell, key):
    async def story(office):
        await opened(office)
        body = b'{"method":"voucher","code":"x","stamps":1}'
        headers = signed(office, "POST", "/v1/purchases", body) | {"Idempotency-Key": key}
        status, problem, _ = await office.ask("POST", "/v1/purchases", data=body, headers=headers)
        assert status == 400
        assert "idempotency" in problem["detail"].lower()

    tell(story)


def test_every_body_that_is_described_comes_with_an_example_that_is_taken(tell):
    async def story(office):
        _, document, _ = await office.ask("GET", "/v1/openapi.json")
        bodies = {
            path: operation["requestBody"]["content"]["application/json"]
            for path, item in document["paths"].items()
            for operation in item.values()
            if "requestBody" in operation
        }
        kinds = {
            "/v1/accounts": messages.OpenRequest,
            "/v1/accounts/me/receipts": messages.ReceiptsRequest,
            "/v1/purchases": messages.PurchaseRequest,
            "/v1/receivers/me/domains": messages.DomainRequest,
            "/v1/redemptions/hold": redemptions.HoldRequest,
            "/v1/redemptions/settle": redemptions.SettleRequest,
            "/v1/redemptions/void": redemptions.VoidRequest,
        }
        assert bodies.keys() == kinds.keys()
        for path, kind in kinds.items():
            examples = bodies[path]["schema"]["examples"]
            assert examples
            for example in examples:
                assert msgspec.convert(example, kind)

    tell(story)

"""Whatever stands in a request, both back ends answer it alike, and never with a mistake of ours."""

import asyncio
import json
import os

import pytest
from tests.support.office_at_work import ANN, OfficeAtWork
from tests.support.postgres import any_version
from tests.support.stationery import ISSUER, NOW

from pennyred.http import tokens
from pennyred.office.ledger.postgresql import PostgresLedger
from pennyred.office.ledger.sqlite import SqliteLedger
from pennyred.postage.encoding import encode_base64

TEXTS = (
    "", " ", "\0", "a\0b", "\x01", "\x7f", "é", "ß", "\u202e", "\ufffe", "\U0010ffff", "%00", "'; DROP TABLE account; --",
    "\\", "x" * 300, "x" * 8192, "receiver:acme", "office:sales", "receiver:a\0b", "a\0b@x.example", "*", "[]",
)  # fmt: skip
NUMBERS = (-1, 0, 1, 2**31 - 1, 2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64, 10**400, 1.5, True, None, "1")
RAW = (
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\xc0\x80"',
    b"[]",
    b"{}",
    b"nonsense",
    b"NaN",
    b"1e999",
)
"""What is no text, or no JSON, wherever a text is wanted."""
_HASH = encode_base64(bytes(32)).decode()
_SERIAL = encode_base64(bytes(16)).decode()
_STAMP = {"issuer": ISSUER, "account": "aaaaaaaaaaaaaaaa", "expiry_day": 20790, "serial": _SERIAL, "letter": _HASH}
BODIES = {
    "/v1/accounts": {"address": "ann@sender.example", "key": encode_base64(ANN.public).decode()},
    "/v1/purchases": {"method": "voucher", "code": "PENNY-AAAAA-AAAAA-AAAAA-AAAAA", "stamps": 1},
    "/v1/accounts/me/receipts": {"stamps": [{"expiry_day": 20790, "serial": _SERIAL}]},
    "/v1/receivers/me/domains": {"domain": "new.example"},
    "/v1/redemptions/hold": {
        "holds": [{"tx": _SERIAL, "group": 0, "stamp": "v=1;", "domain": "x.example", "letter": _HASH}],
        "lease_seconds": 60,
    },
    "/v1/redemptions/settle": {"settles": [_STAMP]},
    "/v1/redemptions/void": {"voids": [_STAMP | {"tx": _SERIAL}]},
}
HEADERS = {"Idempotency-Key": TEXTS, "X-Request-Id": TEXTS}


def places(value, path=()):
    """Where a body has texts and numbers."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))
    else:
        yield path, value


def replaced(value, path, new):
    """The same body with something else there."""
    if not path:
        return new
    inner = replaced(value[path[0]], path[1:], new)
    return {**value, path[0]: inner} if isinstance(value, dict) else [inner]


def bodies():
    """Every route with every strange value at every place."""
    for path, body in BODIES.items():
        yield path, json.dumps(body).encode()
        for place, value in places(body):
            for strange in TEXTS if isinstance(value, str) else NUMBERS:
                yield path, json.dumps(replaced(body, place, strange)).encode()
            for raw in RAW:
                yield path, json.dumps(replaced(body, place, "HERE")).encode().replace(b'"HERE"', raw)


class Asked:
    """One office over one back end, and what it answered."""

    def __init__(self, folder, ledger):
        self.office = OfficeAtWork(folder, ledger=ledger)
        self.found = {}

    async def answers(self):
        async with self.office.on_the_web():
            office = self.office.office
            account, _ = await office.open_account("ann@sender.example", ANN.public)
            await office.ledger.credit(account.id, 10, "test", now=NOW)
            self.token = (await office.add_receiver("acme", ["x.example"])).token
            for number, (path, body) in enumerate(bodies()):
                await self.note((path, body), number, "POST", path, body)
            for number, strange in enumerate((*TEXTS, *map(str, NUMBERS))):
                for path in ("/v1/accounts/me/entries", "/v1/revocations"):
                    query = f"{path}?after={quoted(strange)}"
                    await self.note(query, number, "GET", query, b"")
            for name, texts in HEADERS.items():
                for number, text in enumerate(text for text in texts if text.isprintable() and len(text) < 1000):
                    body = json.dumps(BODIES["/v1/purchases"]).encode()
                    await self.note((name, text), number, "POST", "/v1/purchases", body, {name: text})
        return self.found

    async def note(self, what, number, method, path, body, headers=None):
        self.office.now = NOW + 60 * number  # so that nobody asks too often
        token = self.token
        if not path.startswith(("/v1/redemptions/", "/v1/receivers/")):
            request = tokens.Request(ISSUER, method, path, body)
            token = tokens.make_token(ANN, request, now=self.office.now, random=os.urandom(16))
        status, document, _ = await self.office.ask(
            method, path, data=body,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json", **(headers or {})},
        )  # fmt: skip
        assert status < 500, (what, document, self.office.log)
        if status >= 400:
            document = {name: value for name, value in document.items() if name != "instance"}
        self.found[what] = (status, document if status >= 400 or path.startswith("/v1/redemptions") else None)


def quoted(text):
    return "".join(f"%{octet:02X}" for octet in text.encode())


@pytest.fixture
def postgres_url(request):
    return request.getfixturevalue("postgres_database")(any_version())


@pytest.mark.long
def test_both_back_ends_answer_strange_texts_and_numbers_alike_and_by_name(tmp_path, postgres_url):
    async def story():
        (tmp_path / "sqlite").mkdir()
        (tmp_path / "postgresql").mkdir()
        one = SqliteLedger.open(tmp_path / "ledger.db", now=NOW)
        other = await PostgresLedger.open(postgres_url, now=NOW)
        try:
            found = await Asked(tmp_path / "sqlite", one).answers()
            assert await Asked(tmp_path / "postgresql", other).answers() == found
        finally:
            await one.close()
            await other.close()
        assert {status for status, _ in found.values()} >= {200, 400}
        assert all(document["reason"] for status, document in found.values() if status >= 400)

    asyncio.run(story())

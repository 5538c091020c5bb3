"""The API keeps to what it says of itself: whatever is sent, no server error, and no answer out of the description."""

import asyncio
import os
from types import SimpleNamespace

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.support.loopback_office import ISSUER, LoopbackOffice
from tests.support.office_at_work import ANN
from tests.support.postgres import any_version

from pennyred.gate.memory.store import GateState
from pennyred.http import tokens
from pennyred.programs.ledger.opening import migrate
from pennyred.programs.mirroring import open_mirror

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 150


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office(request, tmp_path_factory):
    """On the web, over each back end, with Ann's account and a receiver."""
    folder = tmp_path_factory.mktemp("office")
    ledger = folder / "ledger.db"
    if request.param == "postgresql":
        ledger = request.getfixturevalue("postgres_servers")(any_version()).new_database()
    asyncio.run(migrate(ledger))
    with LoopbackOffice(folder, ledger=ledger) as running:

        async def prepare():
            account, _ = await running.office.open_account("ann@sender.example", ANN.public)
            await running.office.ledger.credit(account.id, 10, "test", now=running.office.now)
            return (await running.office.add_receiver("acme", ["example.org"])).token

        token, state = running.do(prepare()), GateState.open(folder / "gate.db", now=running.office.now)
        open_mirror("mirror@post.example.org", running.office, state)
        yield SimpleNamespace(url=running.url, office=running.office, token=token)
        running.do(state.close())


@pytest.fixture(scope="module")
def described(office):
    return schemathesis.openapi.from_url(f"{office.url}/v1/openapi.json")


class Signed(requests.auth.AuthBase):
    """As the route wants it: Ann's signature, or the receiver's token."""

    def __init__(self, office):
        self.office = office

    def __call__(self, request):
        token = self.office.token
        if not request.path_url.startswith(("/v1/redemptions/", "/v1/receivers/")):
            body = request.body or b""
            body = body if isinstance(body, bytes) else body.encode()
            what = tokens.Request(ISSUER, request.method, request.path_url, body)
            token = tokens.make_token(ANN, what, now=self.office.office.now, random=os.urandom(16))
        request.headers["Authorization"] = f"Bearer {token}"
        return request


def each_case(described, examples, check):
    """Cases of every route that the description has."""
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) >= 12
    for operation in operations:
        strategy = st.one_of(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=strategy)
        def one_route(case):
            check(case)

        one_route()


@pytest.mark.long
def test_nothing_that_is_sent_breaks_it_or_its_description(described, office):
    each_case(
        described,
        EXAMPLES,
        lambda case: case.call_and_validate(auth=Signed(office), checks=CHECKS, timeout=30),
    )


def test_strangers_get_nothing_but_what_is_for_everybody(described):
    """429 is nothing too: the office limits what one network asks in a minute, and the test above has asked before.

    Nor is 404, to whoever guesses a token.
    """

    def check(case):
        answer = case.call(timeout=30)
        is_for_everybody = not case.operation.definition.raw.get("security")
        found = (404, 400) if "{token}" in case.operation.path else (200, 400)
        assert answer.status_code in (found if is_for_everybody else (400, 401, 413, 429))

    each_case(described, 3, check)

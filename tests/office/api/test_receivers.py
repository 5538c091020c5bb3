"""The office as gates elsewhere meet it, over a real socket: by the gate's own client, and by strangers."""

import asyncio
import io
import json
from contextlib import asynccontextmanager

import msgspec
import pytest
from tests.support.desk import Lines
from tests.support.office_at_work import ANN, OfficeAtWork
from tests.support.replacing import replace
from tests.support.stationery import LETTER, NOW, Stationery

from pennyred.gate.issuers.asking import Asker, Patience
from pennyred.gate.issuers.http import HttpRedeemer
from pennyred.http import redemptions, tokens
from pennyred.office import checking
from pennyred.postage.errors import Unavailable
from pennyred.postage.proofs.receipt import holds, parse_receipt
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldOutcome, SettleOutcome, VoidOutcome

BOB = "bob@example.org"
LEASE = 60
PATIENT = Patience(deadline_seconds=60, attempt_seconds=30, pause_seconds=0.01)
"""Else a slow machine would ask twice, and hear `renewed`."""


@pytest.fixture
def tell(tmp_path):
    """Run a story with an office on the web, two receivers of it and a sender with a hundred stamps."""

    async def run(story):
        work = OfficeAtWork(tmp_path)
        paper = Stationery()
        for name, domain in (("acme", "example.org"), ("other", "example.net")):
            setattr(work, name, (await work.office.add_receiver(name, [domain])).token)
        await work.ledger.open_account(paper.account, "ann@sender.example", paper.sender_key.public, 1000, now=NOW)
        await work.ledger.credit(paper.account, 100, "test", now=NOW)
        work.paper = paper
        try:
            async with work.on_the_web():
                await story(work)
        finally:
            work.office.close()

    return lambda story: asyncio.run(asyncio.wait_for(run(story), 60))


@asynccontextmanager
async def gate(work, token=None):
    asker = Asker(work.url, token or work.acme, Lines(), patience=PATIENT)
    way = HttpRedeemer(asker)
    way.start()
    try:
        yield way
    finally:
        await way.close()


def hold_of(work, number=1, to=BOB, letter=None, **changes) -> Hold:
    stamp = work.paper.stamp(LETTER, to, **changes)
    return Hold(number.to_bytes(16, "big"), 0, stamp, to.partition("@")[2], letter or number.to_bytes(32, "big"))


async def post(work, verb, document, token=None, **options):
    headers = {"Authorization": f"Bearer {token or work.acme}", "Content-Type": "application/json"}
    return await work.ask(
        "POST", f"/v1/redemptions/{verb}", data=io.BytesIO(json.dumps(document).encode()), headers=headers, **options
    )


def test_a_stamp_is_held_and_settled_once_by_the_gates_own_client(tell):
    async def story(work):
        async with gate(work) as way:
            held = hold_of(work)
            assert [one.outcome for one in await way.hold([held], lease_seconds=LEASE)] == [HoldOutcome.HELD]
            assert [one.outcome for one in await way.hold([held], lease_seconds=LEASE)] == [HoldOutcome.RENEWED]
            assert await way.settle([held.settle()]) == [SettleOutcome.SETTLED]
            assert await way.settle([held.settle()]) == [SettleOutcome.ALREADY_SETTLED]
        account = await work.ledger.account(work.paper.account)
        assert (account.balance, account.held) == (99, 0)

    tell(story)


def test_only_the_receiver_that_holds_a_stamp_settles_or_voids_it(tell):
    async def story(work):
        held = hold_of(work)
        async with gate(work) as way, gate(work, work.other) as stranger:
            await way.hold([held], lease_seconds=LEASE)
            assert await stranger.settle([held.settle()]) == [SettleOutcome.WRONG_RECEIVER]
            assert await stranger.settle([held.settle().without_stamp()]) == [SettleOutcome.NO_SUCH_HOLD]
            assert await stranger.void([held.void()]) == [VoidOutcome.NOT_HELD]
            assert await way.void([held.void()]) == [VoidOutcome.VOIDED]

    tell(story)


def test_a_receiver_redeems_for_its_own_domains_only(tell):
    async def story(work):
        async with gate(work, work.other) as stranger:
            [answer] = await stranger.hold([hold_of(work)], lease_seconds=LEASE)
            assert answer.outcome is HoldOutcome.WRONG_RECEIVER

    tell(story)


def test_of_a_gate_nothing_is_believed(tell):
    """A stamp for another domain, one whose sender has not signed it, one that nobody has licensed."""

    async def story(work):
        forger = Stationery(sender_key=ANN)
        stranger = Stationery(office_key=ANN)
        async with gate(work) as way:
            right = hold_of(work)
            wrong_domain = Hold(right.tx, 0, work.paper.stamp(LETTER, "bob@example.net"), "example.org", right.letter)
            unlicensed = Hold(right.tx, 0, stranger.stamp(LETTER, BOB), "example.org", right.letter)
            for hold, said in (
                (wrong_domain, (HoldOutcome.WRONG_RECEIVER, "")),
                (unlicensed, (HoldOutcome.INVALID, "bad-licence")),
            ):
                [answer] = await way.hold([hold], lease_seconds=LEASE)
                assert (answer.outcome, answer.reason) == said
            forged = Hold(right.tx, 0, forger.stamp(LETTER, BOB), "example.org", right.letter)
            [answer] = await way.hold([forged], lease_seconds=LEASE)
            assert not answer.outcome.is_held  # a licence for another key than the account's

    tell(story)


def test_a_stamp_asked_about_with_its_flaw_is_never_held_and_one_that_paid_is_told(tell):
    """Also where nothing is wrong with it, where its licence is nobody's, and by a name not known here."""

    async def story(work):
        async with gate(work) as way:
            paid, unlicensed = hold_of(work), Stationery(office_key=ANN).stamp(LETTER, BOB)
            await way.hold([paid], lease_seconds=LEASE)
            await way.settle([paid.settle()])
            for flaw in (Reason.UNDERPAID, Reason.BAD_LICENCE, Reason.ALTERED_BODY, Reason.EXPIRED):
                [answer] = await way.hold([replace(paid, flaw=flaw)], lease_seconds=LEASE)
                assert answer.outcome is HoldOutcome.ALREADY_SETTLED
                for stamp in (work.paper.stamp(LETTER, BOB), unlicensed):
                    [answer] = await way.hold([replace(hold_of(work, 2), stamp=stamp, flaw=flaw)], lease_seconds=LEASE)
                    assert not answer.outcome.is_held
                [answer] = await way.hold([replace(paid, letter=bytes(32), flaw=flaw)], lease_seconds=LEASE)
                assert answer.outcome in (HoldOutcome.INVALID, HoldOutcome.EXPIRED)
            item = redemptions.write_hold(replace(hold_of(work, 3), flaw=Reason.UNDERPAID))
            document = {"holds": [msgspec.to_builtins(item) | {"flaw": "a word of tomorrow"}]}
            status, said, _ = await post(work, "hold", document)
            assert (status, said["outcomes"][0]["outcome"]) == (200, "invalid")
        account = await work.ledger.account(work.paper.account)
        assert (account.balance, account.held) == (99, 0)

    tell(story)


def test_with_a_flaw_as_without_a_receiver_is_told_nothing_of_other_domains(tell):
    async def story(work):
        held = hold_of(work)
        async with gate(work) as way, gate(work, work.other) as stranger:
            await way.hold([held], lease_seconds=LEASE)
            for hold in (held, replace(held, domain="example.net")):
                [answer] = await stranger.hold([replace(hold, flaw=Reason.UNDERPAID)], lease_seconds=LEASE)
                assert answer.outcome is HoldOutcome.WRONG_RECEIVER

    tell(story)


def test_a_settlement_comes_with_a_receipt_and_spent_with_the_one_of_the_first_use(tell):
    async def story(work):
        held = hold_of(work)
        again = Hold(b"z" * 16, 0, held.stamp, "example.org", b"z" * 32)
        async with gate(work) as way:
            await way.hold([held], lease_seconds=LEASE)
        item = redemptions.write_settle(held.settle())
        _, answer, _ = await post(work, "settle", {"settles": [to_dict(item)] * 2})
        texts = [one["receipt"] for one in answer["outcomes"]]
        assert [one["outcome"] for one in answer["outcomes"]] == ["settled", "already-settled"]
        receipt = parse_receipt(texts[0].encode())
        assert texts[0] == texts[1]
        assert holds(receipt, work.office.keys.public_keys)
        use = receipt.sealed.use
        assert (use.serial, use.receiver, use.domain, use.letter) == (
            held.stamp.serial, "acme", "example.org", held.letter,
        )  # fmt: skip

        _, answer, _ = await post(work, "hold", {"holds": [to_dict(redemptions.write_hold(again))]})
        [spent] = answer["outcomes"]
        assert spent["outcome"] == "spent"
        assert spent["first_use"]["receipt"] == texts[0]

    tell(story)


def to_dict(struct):
    import msgspec

    return msgspec.to_builtins(struct)


def test_a_token_that_nobody_has_is_refused_and_so_is_a_senders_signature(tell):
    async def story(work):
        body = b'{"holds":[]}'
        request = tokens.Request("post.example.org", "POST", "/v1/redemptions/hold", body)
        jwt = tokens.make_token(work.paper.sender_key, request, now=NOW, random=b"r" * 16)
        for token in ("0" * 64, jwt, "x" * 5000, "é"):
            status, problem, _ = await post(work, "hold", {"holds": []}, token=token)
            assert (status, problem["reason"]) == (401, "bad-token")
        status, problem, _ = await work.ask("POST", "/v1/redemptions/hold", data=body)
        assert status == 401

    tell(story)


@pytest.mark.parametrize("route", [("GET", "/v1/accounts/me"), ("GET", "/v1/accounts/me/entries"),
    ("POST", "/v1/accounts"), ("POST", "/v1/accounts/me/licence"), ("POST", "/v1/purchases"),
    ("POST", "/v1/accounts/me/receipts")])  # fmt: skip
def test_a_receivers_token_does_nothing_of_a_senders(tell, route):
    bodies = {
        "/v1/accounts": {"address": "eve@example.com", "key": "AAAA"},
        "/v1/purchases": {"method": "voucher", "code": "x", "stamps": 1},
        "/v1/accounts/me/receipts": {"stamps": []},
    }

    async def story(work):
        method, path = route
        headers = {"Authorization": f"Bearer {work.acme}"}
        status, problem, _ = await work.ask(method, path, json=bodies.get(path), headers=headers)
        assert (status, problem["reason"]) == (401, "bad-token")

    tell(story)


def test_every_route_is_for_somebody_and_says_so(tell):
    """A new route must be put into this list, and into the tests of who may use it."""

    async def story(work):
        _, document, _ = await work.ask("GET", "/v1/openapi.json")
        said = {
            (method.upper(), path): sorted(name for one in operation.get("security") or [] for name in one)
            for path, item in document["paths"].items()
            for method, operation in item.items()
        }
        sender, receiver = ["sender"], ["receiver"]
        assert said == {
            ("GET", "/.well-known/pennyred"): [],
            ("GET", "/healthz"): [],
            ("GET", "/v1/totals"): [],
            ("GET", "/v1/revocations"): [],
            ("POST", "/v1/accounts"): sender,
            ("GET", "/v1/accounts/me"): sender,
            ("GET", "/v1/accounts/me/entries"): sender,
            ("POST", "/v1/accounts/me/licence"): sender,
            ("POST", "/v1/accounts/me/receipts"): sender,
            ("POST", "/v1/purchases"): sender,
            ("POST", "/v1/probes"): sender,
            ("GET", "/v1/probes/{token}"): [],
            ("GET", "/probes/{token}"): [],
            ("POST", "/v1/receivers/me/domains"): receiver,
            ("POST", "/v1/redemptions/hold"): receiver,
            ("POST", "/v1/redemptions/settle"): receiver,
            ("POST", "/v1/redemptions/void"): receiver,
        }

    tell(story)


def test_a_request_out_of_form_or_without_end_changes_nothing(tell):
    async def story(work):
        item = to_dict(redemptions.write_hold(hold_of(work)))
        for document, status in (
            ({"holds": [{**item, "stamp": "v=1;"}]}, 400),
            ({"holds": [{**item, "domain": "EXAMPLE.ORG"}]}, 400),
            ({"holds": [{**item, "tx": "AAAA"}]}, 400),
            ({"holds": [item] * (redemptions.ITEMS_MAX + 1)}, 400),
            ({"holds": [], "lease_seconds": 0}, 400),
            ({"holds": [], "padding": "x"}, 400),
            ({"holds": [], "padding": "x" * redemptions.BODY_BYTES_MAX}, 413),
            ([], 400),
        ):
            assert (await post(work, "hold", document))[0] == status
        assert (await work.ledger.account(work.paper.account)).held == 0

    tell(story)


def test_a_ledger_that_is_silent_or_a_crowd_is_for_later(tell, monkeypatch):
    async def story(work):
        held = hold_of(work)
        monkeypatch.setattr(checking, "STAMPS_WAITING_MAX", 0)
        status, problem, _ = await post(work, "hold", {"holds": [to_dict(redemptions.write_hold(held))]})
        assert (status, problem["reason"]) == (503, "office-unreachable")
        monkeypatch.undo()

        async def silent(*_, **__):
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, "secret")

        work.office.ledger.hold = silent
        status, problem, _ = await post(work, "hold", {"holds": [to_dict(redemptions.write_hold(held))]})
        assert (status, problem["reason"]) == (503, "ledger-unavailable")
        assert "secret" not in problem["detail"]

    tell(story)


def test_a_request_has_one_name_in_its_answer_its_problem_and_the_log(tell):
    async def story(work):
        import aiohttp

        async with aiohttp.ClientSession() as session:
            for asked, is_taken in (("trace-0123456789", True), ("x\ty", False), ("short", False)):
                headers = {"X-Request-Id": asked}
                async with session.get(work.url + "/v1/accounts/me", headers=headers) as response:
                    name = response.headers["X-Request-Id"]
                    assert (name == asked) is is_taken
                    assert (await response.json(content_type=None))["instance"] == f"urn:request:{name}"

            async def broken(*_, **__):
                raise ValueError("a mistake")

            work.office.ledger.head = broken
            async with session.get(work.url + "/v1/totals", headers={"X-Request-Id": "trace-9876543210"}) as response:
                assert response.status == 500
        [(_, fields)] = work.log
        assert fields["request"] == "trace-9876543210"

    tell(story)


PROOF = "v=pennyred1; o=post.example.org; r=other"


def prove(work, domain, token):
    headers = {"Authorization": f"Bearer {token}"}
    return work.ask("POST", "/v1/receivers/me/domains", json={"domain": domain}, headers=headers)


def test_a_receiver_redeems_for_a_domain_whose_dns_names_it(tell):
    async def story(work):
        status, problem, _ = await prove(work, "Example.ORG", work.other)
        assert (status, problem["reason"]) == (403, "domain-not-proved")
        assert f'_postage.example.org. IN TXT "{PROOF}"' in problem["detail"]
        work.dns["_postage.example.org"] = ["v=spf1 -all", PROOF]
        status, view, _ = await prove(work, "Example.ORG", work.other)
        assert (status, view) == (200, {"receiver": "other", "domains": ["example.net", "example.org"]})
        async with gate(work, work.other) as way:
            [answer] = await way.hold([hold_of(work)], lease_seconds=LEASE)
            assert answer.outcome is HoldOutcome.HELD

    tell(story)


@pytest.mark.parametrize("record", [PROOF.replace("other", "acme"), PROOF.replace("post.", "evil."), "r=other", ""])
def test_a_record_for_somebody_else_proves_nothing(tell, record):
    async def story(work):
        work.dns["_postage.example.org"] = [record]
        status, problem, _ = await prove(work, "example.org", work.other)
        assert (status, problem["reason"]) == (403, "domain-not-proved")

    tell(story)


def test_a_dns_that_does_not_answer_is_for_later_and_asking_has_an_end(tell):
    async def story(work):
        work.dns["_postage.example.org"] = Unavailable(Reason.OFFICE_UNREACHABLE, "no answer")
        status, _, _ = await prove(work, "example.org", work.other)
        assert status == 503
        statuses = [(await prove(work, f"x{number}.example", work.other))[0] for number in range(20)]
        assert (statuses[0], statuses[-1]) == (403, 429)

    tell(story)


def test_a_key_for_two_different_requests_is_a_slip_and_told_so(tell):
    async def story(work):
        headers = {"Authorization": f"Bearer {work.acme}", "Idempotency-Key": "one"}
        held = {"holds": [to_dict(redemptions.write_hold(hold_of(work)))]}
        for document, status in ((held, 200), (held, 200), ({"holds": []}, 422)):
            assert (await work.ask("POST", "/v1/redemptions/hold", json=document, headers=headers))[0] == status
        other = {**headers, "Authorization": f"Bearer {work.other}"}
        assert (await work.ask("POST", "/v1/redemptions/hold", json={"holds": []}, headers=other))[0] == 200

    tell(story)

"""An altered letter counts where its author is proven, waits where the DNS is silent, and asks nobody otherwise."""

import asyncio
from functools import wraps
from ipaddress import ip_network

import pytest
from tests.support.desk import DeskUnderTest
from tests.support.replacing import replace
from tests.support.stationery import LETTER, Stationery

from pennyred.gate.letterbox import Due, Later, Relay
from pennyred.gate.policy import Check
from pennyred.gate.rules.origin import Authentication
from pennyred.postage import verification
from pennyred.postage.reasons import Reason

BOB = "bob@example.org"
SIGNED = Authentication(author_domain="sender.example", is_author_signed=True)
BY_SPF = Authentication(author_domain="sender.example", domains=frozenset({"sender.example"}))
SILENT = Authentication(is_unsure=True, might_be_signed=True)
SIGNATURE = b"DKIM-Signature: v=1; d=sender.example; s=x; b=\r\n"


def scenario(coroutine):
    @wraps(coroutine)
    def run(*args, **kwargs):
        asyncio.run(coroutine(*args, **kwargs))

    return run


async def a_desk(found: Authentication, **policy) -> DeskUnderTest:
    desk = DeskUnderTest(**policy)
    desk.witness.found = found
    await desk.office.open(10)
    return desk


def footer(desk: DeskUnderTest) -> bytes:
    return desk.stationery.stamped(SIGNATURE + LETTER, BOB) + b"-- \r\nfooter\r\n"


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (SIGNED, Relay),
        (BY_SPF, Due(0, Reason.ALTERED_BODY, altered=("body",))),
        (Authentication(), Due(0, Reason.ALTERED_BODY, altered=("body",))),
        (SILENT, Later(Reason.DNS_UNAVAILABLE)),
    ],
    ids=["signed", "by SPF alone", "not at all", "the DNS is silent"],
)
@scenario
async def test_what_is_said_of_a_footer_hangs_on_who_is_proven(found, answer):
    desk = await a_desk(found)
    said, _ = await desk.present(footer(desk), BOB)
    assert isinstance(said, Relay) if answer is Relay else said == answer


@scenario
async def test_what_no_signature_could_prove_does_not_wait_for_the_dns():
    desk = await a_desk(SILENT)
    said, _ = await desk.present(desk.stationery.stamped(LETTER, BOB) + b"footer\r\n", BOB)
    assert said == Due(0, Reason.ALTERED_BODY, altered=("body",))


@pytest.mark.parametrize(
    "alter",
    [
        lambda letter: letter,
        lambda letter: letter.replace(b"<1@", b"<2@"),
        lambda letter: letter.replace(b"Subject: ", b"Subject: [EXTERNAL] "),
        lambda letter: letter.replace(b"ann@sender", b"ann@other"),
        lambda letter: letter.replace(b"<1@", b"<2@").replace(b"Tea", b"Pills").replace(b"Shall", b"Buy"),
    ],
    ids=["unaltered", "Message-ID", "tag", "author", "another letter"],
)
@scenario
async def test_the_dns_is_asked_only_where_that_makes_a_difference(alter):
    desk = await a_desk(SIGNED)
    await desk.present(alter(desk.stationery.stamped(SIGNATURE + LETTER, BOB)), BOB)
    assert True not in desk.witness.asked
    await desk.present(footer(desk), BOB)
    assert desk.witness.asked[-1] is True


@scenario
async def test_a_gate_that_is_never_to_ask_asks_not_even_then():
    desk = await a_desk(SIGNED, check=Check.NEVER)
    said, _ = await desk.present(footer(desk), BOB)
    assert (said, desk.witness.asked) == (Due(0, Reason.ALTERED_BODY, altered=("body",)), [])


def changed(letter: bytes) -> bytes:
    """Another text, under a Subject of the thief's."""
    return letter.replace(b"Subject: Tea", b"Subject: Pills")


def of_another_key(paper: Stationery) -> Stationery:
    """Who has a letter of Ann's has her licence; not the key that it is for."""
    licence = paper.licence()
    thief = replace(paper, sender_key=paper.office_key)
    thief.licence = lambda **_: licence
    return thief


FORGERS = {
    "of another key": of_another_key,
    "without a licence": lambda paper: replace(paper, office_key=paper.sender_key),
    "of an office that nobody has heard of": lambda paper: replace(paper, issuer="post.evil.example"),
}


@pytest.mark.parametrize("forger", FORGERS.values(), ids=FORGERS)
@pytest.mark.parametrize("alter", [lambda letter: letter + b"footer\r\n", changed], ids=["text", "subject"])
@scenario
async def test_nobody_has_the_dns_asked_by_a_stamp_that_does_not_hold(alter, forger):
    for found in (SILENT, SIGNED):
        desk = await a_desk(found)
        said, _ = await desk.present(alter(forger(desk.stationery).stamped(SIGNATURE + LETTER, BOB)), BOB)
        assert isinstance(said, Due)
        assert True not in desk.witness.asked


@pytest.mark.parametrize("alter", [lambda letter: letter + b"footer\r\n", changed], ids=["text", "subject"])
@scenario
async def test_each_forged_stamp_that_was_looked_at_for_it_is_counted(alter):
    desk = await a_desk(SIGNED)
    forged = alter(of_another_key(desk.stationery).stamped(SIGNATURE + LETTER, BOB))
    said = [(await desk.present(forged, BOB))[0] for _ in range(8)]
    assert {type(one) for one in said[:5]} == {Due}
    assert said[5:] == [Later(Reason.TOO_MANY_BAD_STAMPS)] * 3


@scenario
async def test_a_letter_with_a_thousand_forged_stamps_costs_no_more_than_a_few(monkeypatch):
    checks = []
    verify = verification.verify
    monkeypatch.setattr(verification, "verify", lambda *arguments: checks.append(1) or verify(*arguments))
    desk = await a_desk(SIGNED)
    many = [f"b{number}@example.org" for number in range(50)]
    await desk.present(changed(of_another_key(desk.stationery).stamped(LETTER, *many)), *many)
    assert len(checks) <= 12
    assert True not in desk.witness.asked


@scenario
async def test_a_letter_of_a_forwarders_which_is_free_does_not_wait_for_the_dns():
    desk = await a_desk(SILENT, forwarders={"old.example": (ip_network("198.51.100.0/24"),)})
    said, _ = await desk.present(footer(desk), BOB)
    assert (type(said), desk.witness.asked) == (Relay, [])

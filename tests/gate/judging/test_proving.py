"""An altered letter counts where its author is proven, waits where the DNS is silent, and asks nobody otherwise."""

import asyncio
from dataclasses import replace
from functools import wraps

import pytest
from tests.support.desk import DeskUnderTest
from tests.support.stationery import LETTER

from pennyred.gate.letterbox import Due, Later, Relay
from pennyred.gate.policy import Check
from pennyred.gate.rules.origin import Authentication
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


@scenario
async def test_a_stamp_of_another_keys_costs_its_letter_no_waiting():
    """A signature that does not hold is said before the DNS is waited for."""
    desk = await a_desk(SILENT)
    stranger = replace(desk.stationery, sender_key=desk.stationery.office_key)
    stamp = stranger.stamp(SIGNATURE + LETTER, BOB)
    forged = stamp.field().replace(b"b=", b"b=A", 1) + SIGNATURE + LETTER + b"footer\r\n"
    said, _ = await desk.present(forged, BOB)
    assert isinstance(said, Due)

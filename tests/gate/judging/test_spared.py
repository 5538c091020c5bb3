"""Which letters the state is not asked about: stamped ones whose every claim is proven, and of which it knows nothing."""

import asyncio

import pytest
from tests.gate.judging.test_secret_rows import PROOFS, Heard, letter, opened
from tests.support.desk import DeskUnderTest, Witness
from tests.support.stationery import NOW, Stationery

from pennyred.gate.letterbox import Relay
from pennyred.gate.memory.correspondents import Learned
from pennyred.gate.rules.origin import Authentication

BOB, DAN = "bob@example.org", "dan@example.org"
SENDER = "x@evil.example"
PROVEN = Authentication(
    domains=frozenset({"evil.example"}), sender_domain="evil.example", author_domain="evil.example",
    organisation="evil.example",
)  # fmt: skip
SIGNED_BY_ANOTHER = "DKIM-Signature: v=1; a=rsa-sha256; d=friend.example; s=x; h=from; bh=AAAA; b=AAAA"


async def asked(state, octets: bytes, to: str = DAN, *, proven=PROVEN, sender=SENDER, is_stamped=True, **policy):
    """What was asked about one letter, in order, and its answer."""
    desk = DeskUnderTest(**policy)
    await desk.office.open(5)
    events: list = []
    desk.judging.grant_book = Heard(state.grant_book, events)
    desk.desk.authenticator = Heard(Witness(proven), events)
    answer, _ = await desk.present(Stationery().stamped(octets, to) if is_stamped else octets, to, sender=sender)
    return [name for name, *_ in events], answer


def on(tmp_path, story):
    async def whole():
        state = await opened(tmp_path / "gate.db", ["correspondent"])
        try:
            return await story(state)
        finally:
            await state.close()

    return asyncio.run(whole())


def test_a_stamped_letter_of_a_proven_stranger(tmp_path):
    events, answer = on(tmp_path, lambda state: asked(state, letter(SENDER)))
    assert events == ["authenticate"]
    assert isinstance(answer, Relay)


@pytest.mark.parametrize(
    "case",
    [
        {"is_stamped": False},
        {"proven": Authentication()},
        {"proven": PROOFS["the DNS is silent"]},
        {"sender": "ann@friend.example"},
        {"sender": ""},
        {"octets": letter("ann@friend.example")},
        {"octets": letter(SENDER, "List-Id: <news.friend.example>")},
        {"octets": letter(SENDER, SIGNED_BY_ANOTHER)},
        {"to": BOB, "octets": letter("ann@friend.example"), "sender": "ann@friend.example", "proven": Authentication(
            domains=frozenset({"friend.example"}), sender_domain="friend.example", author_domain="friend.example")},
    ],
    ids=["unstamped", "nothing proven", "DNS silent", "another MAIL FROM", "from <>", "another From", "another's list",
         "another's signature", "a friend's"],
)  # fmt: skip
def test_all_others_are_asked_about_once(tmp_path, case):
    case = {"octets": letter(SENDER), **case}
    events, _ = on(tmp_path, lambda state: asked(state, **case))
    assert events.count("grants") == 1


def test_whatever_was_written_since_is_asked_for_and_counts(tmp_path):
    async def story(state):
        before, _ = await asked(state, letter(SENDER))
        await state.correspondents.learn([Learned(NOW // 86_400, (DAN,), (SENDER,))])
        desk_before, answer = await asked(state, letter(SENDER))
        return before, desk_before, answer

    before, after, answer = on(tmp_path, story)
    assert ("grants" in before, "grants" in after) == (False, True)
    assert isinstance(answer, Relay)

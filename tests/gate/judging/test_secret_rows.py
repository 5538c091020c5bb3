"""What our users have written down shows in no answer, in nothing that is asked, and so in no time, but to whom it is about.

Bob has rows of every kind, Dan has none, and Eve has some so that the book is in use. The same letters go to Bob and to
Dan: all that a sender could see or measure must be the same, unless the sender is proven to be who the row is about.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.desk import DeskUnderTest, Wants, Witness
from tests.support.dkim_keys import rsa_key, sign
from tests.support.dns_server import DnsServer
from tests.support.stationery import NOW, Stationery

from pennyred.gate.authentication.checker import Checker
from pennyred.gate.letterbox import Due, Later
from pennyred.gate.memory.correspondents import Learned
from pennyred.gate.memory.permits import Kind, Permit
from pennyred.gate.memory.store import GateState
from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.exemptions import Allowances, Exemptions, Mode
from pennyred.gate.rules.grants import Grant
from pennyred.gate.rules.origin import Authentication
from pennyred.gate.rules.permitaddress import mint_tag
from pennyred.postage.address import canonical_recipient
from pennyred.postage.reasons import Reason

DAY = NOW // 86_400
ROWS = {
    "correspondent": lambda state, user: state.correspondents.learn([Learned(DAY, (user,), ("ann@friend.example",))]),
    "thread": lambda state, user: state.correspondents.learn([Learned(DAY, (user,), (), (b"ours@example.org",))]),
    "domain": lambda state, user: state.permits.add(Permit(user, Kind.DOMAIN, "friend.example", added_day=DAY)),
    "address": lambda state, user: state.permits.add(Permit(user, Kind.ADDRESS, "ann@friend.example", added_day=DAY)),
    "list": lambda state, user: state.permits.add(Permit(user, Kind.LIST, "news.friend.example", added_day=DAY)),
    "network": lambda state, user: state.permits.add(
        Permit(user, Kind.ADDRESS, "ann@friend.example", "203.0.113.0/24", added_day=DAY)
    ),
    "window": lambda state, user: state.permits.expect(user, "friend.example", until=NOW + 3600, now=NOW),
}


def letter(author="ann@friend.example", *more: str, text: str = "Hello") -> bytes:
    fields = (f"From: {author}", "To: you", "Subject: Tea", "Date: Wed, 18 Nov 2026 10:00:00 +0000", *more)
    return "".join(f"{one}\r\n" for one in fields).encode() + f"\r\n{text}\r\n".encode()


CLAIMS = (
    "List-Id: <news.friend.example>",
    "DKIM-Signature: v=1; a=rsa-sha256; d=friend.example; s=x; h=from; bh=AAAA; b=AAAA",
    "In-Reply-To: <theirs@other.example>",
    "References: <a@b> <c@d>",
    "Auto-Submitted: auto-replied",
    "Content-Type: multipart/report; report-type=delivery-status; boundary=x",
)
PROOFS = {
    "nothing is proven": Authentication(),
    "another is proven": Authentication(
        domains=frozenset({"evil.example"}), sender_domain="evil.example", author_domain="evil.example",
        organisation="evil.example",
    ),
    "the DNS is silent": Authentication(is_unsure=True),
    "it is silent, and could prove nothing": Authentication(is_unsure=True, is_final=True),
    "another is proven, and the rest is silent": Authentication(
        domains=frozenset({"evil.example"}), sender_domain="evil.example", is_unsure=True
    ),
}  # fmt: skip


@dataclass
class Heard:
    """A book, an authenticator and counters that write down what they are asked, without names."""

    inner: Any
    events: list[Any] = field(default_factory=list)

    @property
    def is_in_use(self) -> bool:
        return self.inner.is_in_use

    @property
    def is_empty(self) -> bool:
        return self.inner.is_empty

    @property
    def can_spare(self) -> bool:
        return self.inner.can_spare

    def knows_nothing(self, *arguments) -> bool:
        """It asks nobody, so nothing is to be heard of it."""
        return self.inner.knows_nothing(*arguments)

    def __getattr__(self, name):
        async def asked(*arguments, **named):
            self.events.append((name, named.get("is_vital"), len(arguments[0]) if name == "grants" else None))
            return await getattr(self.inner, name)(*arguments, **named)

        return asked


async def transcript(state, user: str, case: dict, **policy) -> list[Any]:
    """All that a sender could see or measure of one letter, and of the RCPTs before it."""
    events: list[Any] = []
    desk = DeskUnderTest(**policy)
    await desk.office.open(5)
    desk.judging.grant_book = Heard(state.grant_book, events)
    desk.desk.authenticator = Heard(Witness(case["proven"]), events)
    desk.desk._allowances = Heard(desk.counters, events)
    octets = case["letter"]
    if case["is_stamped"]:
        octets = (
            Stationery().stamped(octets, user) if case["is_stamped"] == "good" else b"X-Postage-Stamp: x\r\n" + octets
        )
    to = [user.encode(), b"zoe@example.org"][: case["recipients"]]
    free = await desk.desk.free_recipients(case["sender"].encode(), "198.51.100.7", to)
    events.append(("rcpt", free))
    answer, server = await desk.present(octets, *(one.decode() for one in to), sender=case["sender"])
    said = answer if isinstance(answer, Due | Later) else type(answer).__name__
    return [*events, said, len(server.sent), desk.office.calls, len(desk.kept.letters)]


cases = st.fixed_dictionaries(
    {
        "letter": st.builds(
            lambda author, more, text: letter(author, *more, text=text),
            st.sampled_from(["ann@friend.example", "x@evil.example", "ann@friend.example, x@evil.example"]),
            st.sets(st.sampled_from(CLAIMS)).map(sorted),
            st.sampled_from(
                ["Hello", "Final-Recipient: rfc822; ann@friend.example", "Message-ID: <theirs@other.example>"]
            ),
        ),
        "proven": st.sampled_from(list(PROOFS.values())),
        "sender": st.sampled_from(["ann@friend.example", "x@evil.example", ""]),
        "is_stamped": st.sampled_from(["", "", "good", "garbled"]),
        "recipients": st.sampled_from([1, 1, 2]),
    }
)
policies = st.sampled_from(
    [
        {},
        {"mode": Mode.BULK, "allowances": Allowances(per_day=0)},
        {"mode": Mode.BULK},
        {"exemptions": Exemptions(senders={"partner.example": ()})},
    ]
)


async def opened(path, rows) -> GateState:
    state = GateState.open(path, now=NOW)
    await ROWS["correspondent"](state, "eve@example.org")
    for name in rows:
        await ROWS[name](state, "bob@example.org")
    await state.grant_book.grants([], Claims(), now=NOW)  # the worker has read in it before
    return state


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Runs coroutines over one state for all examples."""
    loop = asyncio.new_event_loop()
    state = loop.run_until_complete(opened(tmp_path_factory.mktemp("rows") / "gate.db", ROWS))
    yield lambda coroutine: loop.run_until_complete(coroutine(state))
    loop.run_until_complete(state.close())
    loop.close()


@given(case=cases, policy=policies)
@settings(deadline=None)
def test_who_is_not_proven_sees_no_difference_between_who_knows_him_and_who_does_not(story, case, policy):
    async def both(state):
        return [await transcript(state, user, case, **policy) for user in ("bob@example.org", "dan@example.org")]

    of_bob, of_dan = story(both)
    assert of_bob == of_dan


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("proof", PROOFS)
@pytest.mark.parametrize("is_stamped", ["", "good"])
def test_nor_does_each_kind_of_row_by_itself(tmp_path, name, proof, is_stamped):
    """All the claims in one letter, so that nothing but the proof is missing."""
    more = [one for one in CLAIMS if "Auto" not in one and "report" not in one]
    text = "Final-Recipient: rfc822; ann@friend.example"
    octets = letter("ann@friend.example", *more, text=text)
    case = {"letter": octets, "proven": PROOFS[proof], "is_stamped": is_stamped}

    async def both():
        state = await opened(tmp_path / "gate.db", [name])
        try:
            return [
                await transcript(state, user, case | {"sender": sender, "recipients": 2})
                for sender in ("ann@friend.example", "x@evil.example", "")
                for user in ("bob@example.org", "dan@example.org")
            ]
        finally:
            await state.close()

    told = asyncio.run(both())
    assert told[::2] == told[1::2]


@pytest.mark.parametrize("name", [name for name in ROWS if name != "network"])
def test_and_who_is_proven_comes_free_where_he_is_known(tmp_path, name):
    """Else the tests above would hold for a gate that lets nobody in."""
    proven = Authentication(
        domains=frozenset({"friend.example"}), sender_domain="friend.example", author_domain="friend.example",
        organisation="friend.example",
    )  # fmt: skip
    octets = letter("ann@friend.example", CLAIMS[0], "In-Reply-To: <ours@example.org>")
    case = {"letter": octets, "proven": proven, "sender": "ann@friend.example", "is_stamped": "", "recipients": 1}

    async def both():
        state = await opened(tmp_path / "gate.db", [name])
        try:
            return [await transcript(state, user, case) for user in ("bob@example.org", "dan@example.org")]
        finally:
            await state.close()

    bob, dan = asyncio.run(both())
    assert "Relay" in bob
    assert Due(0, Reason.NO_STAMP) in dan


class TestAtRcpt:
    async def told(
        self, state, sender: str, is_proven: bool, *users: bytes, is_unsure: bool = False
    ) -> tuple[list[bool | None], list[Any]]:
        events: list[Any] = []
        desk = DeskUnderTest()
        desk.judging.grant_book = Heard(state.grant_book, events)
        domain = sender.rpartition("@")[2] if is_proven else ""
        found = Authentication(sender_domain=domain, is_unsure=is_unsure)
        desk.desk.authenticator = Heard(Witness(found), events)
        asked = users or (b"bob@example.org", b"dan@example.org")
        return await desk.desk.free_recipients(sender.encode(), "198.51.100.7", asked), events

    def test_who_is_proven_is_told_who_knows_him_and_of_nobody_else(self, story):
        async def asked(state):
            return [
                (await self.told(state, sender, is_proven))[0]
                for sender, is_proven in (
                    ("ann@friend.example", True),
                    ("ann@friend.example", False),
                    ("x@evil.example", True),
                )
            ]

        # Bob has a window for friend.example: that is no business of evil.example's, which proves itself.
        assert story(asked) == [[True, False], [False, False], [False, False]]

    def test_spf_is_asked_before_the_book_and_the_book_only_where_it_proves_something(self, story):
        async def asked(state):
            return [
                [name for name, *_ in (await self.told(state, sender, is_proven))[1]]
                for sender in ("ann@friend.example", "x@nowhere.example")
                for is_proven in (True, False)
            ]

        assert story(asked) == [["is_sender_proven", "grants"], ["is_sender_proven"]] * 2

    def test_where_spf_cannot_be_asked_nobody_but_who_is_always_free_is_of_a_known_class(self, story):
        """At DATA the DNS may answer: then a friend of Bob's must not hear 550 for Dan, who does not know him."""

        async def asked(state):
            users = (b"bob@example.org", b"postmaster@example.org", b"dan@example.org")
            return [
                await self.told(state, sender, False, *users, is_unsure=True)
                for sender in ("ann@friend.example", "x@evil.example")
            ]

        friend, stranger = story(asked)
        assert friend == stranger == ([None, True, None], [("is_sender_proven", None, None)])

    def test_nor_where_the_book_cannot_be_asked(self):
        async def asked():
            desk = DeskUnderTest()
            wants = Wants({"bob@example.org": [Grant(Reason.CORRESPONDENT)]}, is_down=True)
            desk.judging.grant_book = wants
            desk.desk.authenticator = Witness(Authentication(sender_domain="friend.example"))
            users = [b"bob@example.org", b"postmaster@example.org"]
            return await desk.desk.free_recipients(b"ann@friend.example", "198.51.100.7", users)

        assert asyncio.run(asked()) == [None, True]

    def test_where_nobody_has_written_anything_down_no_dns_is_asked(self, tmp_path):
        async def asked():
            state = GateState.open(tmp_path / "gate.db", now=NOW)
            try:
                return [name for name, *_ in (await self.told(state, "ann@friend.example", True))[1]]
            finally:
                await state.close()

        assert asyncio.run(asked()) == ["grants"]


class TestWithARealNameServer:
    """Questions are counted where they arrive."""

    @pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "answering"])
    @pytest.mark.parametrize("is_signed", [False, True], ids=["unsigned", "signed"])
    def test_a_forged_friend_costs_the_same_questions_and_hears_the_same(self, tmp_path, is_silent, is_signed):
        octets = letter("ann@friend.example")
        octets = sign(octets, "friend.example", "x", rsa_key()) if is_signed else octets

        async def told(server, user):
            state = await opened(tmp_path / "gate.db", ROWS)
            checker = Checker(nameservers=[server.address], timeout_seconds=2)
            desk = DeskUnderTest()
            desk.judging.grant_book, desk.desk.authenticator = state.grant_book, checker
            before = server.questions.copy()
            try:
                answer, _ = await desk.present(octets, user, sender="x@evil.example")
            finally:
                checker.close()
                await state.close()
            return answer, server.questions - before

        with DnsServer({"evil.example": {"TXT": ["v=spf1 ip4:198.51.100.7 -all"]}}) as server:
            for name in ("friend.example", "_dmarc.friend.example", "x._domainkey.friend.example"):
                (server.fall_silent if is_silent else server.fail)(name)
            bob, dan = (asyncio.run(told(server, user)) for user in ("bob@example.org", "dan@example.org"))
        assert bob == dan
        # Only a signature of the author's domain could have proven him; SPF of evil.example could not, whatever DMARC says.
        assert bob[0] == (Later(Reason.DNS_UNAVAILABLE) if is_signed else Due(0, Reason.NO_STAMP))
        assert bob[1].total() > 0


def test_a_gate_where_nothing_is_written_down_asks_no_dns_for_strangers(tmp_path):
    async def asked():
        state = GateState.open(tmp_path / "gate.db", now=NOW)
        desk = DeskUnderTest()
        desk.desk.refusals = None
        desk.judging.grant_book = state.grant_book
        try:
            answers = [(await desk.present(letter(), "bob@example.org"))[0]]
            await ROWS["correspondent"](state, "eve@example.org")
            answers.append((await desk.present(letter(), "bob@example.org"))[0])
            return answers, desk.witness.asked
        finally:
            await state.close()

    assert asyncio.run(asked()) == ([Due(0, Reason.NO_STAMP)] * 2, [True])


def test_an_exempt_sender_or_a_tagged_address_is_as_secret():
    """Whom the admin exempts is written in the settings; nobody is told by a forged letter."""
    key = b"k" * 32
    asked = {}
    for name, policy, to, author in (
        ("an exempt sender's name", {"exemptions": Exemptions(senders={"partner.example": ()})}, "bob@example.org", "a@partner.example"),
        ("another's", {"exemptions": Exemptions(senders={"partner.example": ()})}, "bob@example.org", "a@other.example"),
        ("a forwarder's", {"forwarders": {"partner.example": ()}}, "bob@example.org", "a@partner.example"),
        ("not a forwarder's", {"forwarders": {"partner.example": ()}}, "bob@example.org", "a@other.example"),
        ("whom a tag is for", {"pass_key": key}, tagged(key), "a@partner.example"),
        ("whom it is not for", {"pass_key": key}, tagged(key), "a@other.example"),
    ):  # fmt: skip
        desk = DeskUnderTest(**policy)
        desk.witness.found = Authentication(is_unsure=True)
        answer, _ = asyncio.run(desk.present(letter(author), to))
        asked[name] = (answer, desk.witness.asked)
    assert set(map(repr, asked.values())) == {repr((Later(Reason.DNS_UNAVAILABLE), [True]))}


def tagged(key: bytes) -> str:
    return f"bob+{mint_tag(key, canonical_recipient('bob@example.org'), 30_000, 'partner.example')}@example.org"

"""A pass is worth what it was given for: a stamp that was held, or a place in an allowance. Nothing else has one."""

import asyncio
import base64
import functools
import hmac
from ipaddress import ip_network

import pytest
from tests.support.desk import DeskUnderTest, MailServer
from tests.support.stationery import DAY, LETTER, NOW

from pennyred.gate.letterbox import Due, Duplicate, Fate, Later, Relay
from pennyred.gate.rules.exemptions import Exemptions, Mode
from pennyred.gate.rules.grants import Grant
from pennyred.gate.rules.origin import Authentication
from pennyred.gate.rules.recipients import RecipientRule, RecipientRules
from pennyred.postage.address import canonical_recipient
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import letter_hash, signed_parts
from pennyred.postage.letter import parse_header, split_letter
from pennyred.postage.reasons import Reason

BOB, EVE = "bob@example.org", "eve@example.org"
KEY = b"k" * 32
PROVEN = Authentication(
    domains=frozenset({"sender.example"}), author_domain="sender.example", organisation="sender.example"
)
NETWORK = (ip_network("198.51.100.0/24"),)


def scenario(test):
    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(test(*arguments, **named))

    return run


async def a_desk(stamps: int = 10, **policy) -> DeskUnderTest:
    desk = DeskUnderTest(pass_key=KEY, **policy)
    await desk.office.open(stamps)
    return desk


def passes_in(server: MailServer) -> int:
    return server.sent[0][1].count(b"X-Postage-Pass")


def passed_on(letter: bytes, server: MailServer) -> bytes:
    """The letter as the mail server behind a gate has it, and hands it to the next one."""
    [(_, fields, header)] = server.sent
    return fields + header + b"\r\n" + split_letter(letter)[1]


def reasons(desk: DeskUnderTest) -> list[str]:
    return [one["reason"] for one in desk.log.lines[-1]["recipients"]]


def with_ended_pass(letter: bytes, to: str = BOB) -> bytes:
    """As gates of an earlier release gave it, for whatever went through them."""
    header, body = split_letter(letter)
    digest = letter_hash(signed_parts(parse_header(header), body_hash(body)), canonical_recipient(to))
    mac = hmac.digest(KEY, b"pennyred/1 pass\0" + (NOW // DAY).to_bytes(8, "big") + digest, "sha256")
    return b"X-Postage-Pass: v=1; d=%d; m=%s\r\n" % (NOW // DAY, base64.b64encode(mac)) + letter


class TestWhatHasOne:
    @scenario
    async def test_each_stamp_that_is_held_has_one(self):
        desk = await a_desk()
        _, server = await desk.present(desk.stationery.stamped(LETTER, BOB, EVE), BOB, EVE)
        assert passes_in(server) == 2

    @pytest.mark.parametrize("reason", ["bounce", "allowance", "reply", "expected"])
    @scenario
    async def test_so_has_what_was_counted(self, reason):
        desk = await a_desk(mode=Mode.BULK if reason == "allowance" else Mode.REQUIRE)
        desk.wants.of[BOB] = [Grant(Reason(reason), counter=b"r1")] if reason in ("reply", "expected") else []
        letter = b"Content-Type: multipart/report\r\n" + LETTER if reason == "bounce" else LETTER
        _, server = await desk.present(letter, BOB, sender="" if reason == "bounce" else "ann@sender.example")
        assert (reasons(desk), passes_in(server)) == ([reason], 1)
        sister = await a_desk()
        await sister.present(passed_on(letter, server), BOB)
        assert reasons(sister) == ["pass"]

    @pytest.mark.parametrize(
        ("reason", "policy", "how"),
        [
            ("postmaster", {}, {"to": "postmaster@example.org"}),
            ("network", {"exemptions": Exemptions(networks=NETWORK)}, {}),
            ("sender", {"exemptions": Exemptions(senders={"sender.example": NETWORK})}, {}),
            ("sender", {"exemptions": Exemptions(senders={"sender.example": ()})}, {}),
            ("recipient", {"exemptions": Exemptions(recipients=frozenset({BOB}))}, {}),
            ("correspondent", {}, {"grant": Grant(Reason.CORRESPONDENT, is_author_proven=True)}),
            ("list", {}, {"grant": Grant(Reason.LIST, domains=("sender.example",))}),
            ("list", {}, {"grant": Grant(Reason.LIST, networks=NETWORK)}),
            ("forwarder", {"forwarders": {"old.example": NETWORK}}, {}),
        ],
    )
    @scenario
    async def test_what_is_free_by_a_rule_that_counts_nothing_has_none(self, reason, policy, how):
        """A sister has rules of its own; what it would ask a stamp for must not come by another's generosity."""
        desk = await a_desk(**policy)
        desk.witness.found = PROVEN
        to = how.get("to", BOB)
        desk.wants.of[BOB] = [how["grant"]] if "grant" in how else []
        _, server = await desk.present(desk.stationery.stamped(LETTER, to), to)
        assert (reasons(desk), passes_in(server)) == ([reason], 0)

    @scenario
    async def test_a_letter_that_came_with_one_keeps_it_and_gets_no_second(self):
        desk, sister = await a_desk(), await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB)
        _, server = await desk.present(letter, BOB)
        _, server = await sister.present(passed_on(letter, server), BOB)
        assert reasons(sister) == ["pass"]
        assert passed_on(letter, server).count(b"X-Postage-Pass") == 1


class TestMonitor:
    @pytest.mark.parametrize("sender", ["ann@sender.example", ""])
    @scenario
    async def test_a_gate_that_only_watches_gives_none_for_anything(self, sender):
        for to in (BOB, "postmaster@example.org"):
            desk = await a_desk(mode=Mode.MONITOR)
            desk.wants.of[BOB] = [Grant(Reason.REPLY, counter=b"r1")] if sender else []
            _, server = await desk.present(desk.stationery.stamped(LETTER, to), to, sender=sender)
            assert passes_in(server) == 0

    @scenario
    async def test_an_account_with_nothing_in_it_reaches_nobody_behind_it(self):
        watching, sister = await a_desk(mode=Mode.MONITOR), await a_desk(stamps=0)
        letter = watching.stationery.stamped(LETTER, BOB)
        _, server = await watching.present(letter, BOB)
        answer, _ = await sister.present(passed_on(letter, server), BOB)
        assert answer == Due(0, Reason.INSUFFICIENT_BALANCE)

    @scenario
    async def test_what_went_through_while_it_watched_is_judged_when_it_asks(self):
        desk = await a_desk(stamps=0, mode=Mode.MONITOR)
        letter = desk.stationery.stamped(LETTER, BOB)
        _, server = await desk.present(letter, BOB)
        strict = await a_desk(stamps=0)
        desk.desk.policy = strict.desk.policy
        answer, _ = await desk.present(passed_on(letter, server), BOB)
        assert answer == Due(0, Reason.INSUFFICIENT_BALANCE)

    @scenario
    async def test_nor_does_a_recipient_that_is_only_watched_have_one(self):
        rules = RecipientRules({EVE: RecipientRule(mode=Mode.MONITOR)})
        desk = await a_desk(recipients=rules)
        _, server = await desk.present(desk.stationery.stamped(LETTER, EVE, BOB), EVE, BOB)
        assert (reasons(desk), passes_in(server)) == (["stamped", "stamped"], 1)
        desk = await a_desk(recipients=rules)
        _, server = await desk.present(b"Content-Type: multipart/report\r\n" + LETTER, EVE, sender="")
        assert (reasons(desk), passes_in(server)) == (["bounce"], 0)


class TestThoseThatHaveEnded:
    @scenario
    async def test_they_let_nothing_in(self):
        desk = await a_desk(stamps=0)
        assert (await desk.present(with_ended_pass(LETTER), BOB))[0] == Due(0, Reason.NO_STAMP)
        letter = with_ended_pass(desk.stationery.stamped(LETTER, BOB))
        assert (await desk.present(letter, BOB))[0] == Due(0, Reason.INSUFFICIENT_BALANCE)

    @scenario
    async def test_a_letter_paid_for_at_a_sister_and_still_on_its_way_is_delivered_all_the_same(self):
        """The office says that it was settled; to take it for a retry would answer 250 and throw it away."""
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB)
        await desk.present(letter, BOB)
        assert (await desk.present(letter, BOB))[0] == Duplicate()
        answer, server = await desk.present(with_ended_pass(letter), BOB)
        assert isinstance(answer, Relay)
        assert (reasons(desk), passes_in(server), await desk.balance()) == (["pass"], 0, (9, 0))

    @scenario
    async def test_but_not_time_and_again(self):
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB)
        await desk.present(letter, BOB)
        answers = [(await desk.present(with_ended_pass(letter), BOB))[0] for _ in range(6)]
        assert [isinstance(one, Relay) for one in answers] == [True] * 5 + [False]
        assert answers[-1] == Later(Reason.IN_PROGRESS)

    @scenario
    async def test_one_that_nobody_has_paid_for_yet_is_paid_for_here(self):
        desk = await a_desk()
        letter = with_ended_pass(desk.stationery.stamped(LETTER, BOB))
        _, server = await desk.present(letter, BOB, server=MailServer((), [Fate.ACCEPTED]))
        assert (reasons(desk), passes_in(server), await desk.balance()) == (["stamped"], 1, (9, 0))

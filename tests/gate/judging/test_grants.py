"""Who wants a letter comes before who pays for it: rules, proofs, doubts, and what they use up."""

import asyncio
from ipaddress import ip_network

import pytest
from tests.support.desk import DeskUnderTest, MailServer
from tests.support.replacing import replace
from tests.support.stationery import LETTER

from pennyred.gate.letterbox import Due, Fate, Later, Relay
from pennyred.gate.policy import Check
from pennyred.gate.rules.exemptions import Allowances, Exemptions, Mode
from pennyred.gate.rules.grants import Grant
from pennyred.gate.rules.origin import Authentication
from pennyred.gate.rules.permitaddress import mint_tag
from pennyred.gate.rules.recipients import Aliases, RecipientRule, RecipientRules
from pennyred.postage.address import canonical_recipient
from pennyred.postage.reasons import Reason

BOB, EVE = "bob@example.org", "eve@example.org"
FRIEND = Authentication(
    domains=frozenset({"sender.example"}),
    author_domain="sender.example",
    organisation="sender.example",
    sending_organisation="sender.example",
)
UNSURE = Authentication(is_unsure=True)
KNOWN = Grant(Reason.CORRESPONDENT, is_author_proven=True)
KEY = b"k" * 32


def reasons(desk: DeskUnderTest) -> list[str]:
    return [one["reason"] for one in desk.log.lines[-1]["recipients"]]


def presented(desk: DeskUnderTest, letter: bytes = LETTER, *to: str, stamps: int = 5, **how):
    """The answer, and what was held or spent of so many stamps."""

    async def story():
        await desk.office.open(stamps)
        answer, server = await desk.present(letter, *(to or (BOB,)), **how)
        return answer, server, await desk.balance()

    return asyncio.run(story())


class TestProof:
    def test_a_correspondent_comes_free_where_from_is_aligned(self):
        desk = DeskUnderTest()
        desk.wants.of[BOB] = [KNOWN]
        desk.witness.found = FRIEND
        answer, server, _ = presented(desk)
        assert isinstance(answer, Relay)
        assert reasons(desk) == ["correspondent"]
        assert b"x-postage=none reason=correspondent" in server.sent[0][1]

    @pytest.mark.parametrize(
        "found",
        [
            Authentication(),
            Authentication(domains=frozenset({"sender.example"})),
            Authentication(domains=frozenset({"evil.example"}), author_domain="evil.example"),
        ],
        ids=["nothing is proven", "a domain is, but not From's", "another author"],
    )
    def test_else_the_name_alone_opens_nothing(self, found):
        desk = DeskUnderTest()
        desk.wants.of[BOB] = [KNOWN]
        desk.witness.found = found
        answer, _, _ = presented(desk)
        assert answer == Due(0, Reason.NO_STAMP)

    def test_a_letter_that_is_free_spends_no_stamp(self):
        desk = DeskUnderTest()
        desk.wants.of[BOB] = [KNOWN]
        desk.witness.found = FRIEND
        _, _, balance = presented(desk, desk.stationery.stamped(LETTER, BOB))
        assert (reasons(desk), balance, desk.office.calls) == (["correspondent"], (5, 0), [])

    def test_an_exempt_sender_without_networks_is_believed_where_authenticated(self):
        for found, is_free in ((FRIEND, True), (Authentication(), False)):
            desk = DeskUnderTest(exemptions=Exemptions(senders={"sender.example": ()}))
            desk.witness.found = found
            answer, _, _ = presented(desk)
            assert isinstance(answer, Relay) is is_free

    def test_the_dns_is_asked_only_where_something_depends_on_it(self):
        asked = {}
        for name, policy, grants in (
            ("a stranger where strangers pay", {}, []),
            ("somebody known", {}, [KNOWN]),
            ("a stranger within an allowance", {"mode": Mode.BULK}, []),
            ("always", {"check": Check.ALWAYS}, []),
            ("never", {"check": Check.NEVER}, [KNOWN]),
        ):
            desk = DeskUnderTest(**policy)
            desk.desk.refusals = None
            desk.wants.of[BOB] = grants
            presented(desk)
            asked[name] = desk.witness.asked
        assert asked == {
            "a stranger where strangers pay": [],
            "somebody known": [True],
            "a stranger within an allowance": [False],
            "always": [False],
            "never": [],
        }


class TestDoubt:
    def test_where_the_dns_does_not_answer_a_letter_that_hangs_on_it_comes_again(self):
        desk = DeskUnderTest()
        desk.wants.of[BOB] = [KNOWN]
        desk.witness.found = UNSURE
        assert presented(desk)[0] == Later(Reason.DNS_UNAVAILABLE)
        assert desk.kept.letters == []

    def test_but_one_that_is_paid_goes_on_and_is_paid(self):
        desk = DeskUnderTest()
        desk.wants.of[BOB] = [KNOWN]
        desk.witness.found = UNSURE
        _, _, balance = presented(desk, desk.stationery.stamped(LETTER, BOB))
        assert (reasons(desk), balance) == (["stamped"], (4, 0))

    def test_and_a_stranger_is_refused_at_once(self):
        desk = DeskUnderTest()
        desk.witness.found = UNSURE
        assert presented(desk)[0] == Due(0, Reason.NO_STAMP)

    def test_a_state_that_does_not_answer_defers_who_might_be_wanted_and_nobody_else(self):
        desk = DeskUnderTest()
        desk.wants.is_down = True
        assert presented(desk)[0] == Later(Reason.STATE_UNAVAILABLE)
        desk = DeskUnderTest()
        desk.wants.is_down = True
        assert isinstance(presented(desk, LETTER, "postmaster@example.org")[0], Relay)
        desk = DeskUnderTest()
        desk.wants.is_down = True
        presented(desk, desk.stationery.stamped(LETTER, BOB))
        assert reasons(desk) == ["stamped"]

    def test_monitor_lets_everything_through_whatever_breaks(self):
        for break_it in ("state", "dns"):
            desk = DeskUnderTest(mode=Mode.MONITOR)
            desk.wants.of[BOB] = [KNOWN]
            desk.wants.is_down = break_it == "state"
            desk.witness.found = UNSURE
            assert isinstance(presented(desk)[0], Relay)


class TestUses:
    REPLY = Grant(Reason.REPLY, counter=b"r1")

    def test_a_reply_is_counted_and_given_back_where_the_mail_server_refuses(self):
        for fate, left in ((Fate.ACCEPTED, 0), (Fate.REFUSED_PERMANENT, 1), (Fate.REFUSED_TEMPORARY, 1)):
            desk = DeskUnderTest()
            desk.wants.of[BOB] = [self.REPLY]
            presented(desk, server=MailServer((), [fate]))
            assert desk.wants.left == {b"r1": left}

    def test_beyond_its_number_it_needs_a_stamp(self):
        desk = DeskUnderTest()
        desk.wants.of[BOB] = [self.REPLY]
        desk.wants.left[b"r1"] = 0
        assert presented(desk)[0] == Due(0, Reason.NO_STAMP)

    def test_what_a_mistake_of_ours_in_judging_stopped_is_given_back(self):
        async def broken(*_):
            raise ValueError

        desk = DeskUnderTest()
        desk.judging._prepare_keys = broken
        desk.wants.of[BOB] = [Grant(Reason.REPLY, counter=b"r1")]
        with pytest.raises(ValueError):
            presented(desk)
        assert desk.wants.left == {b"r1": 1}
        assert set(desk.counters.used.values()) == {0}

    def test_what_another_recipients_refusal_stopped_is_given_back(self):
        desk = DeskUnderTest()
        desk.wants.of[BOB] = [self.REPLY]
        answer, _, _ = presented(desk, LETTER, BOB, EVE)
        assert answer == Due(1, Reason.NO_STAMP)
        assert desk.wants.left == {b"r1": 1}


NETWORKS = {"old.example": (ip_network("198.51.100.0/24"),)}


class TestForwarders:
    def test_a_forwarded_letter_is_never_refused_and_its_stamps_are_looked_at_and_not_redeemed(self):
        desk = DeskUnderTest(forwarders=NETWORKS)
        answer, _, balance = presented(desk, desk.stationery.stamped(LETTER, "bob@old.example"))
        assert isinstance(answer, Relay)
        [told] = desk.log.lines[-1]["recipients"]
        assert (told["reason"], told["stamp"]) == ("forwarder", "wrong-recipient")
        assert (balance, desk.office.calls) == ((5, 0), [])

    def test_by_its_domain_too(self):
        desk = DeskUnderTest(forwarders={"old.example": ()})
        desk.witness.found = Authentication(domains=frozenset({"old.example"}))
        presented(desk, sender="srs0=x@old.example")
        assert reasons(desk) == ["forwarder"]

    def test_it_is_not_held_to_account_for_forged_stamps(self):
        desk = DeskUnderTest(forwarders=NETWORKS)
        presented(desk, b"X-Postage-Stamp: nonsense\r\n" * 9 + LETTER)
        assert desk.bad_stamps.counted.total() == 0


class TestAliases:
    ALIASES = Aliases([("info@example.net", BOB), ("info@example.net", EVE)])

    def test_a_stamp_for_the_alias_pays_for_whom_it_led_to(self):
        desk = DeskUnderTest(aliases=self.ALIASES)
        _, _, balance = presented(desk, desk.stationery.stamped(LETTER, "info@example.net"))
        assert (reasons(desk), balance) == (["stamped"], (4, 0))

    def test_a_stamp_for_an_alias_of_an_alias_pays_too(self):
        desk = DeskUnderTest(aliases=Aliases([("sales@example.net", "info@example.net"), ("info@example.net", BOB)]))
        _, _, balance = presented(desk, desk.stationery.stamped(LETTER, "sales@example.net"))
        assert (reasons(desk), balance) == (["stamped"], (4, 0))

    def test_but_for_one_of_them_only(self):
        desk = DeskUnderTest(aliases=self.ALIASES)
        answer, _, balance = presented(desk, desk.stationery.stamped(LETTER, "info@example.net"), BOB, EVE)
        assert isinstance(answer, Due)
        assert balance == (5, 0)

        async def one_after_the_other():
            desk = DeskUnderTest(aliases=self.ALIASES)
            await desk.office.open(5)
            letter = desk.stationery.stamped(LETTER, "info@example.net")
            first, _ = await desk.present(letter, BOB)
            second, _ = await desk.present(letter, EVE)
            return first, second, await desk.balance()

        first, second, balance = asyncio.run(one_after_the_other())
        assert isinstance(first, Relay)
        assert second == Due(0, Reason.SPENT)
        assert balance == (4, 0)


class TestSingleRecipients:
    def rules(self, **of_eve) -> RecipientRules:
        return RecipientRules({EVE: RecipientRule(**of_eve)})

    def test_one_that_is_watched_never_refuses_beside_one_that_does(self):
        desk = DeskUnderTest(recipients=self.rules(mode=Mode.MONITOR))
        assert presented(desk, LETTER, EVE, BOB)[0] == Due(1, Reason.NO_STAMP)
        desk = DeskUnderTest(recipients=self.rules(mode=Mode.MONITOR))
        letter = desk.stationery.stamped(LETTER, BOB, EVE)
        _, server, balance = presented(desk, letter, EVE, BOB)
        assert len(server.sent[0][0]) == 2
        assert balance == (4, 0), "Eve's stamp is only looked at"

    def test_one_that_is_strict_refuses_in_a_gate_that_only_watches(self):
        desk = DeskUnderTest(mode=Mode.MONITOR, recipients=self.rules(mode=Mode.REQUIRE))
        assert isinstance(presented(desk)[0], Relay)
        desk = DeskUnderTest(mode=Mode.MONITOR, recipients=self.rules(mode=Mode.REQUIRE))
        assert presented(desk, LETTER, EVE)[0] == Due(0, Reason.NO_STAMP)

    def test_its_price_is_asked_and_told(self):
        desk = DeskUnderTest(recipients=self.rules(price=3))
        assert presented(desk, LETTER, EVE)[0] == Due(0, Reason.NO_STAMP, 3)
        desk = DeskUnderTest(recipients=self.rules(price=3))
        assert presented(desk, desk.stationery.stamped(LETTER, EVE), EVE)[0] == Due(0, Reason.UNDERPAID, 3)

    def test_a_tagged_address_is_its_owners(self):
        desk = DeskUnderTest(recipients=self.rules(price=3))
        assert presented(desk, LETTER, "eve+shop@example.org")[0] == Due(0, Reason.NO_STAMP, 3)


class TestTaggedAddresses:
    def address(self, domain: str = "") -> str:
        return f"bob+{mint_tag(KEY, canonical_recipient(BOB), 30_000, domain)}@example.org"

    def test_one_for_anybody_is_free(self):
        desk = DeskUnderTest(pass_key=KEY)
        presented(desk, LETTER, self.address())
        assert reasons(desk) == ["list"]

    def test_one_for_a_domain_is_free_where_that_vouches(self):
        for found, is_free in ((FRIEND, True), (Authentication(), False)):
            desk = DeskUnderTest(pass_key=KEY)
            desk.witness.found = found
            answer, _, _ = presented(desk, LETTER, self.address("sender.example"))
            assert isinstance(answer, Relay) is is_free

    def test_one_made_with_another_key_is_nobodys(self):
        desk = DeskUnderTest(pass_key=b"x" * 32)
        assert isinstance(presented(desk, LETTER, self.address())[0], Due)


class TestAllowances:
    def used(self, found: Authentication) -> set[str]:
        desk = DeskUnderTest(mode=Mode.BULK, allowances=Allowances(5, 100, 5))
        desk.witness.found = found
        presented(desk)
        return {key for _, key in desk.counters.used}

    def test_go_by_the_domain_that_is_proven_and_else_by_the_network(self):
        assert self.used(FRIEND) == {
            "sender domain sender.example ann@sender.example",
            "source domain sender.example",
        }
        assert self.used(Authentication()) == {"sender 198.51.100.0/24 ann@sender.example", "source 198.51.100.0/24"}

    @pytest.mark.parametrize(("sending", "way"), [("", "198.51.100.0/24"), ("mailer.example", "mailer.example")])
    def test_of_a_domains_letters_that_somebody_else_sends_they_go_by_both(self, sending, way):
        assert self.used(replace(FRIEND, sending_organisation=sending)) == {
            f"sender domain sender.example by {way} ann@sender.example",
            f"source domain sender.example by {way}",
            "source domain sender.example by others",
        }

    @pytest.mark.parametrize("stamps", [b"", b"X-Postage-Stamp: v=9\r\n"], ids=["without a stamp", "with a bad one"])
    def test_where_the_dns_is_silent_and_the_networks_is_used_up_it_is_later(self, stamps):
        """Behind one network are many domains, each of which has an allowance of its own once it is proven."""

        async def story():
            desk = DeskUnderTest(mode=Mode.BULK, allowances=Allowances(1, 100, 5))
            for found, answer in (
                (Authentication(), None),
                (Authentication(), Due),
                (UNSURE, Later),
                (Authentication(is_unsure=True, is_final=True), Due),
                (FRIEND, None),
            ):
                desk.witness.found = found
                said, _ = await desk.present(stamps + LETTER, BOB)
                assert isinstance(said, answer or Relay)
            desk.witness.found = UNSURE
            return (await desk.present(LETTER, BOB))[0]

        assert asyncio.run(story()) == Later(Reason.DNS_UNAVAILABLE)

    def test_what_is_watched_is_counted_apart(self):
        desk = DeskUnderTest(mode=Mode.MONITOR, allowances=Allowances(0, 100, 5))
        presented(desk)
        [fact] = desk.facts
        assert (fact.by_bulk, fact.by_require) == (True, True)
        assert desk.counters.used == {}


class TestRefusals:
    def test_a_copy_is_kept_before_the_sender_hears_no(self):
        desk = DeskUnderTest()
        desk.witness.found = FRIEND
        presented(desk, LETTER, BOB, "postmaster@example.org")
        [(refused, authenticated)] = desk.kept.letters
        assert [(one.index, one.reason) for one in refused] == [(0, Reason.NO_STAMP), (1, Reason.POSTMASTER)]
        assert "author=sender.example" in authenticated

    def test_where_it_cannot_be_kept_it_is_not_refused(self):
        desk = DeskUnderTest()
        desk.kept.is_down = True
        with pytest.raises(Exception, match="down by script"):
            presented(desk)

    def test_what_time_cures_is_not_kept(self):
        desk = DeskUnderTest()
        desk.wants.of[BOB] = [KNOWN]
        desk.witness.found = replace(FRIEND, is_unsure=True, author_domain="")
        presented(desk)
        assert desk.kept.letters == []


def test_a_letter_that_cannot_be_counted_has_its_answer_all_the_same():
    desk = DeskUnderTest(mode=Mode.MONITOR)
    desk.desk._note_facts = lambda _: 1 / 0
    answer, _, _ = presented(desk)
    assert isinstance(answer, Relay)
    assert desk.log.lines[-1]["event"] == "letter.not_counted"

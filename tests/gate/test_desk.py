"""One letter's life at the desk: judged, held, delivered, settled or voided."""

import asyncio
from ipaddress import ip_network

import pytest
from tests.support.desk import DeskUnderTest, MailServer
from tests.support.judged import judge
from tests.support.replacing import replace
from tests.support.stationery import DAY, LETTER, NOW, ReceivedLetter

from pennyred.gate.issuers.keyring import Prepared
from pennyred.gate.judging.standing import free_recipients
from pennyred.gate.letterbox import Due, Duplicate, Envelope, Fate, Later, Relay
from pennyred.gate.policy import GatePolicy
from pennyred.gate.rules import passes
from pennyred.gate.rules.exemptions import Allowances, Exemptions, Mode
from pennyred.gate.rules.origin import Authentication
from pennyred.gate.settling import drain_outbox
from pennyred.postage.encoding import encode_base64
from pennyred.postage.errors import Unavailable
from pennyred.postage.letter import STAMP_FIELD
from pennyred.postage.reasons import Kind, Reason
from pennyred.postage.taglist import fold_field

BOB = "bob@example.org"
EVE = "eve@example.org"
REPORT = b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n" + LETTER


def scenario(coroutine):
    """Run an asynchronous test."""

    def run(self):
        asyncio.run(coroutine(self))

    run.__name__ = coroutine.__name__
    run.__doc__ = coroutine.__doc__
    return run


async def a_desk(stamps: int = 10, **policy) -> DeskUnderTest:
    desk = DeskUnderTest(**policy)
    await desk.office.open(stamps)
    return desk


async def books_balance(desk: DeskUnderTest) -> bool:
    return (await desk.office.ledger.audit()).balanced


def reasons(desk: DeskUnderTest) -> list[str]:
    return [one["reason"] for one in desk.log.lines[-1]["recipients"]]


class TestBadStamps:
    """What is told of a letter's source."""

    @pytest.mark.parametrize(
        ("make", "counted"),
        [
            (lambda desk: _forged(desk) + _forged(desk) + LETTER, 2),
            (lambda desk: b"X-Postage-Stamp: nonsense\r\n" * 9 + LETTER, 1),
            (lambda desk: _forged(desk) + desk.stationery.stamped(LETTER, BOB), 1),
            (lambda desk: desk.stationery.stamped(LETTER, BOB), 0),
            (lambda desk: desk.stationery.stamped(LETTER, EVE), 0),
            (lambda desk: desk.stationery.stamped(LETTER, BOB).replace(b"Tea", b"Pills"), 0),
            (lambda desk: desk.stationery.stamped(LETTER, BOB, now=NOW - 14 * DAY), 0),
            (lambda _: LETTER, 0),
        ],
        ids=["forged", "garbled", "forged and good", "good", "another's", "altered on the way", "too late", "none"],
    )
    def test_those_that_nobody_makes_by_mistake_are_counted(self, make, counted):
        async def story(**how):
            desk = await a_desk()
            await desk.present(make(desk), how.pop("to", BOB), **how)
            return desk.bad_stamps.counted.total()

        assert asyncio.run(story()) == counted
        assert asyncio.run(story(source_known=False)) == 0, "there is nobody to hold it against"
        assert asyncio.run(story(to="postmaster@example.org")) == 0, "nobody has looked at it"

    def test_selectors_that_are_in_no_dns_are_counted_and_the_letter_is_for_later(self):
        """They cost nothing to invent; an honest one may be new. So the answer stays what it is."""

        async def story(count, unpublished):
            desk = await a_desk()
            selectors = [(desk.stationery.issuer, f"x{number}") for number in range(count)]

            async def prepare(stamps, source):
                assert source == "198.51.100.0/24"
                assert len(stamps) == count + 1
                return Prepared(frozenset(selectors), frozenset(selectors[:unpublished]))

            desk.judging._prepare_keys = prepare
            stamps = [replace(desk.stationery, selector=name).stamp(LETTER, BOB).field() for _, name in selectors]
            answer, _ = await desk.present(_forged(desk) + b"".join(stamps) + LETTER, BOB)
            return answer, desk.bad_stamps.counted.total()

        assert asyncio.run(story(1, unpublished=1)) == (Later(Reason.OFFICE_UNREACHABLE), 2)
        assert asyncio.run(story(3, unpublished=2)) == (Later(Reason.OFFICE_UNREACHABLE), 3)
        # What DNS has not answered is nobody's fault; the forged one is counted beside it as always.
        assert asyncio.run(story(3, unpublished=0)) == (Later(Reason.OFFICE_UNREACHABLE), 1)

    @scenario
    async def test_whoever_has_a_48_of_ipv6_causes_no_more_questions_than_others(self):
        asked = []

        async def prepare(stamps, source):
            asked.append(source)
            return Prepared()

        desk = await a_desk()
        desk.judging._prepare_keys = prepare
        for number in range(2):
            await desk.present(desk.stationery.stamped(LETTER, BOB), BOB, source=f"2001:db8:1:{number}::1")
        await desk.present(desk.stationery.stamped(LETTER, BOB), BOB, source_known=False)
        assert asked == ["2001:db8:1::/48", "2001:db8:1::/48", ""]


def _forged(desk: DeskUnderTest) -> bytes:
    stamp = desk.stationery.stamp(LETTER, BOB)
    spoilt = {"b": encode_base64(bytes(64))}
    return fold_field(STAMP_FIELD, [(name, spoilt.get(name, value)) for name, value in stamp.tags])


class TestStampedLetters:
    @scenario
    async def test_a_stamped_letter_is_delivered_and_costs_one_cent(self):
        desk = await a_desk()
        answer, server = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert isinstance(answer, Relay)
        assert len(server.sent) == 1
        assert await desk.balance() == (9, 0)
        assert reasons(desk) == ["stamped"]
        assert await books_balance(desk)

    @scenario
    async def test_an_unstamped_letter_is_refused_and_nothing_is_sent(self):
        desk = await a_desk()
        answer, server = await desk.present(LETTER, BOB)
        assert answer == Due(0, Reason.NO_STAMP)
        assert server.sent == []
        assert desk.office.calls == []

    @scenario
    async def test_one_recipient_without_a_stamp_refuses_the_letter_whole_and_nothing_is_held(self):
        desk = await a_desk()
        answer, server = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB, EVE)
        assert answer == Due(1, Reason.NO_STAMP)
        assert server.sent == []
        assert desk.office.calls == []

    @scenario
    async def test_every_recipient_costs_one_cent(self):
        desk = await a_desk()
        await desk.present(desk.stationery.stamped(LETTER, BOB, EVE), BOB, EVE)
        assert await desk.balance() == (8, 0)

    @scenario
    async def test_the_same_mailbox_twice_in_the_envelope_needs_two_stamps(self):
        """Else one stamp would buy as many copies as RCPT is repeated."""
        desk = await a_desk()
        answer, _ = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB, "BOB@Example.org")
        assert answer == Due(1, Reason.NO_STAMP)
        answer, _ = await desk.present(desk.stationery.stamped(LETTER, BOB, BOB), BOB, "BOB@Example.org")
        assert isinstance(answer, Relay)
        assert await desk.balance() == (8, 0)

    @scenario
    async def test_a_body_its_author_altered_is_accepted_and_marked_or_refused_when_strict(self):
        for strict, is_proven, expected in (
            (False, True, "stamped-modified"), (True, True, "altered-body"), (False, False, "altered-body"),
        ):  # fmt: skip
            desk = await a_desk(is_strict=strict)
            desk.witness.found = Authentication(author_domain="sender.example", is_author_signed=is_proven)
            letter = desk.stationery.stamped(LETTER, BOB).replace(b"Shall we", b"Shall they")
            await desk.present(letter, BOB)
            assert reasons(desk) == [expected]

    @scenario
    async def test_the_balance_runs_out_and_the_letter_is_refused(self):
        desk = await a_desk(stamps=0)
        answer, _ = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert answer == Due(0, Reason.INSUFFICIENT_BALANCE)

    @scenario
    async def test_when_the_balance_pays_for_one_of_two_nothing_stays_held(self):
        desk = await a_desk(stamps=1)
        answer, _ = await desk.present(desk.stationery.stamped(LETTER, BOB, EVE), BOB, EVE)
        assert answer == Due(1, Reason.INSUFFICIENT_BALANCE)
        assert await desk.balance() == (1, 0)

    @scenario
    async def test_a_second_stamp_for_the_recipient_pays_when_the_first_is_spent(self):
        desk = await a_desk()
        first = desk.stationery.stamp(LETTER, BOB)
        await desk.present(first.field() + LETTER, BOB)
        other = LETTER.replace(b"<1@", b"<2@")  # the same text: the stamp holds, the letter is another
        second = desk.stationery.stamp(other, BOB)
        answer, _ = await desk.present(first.field() + second.field() + other, BOB)
        assert isinstance(answer, Relay)
        assert await desk.balance() == (8, 0)

    @scenario
    async def test_a_spare_stamp_is_given_back(self):
        desk = await a_desk()
        await desk.present(desk.stationery.stamped(LETTER, BOB, BOB), BOB)
        assert await desk.balance() == (9, 0)


class TestRetries:
    @scenario
    async def test_the_same_letter_again_is_a_duplicate_neither_sent_nor_charged(self):
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB)
        await desk.present(letter, BOB)
        answer, server = await desk.present(letter, BOB)
        assert answer == Duplicate()
        assert server.sent == []
        assert await desk.balance() == (9, 0)

    @scenario
    async def test_a_retry_long_after_the_stamp_has_expired_is_still_a_duplicate(self):
        """An honest retry must not become a bounce because its stamp was short-lived."""
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB, lifetime_seconds=3600)
        await desk.present(letter, BOB)
        desk.office.now = NOW + 2 * DAY
        answer, _ = await desk.present(letter, BOB)
        assert answer == Duplicate()

    @scenario
    async def test_a_stamp_that_expired_unused_is_refused(self):
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB, lifetime_seconds=3600)
        desk.office.now = NOW + 7200
        answer, _ = await desk.present(letter, BOB)
        assert answer == Due(0, Reason.EXPIRED)

    @scenario
    async def test_recipients_who_have_had_it_are_left_out_and_the_others_get_it(self):
        """Else the retry of a half-delivered letter would lose it for the rest, or bring it twice."""
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB, EVE)
        server = MailServer((), fates=[Fate.ACCEPTED, Fate.REFUSED_TEMPORARY])
        await desk.present(letter, BOB, EVE, server=server)
        assert await desk.balance() == (9, 0)
        answer, server = await desk.present(letter, BOB, EVE)
        assert isinstance(answer, Relay)
        assert [sent[0] for sent in server.sent] == [(1,)]
        assert await desk.balance() == (8, 0)

    @scenario
    async def test_an_exempt_recipient_among_duplicates_still_gets_its_letter(self):
        """250 without forwarding would lose it for postmaster."""
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB)
        await desk.present(letter, BOB)
        answer, server = await desk.present(letter, BOB, "postmaster@example.org")
        assert isinstance(answer, Relay)
        assert [sent[0] for sent in server.sent] == [(1,)]

    @scenario
    async def test_two_deliveries_at_once_the_second_is_told_to_wait(self):
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB)
        slow = MailServer((), gate=asyncio.Event())
        first = asyncio.create_task(desk.present(letter, BOB, server=slow))
        await slow.is_asked.wait()
        answer, server = await desk.present(letter, BOB)
        assert answer == Later(Reason.IN_PROGRESS)
        assert server.sent == []
        slow.gate.set()
        await first
        assert await desk.balance() == (9, 0)

    @scenario
    async def test_a_delivery_in_doubt_keeps_its_hold_and_after_the_lease_is_renewed_without_a_new_charge(self):
        desk = await a_desk(lease_seconds=100, upstream_timeout_seconds=10)
        letter = desk.stationery.stamped(LETTER, BOB)
        await desk.present(letter, BOB, server=MailServer((), fates=[Fate.IN_DOUBT]))
        assert await desk.balance() == (10, 1)
        answer, _ = await desk.present(letter, BOB)
        assert answer == Later(Reason.IN_PROGRESS)
        desk.office.now += 101
        answer, server = await desk.present(letter, BOB)
        assert isinstance(answer, Relay)
        assert len(server.sent) == 1
        assert await desk.balance() == (9, 0)

    @scenario
    async def test_a_retry_never_takes_another_stamp_while_the_first_attempt_is_in_doubt(self):
        """A letter with two stamps for one recipient: the second must not pay for what the first may have paid."""
        desk = await a_desk(lease_seconds=100, upstream_timeout_seconds=10)
        letter = desk.stationery.stamped(LETTER, BOB, BOB)
        await desk.present(letter, BOB, server=MailServer((), fates=[Fate.IN_DOUBT]))
        answer, _ = await desk.present(letter, BOB)
        assert answer == Later(Reason.IN_PROGRESS)
        desk.office.now += 101
        await desk.present(letter, BOB)
        assert await desk.balance() == (9, 0)
        answer, _ = await desk.present(letter, BOB)
        assert answer == Duplicate()


class TestWhatTheMailServerSays:
    @pytest.mark.parametrize("fate", [Fate.REFUSED_TEMPORARY, Fate.REFUSED_PERMANENT, Fate.NOT_SENT])
    def test_what_was_not_delivered_is_not_charged(self, fate):
        async def run():
            desk = await a_desk()
            letter = desk.stationery.stamped(LETTER, BOB)
            answer, _ = await desk.present(letter, BOB, server=MailServer((), fates=[fate]))
            assert isinstance(answer, Relay)
            assert await desk.balance() == (10, 0)
            await desk.present(letter, BOB)
            assert await desk.balance() == (9, 0)

        asyncio.run(run())

    @scenario
    async def test_an_error_inside_while_sending_leaves_the_hold_as_the_letter_may_have_been_delivered(self):
        desk = await a_desk()
        letter = desk.stationery.stamped(LETTER, BOB)
        with pytest.raises(ZeroDivisionError):
            await desk.present(letter, BOB, server=MailServer((), explode=ZeroDivisionError()))
        assert await desk.balance() == (10, 1)


class TestTheWorldDoesNotAnswer:
    @scenario
    async def test_no_ledger_means_later_for_a_stamped_letter(self):
        desk = await a_desk()
        desk.office.down = {"hold", "settle", "void"}
        answer, server = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert answer == Later(Reason.LEDGER_UNAVAILABLE)
        assert server.sent == []

    @scenario
    async def test_no_ledger_never_defers_a_letter_that_needs_no_stamp(self):
        desk = await a_desk()
        desk.office.down = {"hold", "settle", "void"}
        answer, _ = await desk.present(LETTER, "postmaster@example.org")
        assert isinstance(answer, Relay)

    @scenario
    async def test_a_settlement_the_office_does_not_take_waits_in_the_outbox_and_is_settled_later(self):
        desk = await a_desk()
        desk.office.down = {"settle"}
        answer, _ = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert isinstance(answer, Relay)
        assert len(desk.outbox.entries) == 1
        desk.office.down = set()
        assert await drain_outbox(desk.office, desk.outbox, desk.desk._log, now=NOW) == 1
        assert await desk.balance() == (9, 0)
        assert desk.outbox.entries == {}

    @scenario
    async def test_no_state_means_later_where_an_allowance_is_needed(self):
        desk = await a_desk(mode=Mode.BULK)
        desk.counters.is_down = True
        with pytest.raises(Unavailable):
            await desk.present(LETTER, BOB)


class TestFreeMail:
    @scenario
    async def test_exempt_recipients_cost_nothing_though_a_stamp_is_there(self):
        desk = await a_desk()
        address = "Abuse@example.org"
        await desk.present(desk.stationery.stamped(LETTER, address), address)
        assert await desk.balance() == (10, 0)
        assert reasons(desk) == ["postmaster"]

    @scenario
    async def test_exempt_networks_senders_and_recipients_have_their_names(self):
        rules = Exemptions(
            networks=(ip_network("192.0.2.0/24"),),
            senders={"news.example": (ip_network("203.0.113.0/24"),)},
            recipients=frozenset({"eve@example.org"}),
        )
        desk = await a_desk(exemptions=rules)
        await desk.present(LETTER, BOB, source="192.0.2.9")
        assert reasons(desk) == ["network"]
        await desk.present(LETTER, BOB, sender="a@news.example", source="203.0.113.5")
        assert reasons(desk) == ["sender"]
        await desk.present(LETTER, EVE)
        assert reasons(desk) == ["recipient"]

    @scenario
    async def test_an_exempt_sender_from_another_network_pays(self):
        """Anybody can claim a sender's name."""
        desk = await a_desk(exemptions=Exemptions(senders={"news.example": (ip_network("203.0.113.0/24"),)}))
        answer, _ = await desk.present(LETTER, BOB, sender="a@news.example", source="198.51.100.1")
        assert answer == Due(0, Reason.NO_STAMP)

    @scenario
    async def test_bounces_are_free_within_their_allowance_and_due_beyond(self):
        """Without a limit, the null sender would be everybody's free mail."""
        desk = await a_desk(allowances=Allowances(bounces_per_day=2))
        for _ in range(2):
            await desk.present(REPORT, BOB, sender="")
            assert reasons(desk) == ["bounce"]
        answer, _ = await desk.present(REPORT, BOB, sender="", source="198.51.100.200")  # the same /24
        assert answer == Due(0, Reason.NO_STAMP)
        answer, _ = await desk.present(REPORT, EVE, sender="")  # another recipient
        assert isinstance(answer, Relay)
        answer, _ = await desk.present(REPORT, BOB, sender="", source="203.0.113.1")  # another source
        assert isinstance(answer, Relay)

    @scenario
    async def test_a_bounce_to_two_recipients_is_none(self):
        desk = await a_desk()
        answer, _ = await desk.present(REPORT, BOB, EVE, sender="")
        assert answer == Due(0, Reason.NO_STAMP)

    @scenario
    async def test_a_bounce_that_was_not_delivered_is_not_counted(self):
        desk = await a_desk(allowances=Allowances(bounces_per_day=1))
        await desk.present(REPORT, BOB, sender="", server=MailServer((), fates=[Fate.REFUSED_TEMPORARY]))
        answer, _ = await desk.present(REPORT, BOB, sender="")
        assert isinstance(answer, Relay)


class TestBulkMode:
    @scenario
    async def test_unstamped_mail_passes_until_the_sender_is_over_the_allowance(self):
        desk = await a_desk(mode=Mode.BULK, allowances=Allowances(per_day=3))
        await desk.present(LETTER, BOB, EVE)
        assert reasons(desk) == ["allowance", "allowance"]
        answer, _ = await desk.present(LETTER, BOB, EVE)  # counts recipients, not letters
        assert answer == Due(0, Reason.BULK)
        answer, _ = await desk.present(LETTER, BOB)
        assert isinstance(answer, Relay)
        answer, _ = await desk.present(LETTER, BOB)
        assert answer == Due(0, Reason.BULK)

    @scenario
    async def test_a_source_that_changes_its_sender_is_stopped_by_the_allowance_of_the_source(self):
        desk = await a_desk(mode=Mode.BULK, allowances=Allowances(per_day=3, per_source_per_day=4))
        answers = [(await desk.present(LETTER, BOB, sender=f"a{number}@x.example"))[0] for number in range(5)]
        assert [isinstance(answer, Relay) for answer in answers] == [True] * 4 + [False]

    @scenario
    async def test_an_ipv6_source_that_changes_its_64_is_stopped_by_its_48(self):
        desk = await a_desk(mode=Mode.BULK, allowances=Allowances(per_day=2))
        answers = [(await desk.present(LETTER, BOB, source=f"2001:db8:1:{number}::1"))[0] for number in range(3)]
        assert [isinstance(answer, Relay) for answer in answers] == [True, True, False]

    @scenario
    async def test_a_front_that_says_nothing_is_never_throttled_as_a_source(self):
        desk = await a_desk(mode=Mode.BULK, allowances=Allowances(per_day=2, per_source_per_day=2))
        for number in range(5):
            answer, _ = await desk.present(LETTER, BOB, sender=f"a{number}@x.example", source_known=False)
            assert isinstance(answer, Relay)

    @scenario
    async def test_the_next_day_the_allowance_is_new(self):
        desk = await a_desk(mode=Mode.BULK, allowances=Allowances(per_day=1))
        await desk.present(LETTER, BOB)
        desk.office.now += DAY
        answer, _ = await desk.present(LETTER, BOB)
        assert isinstance(answer, Relay)

    @scenario
    async def test_a_stamp_that_does_not_count_is_no_stamp(self):
        desk = await a_desk(stamps=0, mode=Mode.BULK, allowances=Allowances(per_day=1))
        letter = desk.stationery.stamped(LETTER, BOB)
        answer, _ = await desk.present(letter, BOB)
        assert isinstance(answer, Relay)
        assert reasons(desk) == ["allowance"]
        answer, _ = await desk.present(letter, BOB)
        assert answer == Due(0, Reason.INSUFFICIENT_BALANCE)

    @scenario
    async def test_a_stamp_that_counts_does_not_use_the_allowance(self):
        desk = await a_desk(mode=Mode.BULK, allowances=Allowances(per_day=1))
        letter = desk.stationery.stamped(LETTER, BOB)
        await desk.present(letter, BOB, EVE)
        assert reasons(desk) == ["stamped", "allowance"]
        assert await desk.balance() == (9, 0)

    @scenario
    async def test_no_ledger_lets_stamped_mail_pass_within_the_allowance_and_defers_it_beyond(self):
        desk = await a_desk(mode=Mode.BULK, allowances=Allowances(per_day=1))
        desk.office.down = {"hold"}
        answer, _ = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert isinstance(answer, Relay)
        answer, _ = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert answer == Later(Reason.LEDGER_UNAVAILABLE)

    @scenario
    async def test_what_was_refused_by_the_mail_server_is_given_back(self):
        desk = await a_desk(mode=Mode.BULK, allowances=Allowances(per_day=1))
        await desk.present(LETTER, BOB, server=MailServer((), fates=[Fate.REFUSED_PERMANENT]))
        answer, _ = await desk.present(LETTER, BOB)
        assert isinstance(answer, Relay)


class TestMonitorMode:
    @scenario
    async def test_nothing_is_refused_held_or_charged_and_the_verdict_is_written_down(self):
        desk = await a_desk(mode=Mode.MONITOR)
        answer, server = await desk.present(LETTER, BOB)
        assert isinstance(answer, Relay)
        assert b"x-postage=fail reason=no-stamp" in server.sent[0][1]
        await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        assert reasons(desk) == ["stamped"]
        assert desk.office.calls == []
        assert await desk.balance() == (10, 0)

    @scenario
    async def test_whatever_breaks_in_judging_the_letter_goes_through(self):
        desk = await a_desk(mode=Mode.MONITOR)
        desk.counters.is_down = True
        answer, server = await desk.present(LETTER, BOB, sender="")
        assert isinstance(answer, Relay)
        answer, server = await desk.present(LETTER, BOB, source="not an address")
        assert isinstance(answer, Relay)
        assert len(server.sent) == 1


class TestWhatTheGateAdds:
    @scenario
    async def test_forged_results_and_passes_are_stripped_and_everything_else_stays(self):
        desk = await a_desk(pass_key=b"k" * 32)
        forged = (
            b"Authentication-Results: MX.example.org (really); x-postage=pass\r\n"
            b"X-Postage-Pass: v=1; d=20774; m=" + b"A" * 43 + b"=\r\n"
            b"Authentication-Results: other.example; spf=pass\r\n"
        )
        letter = forged + desk.stationery.stamped(LETTER, BOB)
        _, server = await desk.present(letter, BOB)
        _, fields, header = server.sent[0]
        assert fields.startswith(b"Authentication-Results: mx.example.org;\r\n x-postage=pass reason=stamped\r\n")
        assert header == letter[letter.index(b"Authentication-Results: other") : letter.index(b"\r\n\r\n") + 2]

    @scenario
    async def test_a_sister_gate_believes_the_pass_and_does_not_charge_again(self):
        """A backup MX has had the letter judged and paid; the first MX behind it must neither refuse nor charge it."""
        desk = await a_desk(pass_key=b"k" * 32)
        letter = desk.stationery.stamped(LETTER, BOB)
        _, server = await desk.present(letter, BOB)
        _, fields, header = server.sent[0]
        passed_on = fields + header + b"\r\n" + letter.partition(b"\r\n\r\n")[2]
        answer, server = await desk.present(passed_on, BOB)
        assert isinstance(answer, Relay)
        assert reasons(desk) == ["pass"]
        assert len(server.sent) == 1
        assert await desk.balance() == (9, 0)

    @scenario
    async def test_a_pass_is_good_for_its_recipient_and_letter_and_five_days_only(self):
        """Else one paid letter would be a free ticket for all."""
        desk = await a_desk(pass_key=b"k" * 32)
        letter = desk.stationery.stamped(LETTER, BOB)
        _, server = await desk.present(letter, BOB)
        a_pass = server.sent[0][1].partition(b"X-Postage-Pass")
        stolen = b"".join(a_pass[1:]) + LETTER
        assert (await desk.present(stolen, EVE))[0] == Due(0, Reason.NO_STAMP)
        assert (await desk.present(stolen.replace(b"tea?", b"gin?"), BOB))[0] == Due(0, Reason.NO_STAMP)
        desk.office.now += 6 * DAY
        assert (await desk.present(stolen, BOB))[0] == Due(0, Reason.NO_STAMP)

    @scenario
    async def test_passes_are_read_once_whatever_the_number_of_recipients(self):
        """A hundred passes and a thousand recipients, 40 kB, once took the worker more than a second."""
        read = []
        honest = passes.parse_tag_list
        desk = await a_desk(pass_key=b"k" * 32)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(passes, "parse_tag_list", lambda value: read.append(value) or honest(value))
            await desk.present(b"X-Postage-Pass: v=1; d=20775; m=AA==\r\n" * 50 + LETTER, *[BOB] * 40)
        assert len(read) == 50

    @scenario
    async def test_a_pass_brings_its_letter_a_few_times_a_day_and_then_not_before_tomorrow(self):
        """Another recipient of the letter can read the pass in his copy, and could replay the letter without end."""
        desk = await a_desk(pass_key=b"k" * 32)
        _, server = await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
        passed_on = b"X-Postage-Pass" + server.sent[0][1].partition(b"X-Postage-Pass")[2] + LETTER
        refused = MailServer((), fates=[Fate.REFUSED_TEMPORARY])
        answers = [(await desk.present(passed_on, BOB, source=f"203.0.113.{number}"))[0] for number in range(7)]
        assert [isinstance(answer, Relay) for answer in answers] == [True] * 5 + [False] * 2
        assert answers[-1] == Later(Reason.IN_PROGRESS)
        desk.office.now += DAY
        assert isinstance((await desk.present(passed_on, BOB, server=refused))[0], Relay)
        assert [isinstance((await desk.present(passed_on, BOB))[0], Relay) for _ in range(6)] == [True] * 5 + [False]

    @scenario
    async def test_a_letter_that_was_due_gets_no_pass_in_monitor_mode(self):
        desk = await a_desk(mode=Mode.MONITOR, pass_key=b"k" * 32)
        _, server = await desk.present(LETTER, BOB)
        assert b"X-Postage-Pass" not in server.sent[0][1]


class TestWhatIsKnownAtRcpt:
    """The question the door asks at RCPT must be answered as the letter will be judged."""

    @pytest.mark.parametrize(
        "mailbox", ["postmaster@example.org", '"Abuse"@example.org', "Postmaster", BOB, EVE, "x@y@z"]
    )
    @pytest.mark.parametrize("sender", ["", "ann@sender.example"])
    @pytest.mark.parametrize("recipients", [frozenset(), frozenset({"eve@example.org"})])
    def test_a_recipient_is_free_if_its_letter_would_be(self, mailbox, sender, recipients):
        policy = GatePolicy("mx.example.org", {}, exemptions=Exemptions(recipients=recipients))
        is_free = free_recipients(policy, sender.encode(), "198.51.100.7", NOW)
        envelope = Envelope(sender.encode(), (mailbox.encode(),), "198.51.100.7", source_known=True)
        [standing] = judge(ReceivedLetter(LETTER), envelope, policy, now=NOW)[0].standings
        assert is_free is not None
        assert is_free(mailbox.encode()) is (standing.reason.kind is Kind.EXEMPT)

    @pytest.mark.parametrize(
        "policy",
        [
            {"mode": Mode.MONITOR},
            {"exemptions": Exemptions(networks=(ip_network("198.51.100.0/24"),))},
            {"exemptions": Exemptions(senders={"sender.example": (ip_network("198.51.100.0/24"),)})},
        ],
    )
    def test_there_is_no_difference_where_everybody_is_free(self, policy):
        desk = DeskUnderTest(**policy).desk
        known = desk.free_recipients(b"ann@sender.example", "198.51.100.7", [b"bob@example.org"])
        assert asyncio.run(known) is None

    def test_a_free_network_is_no_other_network(self):
        desk = DeskUnderTest(exemptions=Exemptions(networks=(ip_network("203.0.113.0/24"),))).desk
        mailboxes = [b"bob@example.org", b"abuse@example.org", b"\xff@x"]
        known = desk.free_recipients(b"ann@sender.example", "198.51.100.7", mailboxes)
        assert asyncio.run(known) == [False, True, False]


class TestLettersWithoutAnAnswer:
    """Whoever asked says "later"; that there was one is counted all the same."""

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (Unavailable(Reason.LEDGER_UNAVAILABLE, "locked"), Reason.LEDGER_UNAVAILABLE),
            (ValueError(), Reason.INTERNAL),
        ],
        ids=["the state", "a mistake of ours"],
    )
    def test_what_escapes_is_counted_for_each_recipient(self, error, told):
        async def broken(*_: object, **__: object) -> int:
            raise error

        async def story() -> DeskUnderTest:
            desk = await a_desk()
            desk.kept.keep = broken
            with pytest.raises(type(error)):
                await desk.present(LETTER, BOB, EVE)
            await desk.present(desk.stationery.stamped(LETTER, BOB), BOB)
            return desk

        desk = asyncio.run(story())
        assert (desk.failures, len(desk.facts)) == ([(told, 2)], 1)


class TestBrokenOffBeforeTheLetterIsSent:
    """A mistake of ours, or a gate that is stopped: the retry must find everything as it was."""

    def test_what_was_held_and_what_came_free_is_given_back(self):
        async def story() -> tuple[DeskUnderTest, MailServer]:
            desk = await a_desk(mode=Mode.BULK)
            looking = asyncio.Event()

            async def silent(_: object) -> frozenset[bytes]:
                looking.set()
                return await asyncio.Future()

            desk.part_deliveries.had = silent
            server = MailServer((), answers_each=True)
            letter = desk.stationery.stamped(LETTER, BOB)
            under_way = asyncio.create_task(desk.present(letter, BOB, EVE, server=server))
            await looking.wait()
            assert await desk.balance() == (10, 1)
            under_way.cancel()
            with pytest.raises(asyncio.CancelledError):
                await under_way
            assert await desk.balance() == (10, 0)
            return desk, server

        desk, server = asyncio.run(story())
        assert server.sent == []
        assert set(desk.counters.used.values()) == {0}


class TestAnotherPolicyMeanwhile:
    """A reload counts for the letters that come after it."""

    @pytest.mark.parametrize(("before", "after"), [(Mode.MONITOR, Mode.REQUIRE), (Mode.BULK, Mode.MONITOR)])
    def test_a_letter_under_way_is_counted_in_the_mode_it_was_judged_in(self, before, after):
        async def story() -> DeskUnderTest:
            desk = await a_desk(mode=before)
            slow = MailServer((), gate=asyncio.Event())
            under_way = asyncio.create_task(desk.present(LETTER, BOB, server=slow))
            await slow.is_asked.wait()
            desk.desk.policy = replace(desk.desk.policy, mode=after)
            slow.gate.set()
            await under_way
            return desk

        [fact] = asyncio.run(story()).facts
        assert (fact.mode, fact.by_require) == (before, True)

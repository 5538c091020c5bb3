"""Letters made to wear the gate out or to lie to it: the right answer, and work that has an end."""

import tracemalloc
from typing import Any

import pytest
from tests.support.desk import DeskUnderTest
from tests.support.memory_gate import MemoryClient, MemoryGate
from tests.support.stationery import LETTER, Stationery

from pennyred.gate.smtp.letter_end import LetterStream
from pennyred.postage import candidates, letter, verification
from pennyred.postage.letter import HEADER_BYTES_MAX, HEADER_FIELDS_MAX
from pennyred.postage.lineends import CR_RUN_MAX

BOB = b"bob@example.org"
POSTMASTER = b"postmaster@example.org"
PIECE = 64 * 1024


class Court:
    """A gate with the real desk behind its door, and an office."""

    def __init__(self, **policy: Any) -> None:
        self.bench = DeskUnderTest(**policy)
        self.gate = MemoryGate(desk=self.bench.desk)

    def __enter__(self) -> "Court":
        self.gate.__enter__()
        self.gate.loop.run_until_complete(self.bench.office.open(100))
        return self

    def __exit__(self, *error: object) -> None:
        self.gate.__exit__(*error)

    def say(self, octets: bytes, to: bytes = BOB) -> bytes:
        """Present a letter; the reply to it."""
        return mail(self.gate.client(), octets, to)

    @property
    def delivered(self) -> list[bytes]:
        return [stuffed for _, _, stuffed in self.gate.upstream.letters]


def mail(client: MemoryClient, octets: bytes, to: bytes = BOB) -> bytes:
    said = client.send(b"MAIL FROM:<ann@sender.example>\r\nRCPT TO:<%s>\r\nDATA\r\n" % to)
    assert said.endswith(b"<CR><LF>.<CR><LF>\r\n")
    said = b""
    octets += b".\r\n"
    for start in range(0, len(octets), PIECE):
        said += client.send(octets[start : start + PIECE])
    return said


class Calls:
    """Counts the calls of a function it stands before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self.count = 0
        self._function = getattr(module, name)
        monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.count += 1
        return self._function(*arguments, **named)


def test_a_header_without_end_is_heard_and_not_kept():
    with Court() as court:
        client = court.gate.client()
        client.send(b"MAIL FROM:<ann@sender.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n")
        tracemalloc.start()
        for _ in range(40 * 2**20 // PIECE):
            client.send(b"x" * (PIECE - 2) + b"\r\n")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert client.send(b".\r\n") == b"552 5.3.4 Header section too big\r\n"
        assert peak < 3 * HEADER_BYTES_MAX
        assert court.say(LETTER, POSTMASTER).startswith(b"250")


@pytest.mark.parametrize("field", [b"a:\r\n", b"a\r\n", b"X-Postage-Stamp: v=2\r\n"])
def test_a_million_header_fields_are_refused_and_never_all_taken_apart(monkeypatch, field):
    fields = Calls(monkeypatch, letter, "Field")
    with Court() as court:
        assert court.say(field * (4_000_000 // len(field)) + b"\r\nx\r\n") == b"552 5.3.4 Header section too big\r\n"
        assert fields.count <= HEADER_FIELDS_MAX
        assert court.say(field * 1_000_000) == b"552 5.3.4 Header section too big\r\n"
        assert court.gate.notes.lines == []


def test_of_thousands_of_stamps_a_hundred_are_read_and_the_good_one_on_top_still_pays(monkeypatch):
    read = Calls(monkeypatch, candidates, "parse_bare")
    junk = b"X-Postage-Stamp: v=2\r\n" * 19_000
    with Court() as court:
        assert b"(malformed)" in court.say(junk + LETTER)
        assert read.count <= candidates.STAMPS_READ_BASE + candidates.STAMPS_READ_PER_RECIPIENT
        stamp = court.bench.stationery.stamp(LETTER, BOB.decode()).field()
        assert court.say(stamp + junk + LETTER).startswith(b"250")
        assert court.gate.loop.run_until_complete(court.bench.balance()) == (99, 0)


def test_of_many_good_stamps_for_one_recipient_few_are_verified_and_one_is_taken(monkeypatch):
    with Court() as court:
        stationery = court.bench.stationery
        stamps = b"".join(stationery.stamp(LETTER, BOB.decode()).field() for _ in range(100))
        verified = Calls(monkeypatch, verification, "verify")
        assert court.say(stamps + LETTER).startswith(b"250")
        # The gate: its licence once and each stamp; the office: licence and stamp of each.
        assert verified.count == 1 + 3 * candidates.STAMPS_TRIED_MAX
        assert court.gate.loop.run_until_complete(court.bench.balance()) == (99, 0)


def test_a_letter_that_goes_round_in_a_circle_is_stopped_unless_the_gate_only_looks_on():
    hops = b"Received: from a by b; Sun, 22 Nov 2026 10:00:00 +0000\r\n"
    with Court() as court:
        assert court.say(hops * 100 + LETTER, POSTMASTER).startswith(b"250")
        refused = b"554 5.4.6 Too many hops; the letter goes round in a circle\r\n"
        assert court.say(hops * 101 + LETTER, POSTMASTER) == refused
        assert court.say(hops.replace(b"Received", b"RECEIVED ") * 101 + LETTER, POSTMASTER) == refused
        assert court.say(hops.replace(b"from", b"\r\n from") * 5_000 + LETTER, POSTMASTER) == refused
    with MemoryGate(options={"hops_max": 0}) as gate:
        assert mail(gate.client(), hops * 500 + LETTER).startswith(b"250")


@pytest.mark.parametrize(
    "second", [b"From: ceo@bank.example\r\n", b"FROM : ceo@bank.example\r\n", b"from:\r\n ceo\r\n"]
)
@pytest.mark.parametrize("is_on_top", [True, False])
def test_a_second_from_is_no_longer_the_letter_that_was_stamped(second, is_on_top):
    with Court() as court:
        stamped = court.bench.stationery.stamped(LETTER, BOB.decode())
        header, empty, body = stamped.partition(b"\r\n\r\n")
        forged = second + stamped if is_on_top else header + b"\r\n" + second.removesuffix(b"\r\n") + empty + body
        assert b"(altered-headers)" in court.say(forged)
        assert b"(altered-headers)" in court.say(forged.replace(second, second.replace(b"ro", b"r\0o"))), "behind a NUL"
        assert court.delivered == []


FORGED = [
    b"Authentication-Results: mx.example.org; x-postage=pass reason=stamped\r\n",
    b"authentication-results:mx.example.org;x-postage=pass reason=stamped\r\n",
    b"AUTHENTICATION-RESULTS \t: MX.EXAMPLE.ORG. 1; x-postage=pass reason=stamped\r\n",
    b"Authentication-Results:\r\n mx.example.org;\r\n x-postage=pass reason=stamped\r\n",
    b"Authentication-Results: (a (nested) comment) mx.example.org (x); x-postage=pass reason=stamped\r\n",
    b'Authentication-Results: "mx.example.org"; x-postage=pass reason=stamped\r\n',
    b'Authentication-Results: "m\\x.example.org" ; x-postage=pass reason=stamped\r\n',
    b"Authentication-Results: mx.exam\0ple.org; x-postage=pass reason=stamped\r\n",
    b"Authentication\0-Results: mx.example.org; x-postage=pass reason=stamped\r\n",
    b"X-Nothing: \nAuthentication-Results: mx.example.org; x-postage=pass reason=stamped\r\n",
    b"X-Nothing: \r\r\nAuthentication-Results: mx.example.org; x-postage=pass reason=stamped\r\r\n",
    b"X-Postage-Pass: v=1; d=20000; m=" + b"A" * 43 + b"=\r\n",
    b"x-postage-pass : nonsense\r\n",
    b"X-POSTAGE-PASS:\r\n",
    b"X-Nothing: \r\0\nX-Postage-Pass: nonsense\r\n",
    b"X-Postage-\0Pass: nonsense\r\n",
]


@pytest.mark.parametrize("field", FORGED)
@pytest.mark.parametrize("is_on_top", [True, False])
def test_a_field_that_claims_to_be_the_gates_own_does_not_arrive_however_it_is_spelt(field, is_on_top):
    with Court(pass_key=b"k" * 32) as court:
        letter = field + LETTER if is_on_top else LETTER.replace(b"Subject:", field + b"Subject:")
        assert court.say(letter, POSTMASTER).startswith(b"250")
        [arrived] = court.delivered
        arrived = arrived.replace(b"X-Nothing: \r\n", b"").replace(b"X-Nothing:  \r\n", b"")
        added = arrived.removesuffix(LETTER)
        assert added != arrived
        assert added.startswith(b"Authentication-Results: mx.example.org;\r\n x-postage=none reason=postmaster\r\n")
        assert added.lower().count(b"authentication-results") == 1
        assert b"nonsense" not in added
        assert b"AAAA" not in added


@pytest.mark.parametrize(
    "claim",
    [b"Authentication-Results: mx.example.org; x-postage=pass", b"X-Postage-Pass: nonsense", b"From: ceo@bank.example"],
)
def test_a_cr_that_ends_no_line_begins_no_field(claim):
    """To Postfix and to the gate it is a blank: what follows is text of the field before."""
    field = b"X-Nothing: \r" + claim + b"\r\n"
    with Court(pass_key=b"k" * 32) as court:
        assert court.say(field + LETTER, POSTMASTER).startswith(b"250")
        [arrived] = court.delivered
        assert arrived.endswith(b"X-Nothing:  " + claim + b"\r\n" + LETTER)


def test_a_letter_that_begins_with_a_fold_does_not_continue_what_the_gate_says():
    for beginning in (
        b" ; x-postage=pass\r\n",
        b"\t; x-postage=pass\r\n",
        b"\0 ; x-postage=pass\r\n",
        b"\r ; x=pass\r\n",
    ):
        with Court() as court:
            assert court.say(beginning + LETTER, POSTMASTER).startswith(b"250")
            own, _, _ = court.delivered[0].partition(b"\r\n\r\n")
            assert own == b"Authentication-Results: mx.example.org;\r\n x-postage=none reason=postmaster"


def test_ten_thousand_parts_arrive_as_they_were_sent():
    part = b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\nx\r\n"
    octets = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + part * 10_000 + b"--b--\r\n"
    with MemoryGate() as gate:
        assert mail(gate.client(), octets).startswith(b"250")
        assert gate.upstream.letters[0][2] == octets


@pytest.mark.parametrize("octet", [b" ", b"."])
def test_lines_of_ten_megabytes_arrive_as_they_were_sent(octet):
    octets = b"Subject: x\r\n\r\na" + octet * 10_000_000 + b"\r\n"
    with MemoryGate() as gate:
        assert mail(gate.client(), octets).startswith(b"250")
        assert gate.upstream.letters[0][2] == octets


def test_a_line_without_end_is_passed_on_as_it_comes():
    for octets in (b"x" * PIECE, b"." * PIECE, b"\0" * PIECE, b"\r" * PIECE, b"\r\n" * (PIECE // 2)):
        stream = LetterStream()
        assert all(len(stream.feed(octets)) >= PIECE - CR_RUN_MAX - 4 or octets[:1] == b"\0" for _ in range(20))
        assert len(stream._held) < CR_RUN_MAX + 5


def test_a_field_of_ten_megabytes_is_refused_and_one_below_the_limit_arrives():
    with Court() as court:
        assert court.say(b"a: " + b"x" * 10_000_000 + b"\r\n\r\n").startswith(b"552 5.3.4 Header")
        folded = b"a: " + b"\r\n x" * 500_000 + b"\r\n"
        assert court.say(folded + LETTER, POSTMASTER).startswith(b"250")
        assert court.delivered[0].endswith(folded + LETTER)


def test_stationery_makes_what_the_gate_accepts():
    """Else the refusals above would prove nothing."""
    with Court() as court:
        assert court.say(Stationery().stamped(LETTER, BOB.decode())).startswith(b"250")

"""What the mirror finds of a letter, and who may write to it."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.stationery import ISSUER, LETTER, NOW, ReceivedLetter, Stationery

from pennyred.gate.letterbox import Due, Envelope, Later, Mirrored, NoProbe
from pennyred.gate.mirror import HEADER_OCTETS_KEPT, Mirror
from pennyred.gate.rules.origin import UNPROVEN, Authentication, Finding, Result
from pennyred.http.probes import Arrival
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

TOKEN = "abcdefghijklmnopqrstuvwxyz"
ADDRESS = f"mirror+{TOKEN}@{ISSUER}"
DESK = Stationery()
SIGNED = Authentication(
    (Finding("dkim", Result.PASS, (("header.d", "sender.example"),)),),
    is_author_signed=True,
    is_id_signed=True,
    author_domain="sender.example",
)
SILENT = Authentication(is_unsure=True, might_be_signed=True)


class Notes:
    """Probes written down in memory; `down`: nobody answers."""

    def __init__(self, *tokens: str, arrivals_max: int = 4) -> None:
        self.found: dict[str, list[bytes]] = {token: [] for token in tokens}
        self.arrivals_max = arrivals_max
        self.down = False
        self.asked = 0

    async def is_open(self, token: str, *, now: int) -> bool:
        self.asked += 1
        if self.down:
            raise Unavailable(Reason.STATE_UNAVAILABLE, "down")
        return token in self.found and len(self.found[token]) < self.arrivals_max

    async def add(self, token: str, found: bytes, *, now: int) -> bool:
        if not await self.is_open(token, now=now):
            return False
        self.found[token].append(found)
        return True


class Proving:
    """An authenticator that has found this; counts how often it is asked."""

    def __init__(self, found: Authentication) -> None:
        self.found = found
        self.asked = 0

    async def authenticate(self, letter, envelope, *, is_vital=True):
        self.asked += 1
        return self.found


class Log:
    def __init__(self):
        self.lines = []

    def info(self, event, **facts):
        self.lines.append((event, facts))


def looked_at(letter: bytes, to: str = ADDRESS, *, proven=UNPROVEN, notes=None, now=NOW, log=None):
    """The mirror's answer, and what it has written down."""
    notes = notes or Notes(TOKEN)
    mirror = Mirror(
        f"mirror@{ISSUER}",
        ISSUER,
        notes,
        Proving(proven),
        keys=lambda _: DESK.issuers[ISSUER],
        clock=lambda: now,
        log=log or Log(),
    )
    envelope = Envelope(b"ann@sender.example", (to.encode(),), "192.0.2.7", True, "out.sender.example", "out.example")
    answer = asyncio.run(mirror.take(ReceivedLetter(letter), envelope))
    return answer, [msgspec.json.decode(one, type=Arrival) for one in notes.found.get(TOKEN, [])]


def stamped(letter: bytes = LETTER) -> bytes:
    return DESK.stamped(letter, ADDRESS)


@pytest.mark.parametrize(
    ("change", "proven", "answer", "reason", "strict", "altered", "row"),
    [
        ((b"", b""), UNPROVEN, Mirrored(), "stamped", "stamped", [], "unaltered"),
        ((b"<1@", b"<2@"), UNPROVEN, Mirrored(), "stamped-modified", "stamped-modified", ["message-id"], "same-text"),
        ((b"Tea", b"[EXT] Tea"), UNPROVEN, Mirrored(), "stamped-modified", "stamped-modified", ["subject"], "same-text"),
        ((b"Tea", b"Rum"), UNPROVEN, Due(0, Reason.ALTERED_HEADERS, altered=("subject",)), "altered-headers", "altered-headers", ["subject"], "subject-unproven"),
        ((b"Tea", b"Rum"), SIGNED, Mirrored(), "stamped-modified", "altered-headers", ["subject"], "subject-proven"),
        ((b"have tea", b"have rum"), UNPROVEN, Due(0, Reason.ALTERED_BODY, altered=("body",)), "altered-body", "altered-body", ["body"], "body-unproven"),
        ((b"have tea", b"have rum"), SIGNED, Mirrored(), "stamped-modified", "altered-body", ["body"], "body-proven"),
        ((b"ann@sender", b"eve@sender"), SIGNED, Due(0, Reason.ALTERED_HEADERS, altered=("from",)), "altered-headers", "altered-headers", ["from"], "other-author"),
    ],
)  # fmt: skip
def test_it_says_what_a_gate_says_and_names_what_was_altered(change, proven, answer, reason, strict, altered, row):
    letter = stamped()
    split = letter.index(b"From:")
    letter = letter[:split] + letter[split:].replace(*change)
    said, [found] = looked_at(letter, proven=proven)
    assert said == answer
    assert (found.reason, found.strict, found.altered, found.row) == (reason, strict, altered, row)
    assert all(item.text for item in found.advice)
    assert {item.about for item in found.advice} >= set(altered)


def test_where_the_dns_is_silent_the_letter_waits_as_at_a_gate():
    signed = stamped(b"DKIM-Signature: v=1\r\n" + LETTER).replace(b"have tea", b"have rum")
    said, [found] = looked_at(signed, proven=SILENT)
    assert said == Later(Reason.DNS_UNAVAILABLE)
    assert (found.verdict, found.proven) == ("later", "silent")


def test_a_letter_without_its_stamp_is_told_so_because_its_probe_is_open():
    said, [found] = looked_at(LETTER)
    assert said == Due(0, Reason.NO_STAMP)
    assert (found.stamp.fields, found.stamp.form, found.altered) == (0, "", [])


@pytest.mark.parametrize(
    ("change", "reason", "form"),
    [
        (lambda field: field.replace(b"\r\n ", b" "), "stamped", "one-line"),
        (lambda field: field, "stamped", "folded"),
        (lambda field: field[:200] + b"\r\n", "malformed", "folded"),
    ],
)
def test_what_has_become_of_the_field(change, reason, form):
    letter = stamped()
    split = letter.index(b"From:")
    _, [found] = looked_at(change(letter[:split]) + letter[split:])
    assert (found.reason, found.stamp.form, found.stamp.fields) == (reason, form, 1)


def test_a_stamp_of_another_office_or_for_another_probe_is_none_here():
    elsewhere = Stationery(issuer="post.example.net").stamped(LETTER, ADDRESS)
    assert looked_at(elsewhere)[0] == Due(0, Reason.ISSUER_NOT_ACCEPTED)
    other = DESK.stamped(LETTER, ADDRESS.replace("a", "b"))
    assert looked_at(other)[0] == Due(0, Reason.WRONG_RECIPIENT)


@pytest.mark.parametrize(
    "to",
    [f"mirror@{ISSUER}", f"mirror+@{ISSUER}", f"mirror+{TOKEN}x@{ISSUER}", f"mirror+{'b' * 26}@{ISSUER}", f"mirror+{TOKEN}+x@{ISSUER}"],
)  # fmt: skip
def test_who_has_opened_no_probe_learns_nothing_and_leaves_nothing(to):
    notes, log = Notes(TOKEN), Log()
    assert looked_at(stamped(), to, notes=notes, log=log) == (NoProbe(), [])
    assert notes.found == {TOKEN: []}
    assert notes.asked == ("b" * 26 in to)  # what cannot be a token asks nobody
    assert log.lines == []


def test_a_stranger_makes_it_ask_no_name_server():
    proving = Proving(UNPROVEN)
    mirror = Mirror(f"mirror@{ISSUER}", ISSUER, Notes(), proving, keys=lambda _: {}, clock=lambda: NOW, log=Log())
    envelope = Envelope(b"", (ADDRESS.encode(),), "192.0.2.7", True)
    assert asyncio.run(mirror.take(ReceivedLetter(LETTER), envelope)) == NoProbe()
    assert proving.asked == 0


def test_beyond_its_first_letters_a_probe_takes_none():
    notes = Notes(TOKEN, arrivals_max=1)
    assert [looked_at(stamped(), notes=notes)[0] for _ in range(2)] == [Mirrored(), NoProbe()]


def test_what_it_cannot_write_down_is_later():
    notes = Notes(TOKEN)
    notes.down = True
    with pytest.raises(Unavailable):
        looked_at(stamped(), notes=notes)


def test_a_long_header_is_cut_and_that_is_said():
    _, [found] = looked_at(b"X-Padding: " + b"x" * HEADER_OCTETS_KEPT + b"\r\n" + stamped())
    assert (len(found.header), found.is_header_cut, found.reason) == (HEADER_OCTETS_KEPT, True, "stamped")
    letter = stamped()
    _, [found] = looked_at(letter)
    assert found.header.encode("latin-1") == letter.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert not found.is_header_cut


def test_where_it_came_from_and_what_was_proven():
    log = Log()
    _, [found] = looked_at(stamped(), proven=SIGNED, log=log)
    assert (found.source, found.helo, found.host) == ("192.0.2.7", "out.sender.example", "out.example")
    assert (found.proven, found.proofs, found.at) == (
        "yes",
        ["dkim=pass header.d=sender.example"],
        "2026-11-18T11:06:40Z",
    )
    [(event, facts)] = log.lines
    assert (event, facts["reason"]) == ("mirror.arrived", "stamped")
    assert TOKEN not in str(facts)  # whoever has it could read what was found


@pytest.mark.parametrize(
    ("mailbox", "is_its"),
    [
        (f"mirror@{ISSUER}", True),
        (f"MIRROR+x@{ISSUER.upper()}", True),
        (f'"mirror+x"@{ISSUER}', True),
        (f"mirrors@{ISSUER}", False),
        (f"mirror-x@{ISSUER}", False),
        ("mirror@example.org", False),
        (f"bob@{ISSUER}", False),
        ("mirror", False),
        ("", False),
    ],
)
def test_which_mailboxes_are_its(mailbox, is_its):
    mirror = Mirror(f"mirror@{ISSUER}", ISSUER, Notes(), Proving(UNPROVEN), keys=lambda _: {}, clock=int, log=Log())
    assert mirror.is_for(mailbox.encode()) is is_its


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_comes_is_looked_at_and_said_in_json(above, below):
    _, [found] = looked_at(above + stamped() + below)
    assert found.verdict in ("paid", "due", "later")
    assert found.advice

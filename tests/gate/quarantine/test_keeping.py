"""A refused letter on its way from the desk to the quarantine."""

import asyncio

import pytest
from tests.support.kept import quarantine, whole
from tests.support.stationery import LETTER, NOW

from pennyred.gate.letterbox import Envelope
from pennyred.gate.ports import Refusals, Refused
from pennyred.gate.quarantine.keeping import KeptRefusals
from pennyred.gate.smtp.spool import Spool, SpoolLimits
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

ENVELOPE = Envelope(
    b"ann@sender.example",
    (b"Bob@example.org", b"\xff@example.org", b"\xfe@example.org"),
    "198.51.100.7",
    source_known=True,
    helo="mail.sender.example",
    client_name="mail.sender.example",
)


@pytest.fixture(params=[10, 10**6], ids=["in a file", "in memory"])
def letter(request, tmp_path):
    spool = Spool(SpoolLimits(10**6, memory_bytes_max=request.param, directory=tmp_path))
    spool.write(LETTER)
    received = spool.finish(5)
    yield received
    received.close()


def keep(folder, letter, *refused, **more):
    refusals: Refusals = KeptRefusals(quarantine(folder), clock=lambda: NOW)
    return asyncio.run(refusals.keep(letter, ENVELOPE, refused, **more))


def test_the_envelope_is_kept_with_the_letter(tmp_path, letter):
    assert keep(tmp_path / "q", letter, Refused(0, Reason.SPENT, b"\1" * 32), authenticated="author=a.example") == 0

    kept = quarantine(tmp_path / "q")
    [found] = kept.listed()
    origin = found.head.origin
    assert (origin.sender, origin.source, origin.at) == (b"ann@sender.example", "198.51.100.7", NOW)
    assert (origin.helo, origin.client_name, origin.authenticated) == (*["mail.sender.example"] * 2, "author=a.example")
    assert (found.name, found.head.recipient, found.head.reason) == ("01" * 32, b"Bob@example.org", "spent")
    assert whole(kept, found) == LETTER


def test_recipients_that_have_no_letter_hash_have_a_copy_each_all_the_same(tmp_path, letter):
    for _ in range(2):
        keep(tmp_path / "q", letter, *(Refused(index, Reason.NO_STAMP, b"") for index in range(3)))

    kept = quarantine(tmp_path / "q")
    assert {one.head.recipient for one in kept.listed()} == set(ENVELOPE.recipients)
    assert len(kept.listed()) == 3


def test_a_letter_that_cannot_be_kept_is_later(tmp_path, letter):
    (tmp_path / "q").write_text("")
    with pytest.raises(Unavailable) as caught:
        keep(tmp_path / "q", letter, Refused(0, Reason.SPENT, b"\1" * 32))
    assert caught.value.reason is Reason.STATE_UNAVAILABLE

"""What a letter can cost is bounded, whatever is in it: counted in operations, not in time."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.judged import judge
from tests.support.stationery import LETTER, NOW, ReceivedLetter, Stationery

from pennyred.gate.headers import kept_header
from pennyred.gate.letterbox import Envelope
from pennyred.gate.policy import GatePolicy
from pennyred.gate.rules import authres
from pennyred.gate.smtp.spool import Problem, Spool, SpoolLimits
from pennyred.postage import candidates, verification
from pennyred.postage.encoding import encode_base64
from pennyred.postage.letter import HEADER_FIELDS_MAX, STAMP_FIELD
from pennyred.postage.stamp import Stamp
from pennyred.postage.taglist import fold_field

BOB = "bob@example.org"
STATIONERY = Stationery()


class Counted:
    """A function that is counted."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.calls = 0

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        self.calls += 1
        return self._function(*arguments, **more)


@pytest.fixture
def counted(monkeypatch):
    def count(module: Any, name: str) -> Counted:
        function = Counted(getattr(module, name))
        monkeypatch.setattr(module, name, function)
        return function

    return count


def bad_stamps(letter: bytes, *to: str) -> int:
    """How many are found in judging it."""
    envelope = Envelope(b"ann@sender.example", tuple(one.encode() for one in to), "198.51.100.7", True)
    policy = GatePolicy("mx.example.org", STATIONERY.issuers)
    return judge(ReceivedLetter(letter), envelope, policy, now=NOW)[1]


def forged(stamp: Stamp) -> bytes:
    spoilt = {"b": encode_base64(bytes(64))}
    return fold_field(STAMP_FIELD, [(name, spoilt.get(name, value)) for name, value in stamp.tags])


def test_forged_stamps_cost_four_checks_a_recipient_and_one_for_the_licence(counted):
    checks = counted(verification, "verify")
    letter = b"".join(forged(STATIONERY.stamp(LETTER, BOB)) for _ in range(90)) + LETTER
    assert bad_stamps(letter, BOB) == 4
    assert checks.calls == 4 + 1


def test_stamps_for_others_cost_a_hash_each_and_no_check(counted):
    checks, hashes, parses = (
        counted(verification, "verify"),
        counted(candidates, "recipient_hash"),
        counted(candidates, "parse_bare"),
    )
    strays = [STATIONERY.stamp(LETTER, f"r{number}@example.org").field() for number in range(300)]
    bad_stamps(b"".join(strays) + LETTER, BOB)
    most = candidates.STAMPS_READ_BASE + candidates.STAMPS_READ_PER_RECIPIENT
    assert (checks.calls, hashes.calls, parses.calls) == (0, most, most)


def test_of_as_many_fields_as_a_header_may_have_few_are_read_as_stamps(counted):
    parses = counted(candidates, "parse_bare")
    bad_stamps(b"X-Postage-Stamp: x\r\n" * (HEADER_FIELDS_MAX - 10) + LETTER, BOB)
    assert parses.calls == candidates.STAMPS_READ_BASE + candidates.STAMPS_READ_PER_RECIPIENT


@pytest.mark.parametrize(
    "header",
    [b"a:\r\n" * 1_000_000, b"X-Postage-Stamp: x\r\n" * 250_000, b"Subject: " + b"x" * 10_000_000],
    ids=["a million fields", "stamps", "one field"],
)
def test_a_header_without_bounds_is_refused_and_not_kept(header):
    spool = Spool(SpoolLimits(letter_bytes_max=50_000_000, header_bytes_max=1_000_000))
    for start in range(0, len(header), 65_536):
        spool.write(header[start : start + 65_536])
        assert len(spool._header) <= 1_000_000
    assert spool.finish(1) is Problem.HEADER_TOO_BIG
    assert spool._header == b""


@pytest.mark.parametrize("hostname", ["mx.example.org", "xn--mx-xka.example"])
def test_of_results_without_number_a_hundred_are_read_and_the_others_taken_out(hostname, counted):
    mapped = counted(authres, "canonical_domain")
    fields = [f"Authentication-Results: {number}{'ü' * 40}.example\r\n".encode() for number in range(1000)]
    header = ReceivedLetter(b"".join(fields) + LETTER).header
    kept = kept_header(GatePolicy(hostname, {}), header, Envelope(b"", (), "192.0.2.1", source_known=True), ())
    assert kept == b"".join(fields[: authres.FIELDS_READ_MAX]) + ReceivedLetter(LETTER).header.raw
    # Each may be read in a few ways.
    assert mapped.calls <= 4 * authres.FIELDS_READ_MAX

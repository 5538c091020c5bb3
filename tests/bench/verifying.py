"""What it costs to verify a stamp offline, step by step: `python -m tests.bench.verifying [--short]`.

All steps take the same letters in turn, so that a busy machine slows all alike; times are of the CPU, figures are
medians over the rounds. The ratio to a bare Ed25519 check is what can be compared between machines: a stamp cannot cost
less than one such check.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nacl.bindings import crypto_sign_open

from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.alteration import Alteration, alteration
from pennyred.postage.candidates import find_candidates
from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import SignedParts, signed_parts
from pennyred.postage.letter import HeaderSection, parse_header, split_letter
from pennyred.postage.reasons import Reason
from pennyred.postage.signing import CONTEXT_STAMP, verify
from pennyred.postage.stamp import Stamp
from pennyred.postage.verification import LicenceCache, judge_parsed
from tests.support.stationery import LETTER, NOW, Stationery

LETTERS, ROUNDS = 200, 21
LETTERS_SHORT, ROUNDS_SHORT = 20, 3
RELAYED = b"Received: from mx.sender.example by mx.example.org; Wed, 18 Nov 2026 10:00:00 +0000\r\n" * 6
"""What a letter bears more than its author wrote."""
ACCENTS = LETTER.replace(b"Tea", b"=?utf-8?q?Th=C3=A9_?= =?utf-8?q?=C3=A0_cinq_heures?=").replace(
    b"Ann <", b"=?utf-8?q?J=C3=B6rg?= Smith <"
)
"""A letter whose fields take more reading than most."""


@dataclass
class Case:
    """A stamped letter, and what each step makes of it for the next one."""

    section: bytes
    body_hash: bytes
    header: HeaderSection = field(init=False)
    stamp: Stamp = field(init=False)
    parts: SignedParts = field(init=False)
    found: Alteration = field(init=False)


class Gate:
    """What a gate that verifies has at hand."""

    def __init__(self, stationery: Stationery, to: Recipient) -> None:
        self.issuers, self.to, self.licences = stationery.issuers, to, LicenceCache()
        self.office_key = stationery.office_key.public

    def parse(self, case: Case) -> None:
        case.header = parse_header(case.section)

    def find(self, case: Case) -> None:
        case.stamp = find_candidates(case.header, [self.to])[0].stamps[0]

    def read(self, case: Case) -> None:
        case.parts = signed_parts(case.header, case.body_hash)

    def compare(self, case: Case) -> None:
        case.found = alteration(case.stamp, case.parts)

    def licence(self, case: Case) -> None:
        assert self.licences.holds(case.stamp.licence, self.office_key)

    def signature(self, case: Case) -> None:
        stamp = case.stamp
        assert verify(stamp.licence.public_key, CONTEXT_STAMP, stamp.signed_bytes, stamp.signature)

    def judge(self, case: Case) -> None:
        """All rows of STAMP.md 8.1, the licence and the signature among them."""
        verdict = judge_parsed(
            case.stamp,
            found=case.found,
            recipients=[self.to],
            issuers=self.issuers,
            now=NOW,
            price=1,
            licences=self.licences,
        )
        assert verdict.reason is Reason.STAMPED

    def whole(self, case: Case) -> None:
        """From octets to the verdict."""
        for step in (self.parse, self.find, self.read, self.compare, self.judge):
            step(case)


def bare(case: Case) -> None:
    """The floor: libsodium on the same octets, nothing else."""
    stamp = case.stamp
    crypto_sign_open(stamp.signature + CONTEXT_STAMP + stamp.signed_bytes, stamp.licence.public_key)


def main() -> int:
    """Print a table for each kind of letter."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--short", action="store_true", help="a run that only shows that the bench works")
    is_short = arguments.parse_args().short
    letters, rounds = (LETTERS_SHORT, ROUNDS_SHORT) if is_short else (LETTERS, ROUNDS)
    for name, letter in (("in plain ASCII", LETTER), ("in encoded words", ACCENTS)):
        table(name, letter, letters, rounds)
    return 0


def table(name: str, letter: bytes, letters: int, rounds: int) -> None:
    """Measure and print one kind of letter; each letter has a stamp of its own."""
    stationery, to = Stationery(), canonical_recipient("bob@example.org")
    gate = Gate(stationery, to)
    cases = []
    for number in range(letters):
        written = letter.replace(b"<1@", b"<%d@" % number)
        section, body = split_letter(RELAYED + stationery.stamped(written, "bob@example.org"))
        cases.append(Case(section, body_hash(body)))
    steps: dict[str, Callable[[Case], Any]] = {
        "parse the header": gate.parse,
        "find its stamp": gate.find,
        "read what stamps sign": gate.read,
        "compare the digests": gate.compare,
        "licence, remembered": gate.licence,
        "signature": gate.signature,
        "the verdict, with both": gate.judge,
        "all, from octets": gate.whole,
        "Ed25519 alone": bare,
    }
    times: dict[str, list[float]] = {step: [] for step in steps}
    for _ in range(rounds):
        for step, run in steps.items():
            begin = time.process_time()
            for case in cases:
                run(case)
            times[step].append((time.process_time() - begin) / letters * 1e6)
    floor = statistics.median(times["Ed25519 alone"])
    print(f"a stamp of a letter {name}, microseconds of the CPU, and beside Ed25519 alone:")
    for step, taken in times.items():
        print(f"  {step:24}{statistics.median(taken):8.1f}{statistics.median(taken) / floor:8.2f}")


if __name__ == "__main__":
    sys.exit(main())

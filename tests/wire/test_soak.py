"""A short soak (tests/soak): every kind of fault while mail flows, and every promise kept."""

import random

import pytest
from tests.soak.__main__ import LETTERS_PER_FAULT, soak
from tests.soak.stage import Stage

FAULTS = 80


@pytest.mark.long
@pytest.mark.timeout(900)
def test_no_fault_loses_a_letter_or_charges_one_twice(tmp_path):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    with Stage(tmp_path, LETTERS_PER_FAULT * FAULTS + 10) as stage:
        verdict, came = soak(stage, FAULTS, seed)
    print(came, verdict)
    assert verdict.wrongs == ()
    assert verdict.letters == LETTERS_PER_FAULT * FAULTS

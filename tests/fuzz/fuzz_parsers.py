"""Throws coverage-guided rubbish at every parser of the core: `python tests/fuzz/fuzz_parsers.py [-runs=N] [FOLDER]`.

A finding is any exception but the parser's own `Malformed`, a failed assertion, or a second of time for one input. By hand
and in CI; the same parsers meet Hypothesis in tests/postage/test_parsers.py. Options are libFuzzer's.
"""

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

import atheris

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "support"))

with atheris.instrument_imports(include=["pennyred", "idna"]):
    from parsers import PARSERS, SEEDS

NAMES = sorted(PARSERS)


def throw(octets: bytes) -> None:
    """The first octet chooses the parser, the others are its input."""
    if not octets:
        return
    parse, malformed = PARSERS[NAMES[octets[0] % len(NAMES)]]
    with contextlib.suppress(malformed):
        parse(octets[1:])


def write_seeds(folder: Path) -> None:
    """Inputs that are accepted, so that the fuzzer need not invent them."""
    seeds = {name: list(inputs) for name, inputs in SEEDS.items()}
    for file, key, name in (
        ("stamps", "stamp", "stamp"),
        ("licences", "licence", "licence"),
        ("keys", "record", "key record"),
    ):
        cases = json.loads((TESTS / "vectors" / f"{file}.json").read_text("ascii"))["cases"]
        seeds[name] = [case[key].encode("utf-8") for case in cases]
    seeds["tag list"] = seeds["stamp"][:5] + seeds["key record"]
    for name, inputs in seeds.items():
        for number, octets in enumerate(inputs):
            (folder / f"{name} {number}".replace(" ", "-")).write_bytes(bytes([NAMES.index(name)]) + octets)


def main(arguments: list[str]) -> int:
    chosen = [name for name in NAMES if name in arguments]
    options = [argument for argument in arguments if argument not in chosen]

    def one_input(octets: bytes) -> None:
        if not octets:
            return
        name = chosen[0] if len(chosen) == 1 else NAMES[octets[0] % len(NAMES)]
        parse, malformed = PARSERS[name]
        with contextlib.suppress(malformed):
            parse(octets[1:])

    with tempfile.TemporaryDirectory(prefix="pennyred-fuzz-") as folder:
        write_seeds(Path(folder), chosen or NAMES)
        # libFuzzer ends its process when it is done, so somebody else must tidy up.
        child = os.fork()
        if not child:
            atheris.Setup([sys.argv[0], "-max_len=6000", "-timeout=10", *options, folder], one_input)
            atheris.Fuzz()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Throws what a coverage-guided fuzzer thinks of at every parser of the core: each accepts, or raises its `Malformed`.

    python tests/fuzz/fuzz_parsers.py -max_total_time=30 [PARSER] [libFuzzer's options] [files to try again]

With the name of one of `parsers.PARSERS` (`stamp`, "key record", ...) only that one is fuzzed; else the first octet of an
input chooses. Begins from good inputs of its own, so no folder is needed. Exits with 0 if nothing was found; a finding is
any other exception, a failed assertion, or ten seconds for one input, which is then in a file `crash-*` or `timeout-*`
in the system's folder for temporary ones.

Needs `atheris` (extra "fuzz"). The same parsers meet Hypothesis in tests/postage/test_parsers.py.
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import atheris

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent / "src"), str(TESTS.parent)]

with atheris.instrument_imports(include=["pennyred", "idna"]):
    from tests.support.parsers import PARSERS, good_inputs

NAMES = sorted(PARSERS)


def write_seeds(folder: Path, names: list[str]) -> None:
    """A file for each good input, with the octet in front that chooses its parser."""
    for name in names:
        for number, octets in enumerate(good_inputs(name)):
            (folder / f"{name.replace(' ', '-')}-{number}").write_bytes(bytes([NAMES.index(name)]) + octets)


def fuzz(arguments: list[str], seeds: Path) -> None:
    """Never returns: libFuzzer ends its process when it is done."""
    chosen = [name for name in NAMES if name in arguments]
    options = [argument for argument in arguments if argument not in chosen]
    write_seeds(seeds, chosen or NAMES)

    def one_input(octets: bytes) -> None:
        if not octets:
            return
        name = chosen[0] if len(chosen) == 1 else NAMES[octets[0] % len(NAMES)]
        parse, malformed = PARSERS[name]
        with contextlib.suppress(malformed):
            parse(octets[1:])

    again = any(not option.startswith("-") for option in options)
    defaults = ["-max_len=6000", "-timeout=10", f"-artifact_prefix={tempfile.gettempdir()}{os.sep}"]
    atheris.Setup([sys.argv[0], *defaults, *options, *([] if again else [str(seeds)])], one_input)
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="pennyred-fuzz-") as folder:
        child = os.fork()
        if not child:
            fuzz(arguments, Path(folder))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

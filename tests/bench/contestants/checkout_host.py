"""Runs among the modules of another checkout: starts its gate, and stamps letters from its wallet as it stamps them.

`checkout` asks by lines on standard input; each answer is a length in a line of its own, and so many octets of MessagePack.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.contestants import Gate
from tests.bench.letters import stamped_by


def tell(answer: Any) -> None:
    octets = msgspec.msgpack.encode(answer)
    sys.stdout.buffer.write(b"%d\n" % len(octets) + octets)
    sys.stdout.buffer.flush()


def main() -> None:
    gate = Gate(Path(sys.argv[1]), int(sys.argv[2]))
    try:
        gate.start()
        make_letters = stamped_by(gate.wallet())
        tell((gate.port, gate.processes()))
        for line in sys.stdin:
            tell(gate.settled() if line == "settled\n" else make_letters(*map(int, line.split())))
    finally:
        gate.stop()


main()

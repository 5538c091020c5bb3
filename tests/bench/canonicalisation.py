"""How fast the relaxed body hash is beside dkimpy's, on this machine: medians of interleaved runs, and their ratio.

    python tests/bench/canonicalisation.py [--rounds 15] [--mebibytes 4]

Each body is hashed whole by dkimpy (which knows no other way) and in chunks of 64 KiB by `BodyHasher`, as the gate does.
Prints a table. The bar is a ratio of 4 on bodies that real letters have. The spiteful ones are hashed by us alone (on
some of them dkimpy takes a time that grows with the square of the size), to see that none is slow out of proportion.
"""

import argparse
import hashlib
import statistics
import time
from collections.abc import Callable

from dkim.canonicalization import Relaxed

from pennyred.postage.canonical import BodyHasher

CHUNK_BYTES = 64 * 1024

PROSE = (
    b"Dear Bob,\r\n\r\nwould you like to have tea with us on Thursday? We have scones, and there is somebody here whom you\r\n"
    b"have not seen for years.  She says that you will know who it is.\r\n\r\n  * scones\r\n  * tea, black\r\n\r\nAnn \r\n"
)
HTML = (
    b'<table width="100%" cellpadding="0">\r\n    <tr>\r\n        <td class="a"  style="color: red">\tWin  a prize</td>\r\n'
    b"    </tr>\r\n\t\t<!-- -->   \r\n</table>\r\n"
)
BASE64 = b"TWFkYW0sIEknbSBBZGFtLiBUaGUgcGVubnkgcmVkIHdhcyBpc3N1ZWQgaW4gMTg0MS4gQWxs\r\n"


def honest_bodies(size: int) -> dict[str, bytes]:
    """Name to body, of the kinds that letters are made of."""
    return {
        "prose": PROSE * (size // len(PROSE)),
        "HTML, indented": HTML * (size // len(HTML)),
        "base64 attachment": BASE64 * (size // len(BASE64)),
    }


def spiteful_bodies(size: int) -> dict[str, bytes]:
    """Name to body, of the kinds that are made to keep a gate busy."""
    return {
        "spaces": b" " * size,
        "empty lines": b"\r\n" * (size // 2) + b"x\r\n",
        "runs of two spaces": b"a  " * (size // 3) + b"\r\n",
        "spaces before CRLF": b"a \t\r\n" * (size // 5),
        "CR and space": b"\r " * (size // 2),
    }


def by_dkimpy(body: bytes) -> bytes:
    return hashlib.sha256(Relaxed.canonicalize_body(body)).digest()


def by_us(body: bytes) -> bytes:
    hasher = BodyHasher()
    for start in range(0, len(body), CHUNK_BYTES):
        hasher.update(body[start : start + CHUNK_BYTES])
    return hasher.digest()


def rates(body: bytes, rounds: int, *ways: Callable[[bytes], bytes]) -> list[float]:
    """MiB/s of each way: the medians of runs that take turns, so that a busy moment slows all of them."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, times in zip(ways, seconds, strict=True):
            before = time.perf_counter()
            way(body)
            times.append(time.perf_counter() - before)
    return [len(body) / 2**20 / statistics.median(times) for times in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--mebibytes", type=int, default=2)
    options = parser.parse_args()
    print(f"{'body':20} {'dkimpy MiB/s':>13} {'ours MiB/s':>11} {'ratio':>6}")
    for name, body in honest_bodies(options.mebibytes * 2**20).items():
        assert by_us(body) == by_dkimpy(body), name
        theirs, ours = rates(body, options.rounds, by_dkimpy, by_us)
        print(f"{name:20} {theirs:13.0f} {ours:11.0f} {ours / theirs:6.1f}")
    for name, body in spiteful_bodies(options.mebibytes * 2**20).items():
        (ours,) = rates(body, options.rounds, by_us)
        print(f"{name:20} {'-':>13} {ours:11.0f} {'-':>6}")


if __name__ == "__main__":
    main()

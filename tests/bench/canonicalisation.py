"""How fast bodies are hashed in relaxed form, beside dkimpy: `python tests/bench/canonicalisation.py`.

Both take the same bodies in turn, so that a busy machine slows both; the figures are medians, and the ratio is what counts.
With the real letters of `$PENNYRED_CORPUS` (or ../shared/corpus) where they are, else with made ones.
"""

import hashlib
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dkim.canonicalization import Relaxed

from pennyred.postage.canonical import BodyHasher

ROUNDS = 15
CHUNK = 64 * 1024


def real_bodies() -> list[bytes]:
    """Bodies of the letters of the corpus, with CRLF."""
    folder = Path(os.environ.get("PENNYRED_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus")
    letters = [
        path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for path in sorted(folder.glob("*.eml"))
    ]
    return [letter.partition(b"\r\n\r\n")[2] for letter in letters]


def made_bodies() -> list[bytes]:
    """Text with a run of spaces now and then, HTML that is indented (the hardest of the honest ones), and base64."""
    chance = random.Random(1841)
    text = [" ".join(chance.choices(["tea", "five", "o'clock", " ", "at"], k=12)) for _ in range(200)]
    base64 = ["".join(chance.choices("ABCDabcd0123+/", k=76)) for _ in range(200)]
    html = [" " * chance.choice([0, 4, 8, 12]) + f'<td class="a"  style="b">{word}</td> ' for word in text]
    return ["\r\n".join(lines).encode() + b"\r\n" for lines in (text, html, base64) for _ in range(50)]


def with_ours(body: bytes) -> bytes:
    """In chunks, as a gate receives it."""
    hasher = BodyHasher()
    for start in range(0, len(body), CHUNK):
        hasher.update(body[start : start + CHUNK])
    return hasher.digests()[1]


def with_dkimpy(body: bytes) -> bytes:
    """The whole at once, as dkimpy does."""
    return hashlib.sha256(Relaxed.canonicalize_body(body)).digest()


def only_hashed(body: bytes) -> bytes:
    """The floor: no canonicalisation at all."""
    return hashlib.sha256(body).digest()


def seconds(hash_body: Callable[[bytes], bytes], bodies: list[bytes]) -> float:
    """For all bodies once."""
    begin = time.perf_counter()
    for body in bodies:
        hash_body(body)
    return time.perf_counter() - begin


def main() -> int:
    """Print MiB/s of each and the ratio; exit 1 below four times dkimpy."""
    ratios = []
    for name, bodies in (("corpus letters", real_bodies()), ("made letters", made_bodies())):
        if not bodies:
            print(f"{name}: none here")
            continue
        joined = b"".join(bodies)
        large = [joined * (1 + 2**23 // len(joined))]
        for kind, sample in ((name, bodies), (f"{name}, joined to one of {len(large[0]) >> 20} MiB", large)):
            ratios.append(compare(kind, sample))
    return int(min(ratios) < 4)


def compare(name: str, bodies: list[bytes]) -> float:
    """One line of the table."""
    if any(with_ours(body) != with_dkimpy(body) for body in bodies):
        raise SystemExit(f"{name}: the hashes differ")
    ways = (with_ours, with_dkimpy, only_hashed)
    times: dict[str, list[float]] = {way.__name__: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            times[way.__name__].append(seconds(way, bodies))
    mebibytes = sum(map(len, bodies)) / 2**20
    ours, dkimpy, hashed = (mebibytes / statistics.median(times[way.__name__]) for way in ways)
    print(
        f"{name}: ours {ours:.0f} MiB/s, dkimpy {dkimpy:.0f} MiB/s, SHA-256 alone {hashed:.0f} MiB/s: {ours / dkimpy:.1f} times dkimpy"
    )
    return ours / dkimpy


if __name__ == "__main__":
    sys.exit(main())

"""Letters a second through the gate, beside nothing and beside Postfix's smtpd_proxy_filter, in one interleaved run.

    python tests/bench/gate.py [--letters 600] [--rounds 3] [--clients 16]

Needs root and Debian's postfix (for Postfix itself and its smtp-sink, the mail server behind everything). Every letter
carries a stamp of its own, made before the clock starts; the gate verifies it, holds it and settles it in an SQLite
ledger on disk (synchronous=FULL). The same load generator serves all. Only the ratios mean anything: machines differ and
are shared. Prints medians; figures belong in the commit that claims them.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from program import Served, run_json
from real_postfix import Postfix, free_port

from pennyred.services.franking import stamp_letter
from pennyred.services.wallet import Wallet, load_wallet

SIZES = (4, 64)
STAMPS = 1_000_000
RCPT = "bob@example.org"


class Client(asyncio.Protocol):
    """One connection: says each line when the answer to the one before is there, as smtp-source does."""

    def __init__(self, letters: Iterator[bytes], done: asyncio.Future[None], is_kept: bool) -> None:
        self.letters, self.done, self.is_kept = letters, done, is_kept
        self.sent = 0
        self.script: list[bytes] = [b"EHLO client.example\r\n"]
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data[:1] not in b"23":
            self.done.set_exception(RuntimeError(data.decode()))
            self.transport.abort()
            return
        if not data.endswith(b"\n") or data.rsplit(b"\r\n", 2)[-2][3:4] == b"-":
            return  # more lines of this answer are on their way
        if not self.script:
            self.next_letter()
        if self.script:
            self.transport.write(self.script.pop(0))

    def next_letter(self) -> None:
        letter = None if self.is_over else next(self.letters, None)
        if letter is None:
            self.is_over = True
            self.script = [b"QUIT\r\n"]
            return
        self.is_over = not self.is_kept
        self.script = [
            b"MAIL FROM:<ann@sender.example>\r\n",
            b"RCPT TO:<%s>\r\n" % RCPT.encode(),
            b"DATA\r\n",
            letter + b".\r\n",
        ]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, letters: list[bytes], clients: int, is_kept: bool) -> float:
    """Send all letters over so many connections at once; letters a second."""
    loop = asyncio.get_running_loop()
    waiting = iter(letters)

    async def one() -> None:
        while waiting.__length_hint__():
            done = loop.create_future()
            client = Client(waiting, done, is_kept)
            await loop.create_connection(partial(lambda one: one, client), "127.0.0.1", port)
            await done

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    return len(letters) / (time.perf_counter() - begun)


def make_letters(wallet: Wallet, count: int, kib: int) -> list[bytes]:
    """Stamped letters of about so many KiB."""
    line = b"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor.\r\n"
    letters = []
    for number in range(count):
        head = b"From: Ann <ann@sender.example>\r\nTo: <%s>\r\nSubject: %d\r\n\r\n" % (RCPT.encode(), number)
        letter = head + line * ((kib * 1024 - len(head) - 900) // len(line))
        now = int(time.time())
        letters.append(stamp_letter(letter, [RCPT], wallet.key, wallet.licence, now=now, random_bytes=os.urandom))
    return letters


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """Postfix's smtp-sink, which takes everything and keeps nothing."""
    port = free_port()
    command = ["/usr/sbin/smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "1000"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), __import__("socket").create_connection(("127.0.0.1", port)):
                break
        yield port
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def gate(folder: Path, upstream: int, workers: int) -> Iterator[int]:
    """The gate with its office, and the sender's wallet in `folder`/home."""
    port, office = free_port(), free_port()
    settings = folder / f"gate-{workers}.toml"
    settings.write_text(
        f'[gate]\nlisten=["127.0.0.1:{port}"]\nupstream="smtp://127.0.0.1:{upstream}"\nupstream_identity="none"\n'
        f'hostname="mx.example.org"\nstate="sqlite:///gate-{workers}.db"\nupstream_connections=100\n'
        f'[office]\ndomain="post.example.org"\nlisten="127.0.0.1:{office}"\ndaily_cap={STAMPS}\n'
    )
    with Served(settings, ("--workers", str(workers))) as served:
        for _ in range(workers - 1):
            served.wait_for(lambda line: line["event"] == "serving")
        home = folder / "home"
        if not home.exists():
            run_json("open", "--office", f"http://127.0.0.1:{office}", "--address", "ann@sender.example", home=home)
            [account] = [
                one for one in run_json("--config", str(settings), "account", "list")["accounts"] if one["address"]
            ]
            run_json(
                "--config", str(settings), "account", "credit", account["account"], str(STAMPS), "--reason", "bench"
            )
        yield port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--letters", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        run_json("init", str(folder))
        down = parts.enter_context(sink())
        filter_port = free_port()
        proxy = f"127.0.0.1:{filter_port} inet n - n - 100 smtpd\n    -o smtpd_proxy_filter=127.0.0.1:{down}\n"
        parts.enter_context(Postfix(proxy, {"smtpd_client_event_limit_exceptions": "127.0.0.0/8"}))
        one = parts.enter_context(gate(folder, down, 1))
        two = parts.enter_context(gate(folder, down, 2))
        wallet = load_wallet(folder / "home")
        middles = {"nothing": down, "Postfix proxy": filter_port, "gate, 1 worker": one, "gate, 2 workers": two}
        print(f"{'':24}" + "".join(f"{name:>18}" for name in middles) + f"{'2 workers/Postfix':>20}")
        for kib in SIZES:
            for is_kept in (False, True):
                rates: dict[str, list[float]] = {name: [] for name in middles}
                for _ in range(arguments.rounds):
                    for name, port in middles.items():
                        letters = make_letters(wallet, arguments.letters, kib)
                        rates[name].append(uvloop.run(load(port, letters, arguments.clients, is_kept)))
                medians = {name: statistics.median(values) for name, values in rates.items()}
                ratio = statistics.median(
                    ours / theirs for ours, theirs in zip(rates["gate, 2 workers"], rates["Postfix proxy"], strict=True)
                )
                label = f"{kib} KiB, {'kept' if is_kept else 'new'} connections"
                print(
                    f"{label:24}" + "".join(f"{value:16.0f}/s" for value in medians.values()) + f"{ratio:20.2f}",
                    flush=True,
                )
        for port_settings in (1, 2):
            audit = run_json("--config", str(folder / f"gate-{port_settings}.toml"), "ledger", "audit")
        print("ledger:", audit)


if __name__ == "__main__":
    main()

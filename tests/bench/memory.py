"""What the gate's processes hold in memory: for an idle connection, for one by TLS, for many great letters at once, and
for those who would fill it: header sections that drip, bodies that stop short, lists of recipients of great length.

Proportional set size (PSS) of the whole process tree, from /proc: pages that workers share are counted once. The bars:
40 KiB an idle connection, 64 KiB after STARTTLS, 256 MiB for a hundred letters of 25 MB under way at once; for the
others `memory_for_letters` of each of the two workers and 128 KiB a client. Needs root, as the load generator does.
"""

import argparse
import gc
import resource
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trustme
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from .contestants import Gate
from .letters import body_and_heads
from .processes import tree_pss_kib
from .session import RCPT
from .sink import Sink

LETTER_BYTES = 25_000_000
_PIECE_BYTES = 256 * 1024
_TIMEOUT_SECONDS = 60
_DRIP = b"a: bcdefg\r\n" * 11_900
_DRIPS = 30
"""Just short of 4 MiB."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    what: str
    count: int
    kib: float
    """Beyond what the gate holds without."""
    bar: str
    kib_before: float

    @property
    def kib_each(self) -> float:
        return self.kib / self.count


class GateWithTls(Gate):
    """For everybody who comes, as all come from one address."""

    def start(self) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        folder = self.folder.parent
        certificate.private_key_pem.write_to_path(folder / "mx.key")
        certificate.cert_chain_pems[0].write_to_path(folder / "mx.pem")
        self.more_settings = (  # type: ignore[misc]
            f'tls_certificate="{folder}/mx.pem"\ntls_key="{folder}/mx.key"\nspool="{folder}"\n'
        )
        super().start()

    def kib(self) -> float:
        """Held by all its processes."""
        return tree_pss_kib(*self.processes())


class Client:
    """A plain, blocking client."""

    def __init__(self, port: int) -> None:
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS)
        self.hear(b"220")
        self.say(b"EHLO client.example\r\n", b"250")

    def say(self, line: bytes, code: bytes) -> None:
        self.socket.sendall(line)
        self.hear(code)

    def hear(self, code: bytes) -> None:
        heard = b""
        while not heard.endswith(b"\r\n") or heard[heard.rfind(b"\n", 0, -1) + 4 :][:1] == b"-":
            piece = self.socket.recv(4096)
            assert piece, heard
            heard += piece
        assert heard.startswith(code), heard

    def hear_lines(self, count: int) -> None:
        """So many, whatever they say."""
        while count:
            piece = self.socket.recv(4096)
            assert piece, "hung up on"
            count -= piece.count(b"\n")

    def send_unstamped(self) -> None:
        """A letter of 256 KiB, which is refused."""
        self.say(b"MAIL FROM:<ann@sender.example>\r\n", b"250")
        self.say(b"RCPT TO:<%s>\r\n" % RCPT, b"250")
        self.say(b"DATA\r\n", b"354")
        self.socket.sendall(b"a: b\r\n\r\n" + b"x" * _PIECE_BYTES + b"\r\n")
        self.say(b".\r\n", b"550")

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.say(b"STARTTLS\r\n", b"220")
        self.socket = context.wrap_socket(self.socket)
        self.say(b"EHLO client.example\r\n", b"250")


def idle(gate: GateWithTls, count: int, *, is_tls: bool, has_sent: bool = False, done: Callable[[], None]) -> Finding:
    """So many who have said EHLO, and sent a letter perhaps, and then nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    before = gate.kib()
    clients = []
    for _ in range(count):
        client = Client(gate.port)
        if is_tls:
            client.start_tls(context)
        if has_sent:
            client.send_unstamped()
        clients.append(client)
        done()
    found = gate.kib() - before
    for client in clients:
        client.socket.close()
    what, bar = ("idle by TLS", "64 KiB each") if is_tls else ("idle connections", "40 KiB each")
    what += ", after a letter" if has_sent else ""
    return Finding(what, count, found, bar, before)


def great_letters(gate: GateWithTls, count: int, done: Callable[[], None]) -> Finding:
    """All are under way before the first is complete; the most that was held until the last is answered."""
    body, heads = body_and_heads(gate.wallet(), count, LETTER_BYTES)
    before = most = gate.kib()
    clients = [Client(gate.port) for _ in heads]
    for client, head in zip(clients, heads, strict=True):
        client.say(b"MAIL FROM:<ann@sender.example>\r\n", b"250")
        client.say(b"RCPT TO:<%s>\r\n" % RCPT, b"250")
        client.say(b"DATA\r\n", b"354")
        client.socket.sendall(head)
    for start in _pieces(len(body)):
        for client in clients:
            client.socket.sendall(body[start : start + _PIECE_BYTES])
        most = max(most, gate.kib())
        done()
    for client in clients:
        client.socket.sendall(b".\r\n")
    most = max(most, *_watched(gate, clients))
    return Finding(f"letters of {LETTER_BYTES / 1e6:.0f} MB at once", count, most - before, "256 MiB in all", before)


def _watched(gate: GateWithTls, clients: list[Client]) -> Iterator[float]:
    waiting = list(clients)
    yield gate.kib()
    while waiting:
        client = waiting[0]
        client.socket.settimeout(0.05)
        try:
            client.hear(b"250")
            waiting.pop(0)
        except TimeoutError:
            yield gate.kib()


def _in_a_letter(gate: GateWithTls, count: int) -> list[Client]:
    clients = [Client(gate.port) for _ in range(count)]
    for client in clients:
        client.say(b"MAIL FROM:<ann@sender.example>\r\n", b"250")
        client.say(b"RCPT TO:<%s>\r\n" % RCPT, b"250")
        client.say(b"DATA\r\n", b"354")
    return clients


def drips(gate: GateWithTls, count: int, done: Callable[[], None]) -> Finding:
    """Header sections of nearly the longest that may be, in small fields, of which the end does not come."""
    before = most = gate.kib()
    clients = _in_a_letter(gate, count)
    for _ in range(_DRIPS):
        for client in clients:
            client.socket.sendall(_DRIP)
        most = max(most, gate.kib())
        done()
    return _filled("header sections that drip", clients, most, before)


def short_bodies(gate: GateWithTls, count: int, done: Callable[[], None]) -> Finding:
    """Bodies just short of going to a file."""
    before = gate.kib()
    clients = _in_a_letter(gate, count)
    for client in clients:
        client.socket.sendall(b"a: b\r\n\r\n" + b"x" * 255_000)
        done()
    time.sleep(1)
    return _filled("bodies of 255 KB that stop short", clients, gate.kib(), before)


def long_lists(gate: GateWithTls, count: int, done: Callable[[], None]) -> Finding:
    """A thousand recipients each, whose parameters are as long as a command may be."""
    before = gate.kib()
    clients = [Client(gate.port) for _ in range(count)]
    line = b"RCPT TO:<%s> ORCPT=rfc822;%s\r\n" % (RCPT, b"x" * 1900)
    for client in clients:
        client.say(b"MAIL FROM:<ann@sender.example>\r\n", b"250")
        for _ in range(50):
            client.socket.sendall(line * 20)
            client.hear_lines(20)
        done()
    return _filled("lists of 1000 long recipients", clients, gate.kib(), before)


def _filled(what: str, clients: list[Client], most: float, before: float) -> Finding:
    bar = f"{2 * 128_000_000 / 2**20 + len(clients) / 8:.0f} MiB in all"
    found = Finding(what, len(clients), most - before, bar, before)
    for client in clients:
        client.socket.close()
    return found


def _pieces(total: int) -> range:
    return range(0, total, _PIECE_BYTES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a tenth of everything: whether it works at all")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on a real disk (default: /var/tmp)")
    wanted = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    plain, by_tls, letters, hostile = (
        (1000, 200, 10, 50) if wanted.short else (min(10_000, most - 1000), 2000, 100, 800)
    )
    console = Console()
    with Progress(console=console) as progress:

        def bar(name: str, total: int) -> Callable[[], None]:
            task = progress.add_task(name, total=total)
            return lambda: progress.advance(task)

        findings = [
            with_a_fresh_gate(wanted.folder, measure)
            for measure in (
                partial(idle, count=plain, is_tls=False, done=bar("idle", plain)),
                partial(idle, count=by_tls, is_tls=True, done=bar("by TLS", by_tls)),
                partial(idle, count=by_tls, is_tls=True, has_sent=True, done=bar("after a letter", by_tls)),
                partial(great_letters, count=letters, done=bar("letters", len(_pieces(LETTER_BYTES)))),
                partial(drips, count=hostile, done=bar("drips", _DRIPS)),
                partial(short_bodies, count=hostile, done=bar("bodies", hostile)),
                partial(long_lists, count=hostile // 10, done=bar("recipients", hostile // 10)),
            )
        ]
    table = Table("", "count", "before, MiB", "more, MiB", "each, KiB", "bar", title="memory of the gate's processes")
    for one in findings:
        mebibytes = (f"{kib / 1024:.1f}" for kib in (one.kib_before, one.kib))
        table.add_row(one.what, str(one.count), *mebibytes, f"{one.kib_each:.1f}", one.bar)
    console.print(table)


def with_a_fresh_gate(folder: Path, measure: Callable[[GateWithTls], Finding]) -> Finding:
    """One that has not freed any memory yet which it could use again: nothing is had for nothing."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as place, Sink(Path(place)) as sink:
        gate = GateWithTls(Path(place), sink.port)
        try:
            gate.start()
            Client(gate.port).socket.close()
            time.sleep(1)  # what is made once has been made
            gc.collect()
            return measure(gate)
        finally:
            gate.stop()


if __name__ == "__main__":
    main()

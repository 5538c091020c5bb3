"""`pennyred demo`: shows the whole story over real sockets on loopback, in a temporary folder that is removed.

Office and gate are the real program (`pennyred serve`). The mail server is a stand-in. The sender does what the
sender's commands do.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from rich.console import Console

from pennyred.config import OfficeSettings, read_settings
from pennyred.days import DAY_SECONDS
from pennyred.office.keys import add_key
from pennyred.postage.errors import PennyRedError
from pennyred.postage.licence import Licence, parse_licence
from pennyred.postage.signing import SigningKey
from pennyred.programs.clock import clock
from pennyred.programs.demo.standin import StandIn
from pennyred.programs.demo.story import Step, Story
from pennyred.programs.ledger.opening import migrate
from pennyred.programs.office import open_office
from pennyred.sender.client import OfficeClient
from pennyred.sender.franking import stamp_letter
from pennyred.sender.submitting import Sent, Submission

START_SECONDS = 60
"""How long to wait for the program to start: more than a slow machine needs."""
LETTER = (
    b"From: Ann <ann@sender.example>\r\nTo: Bob <bob@example.org>\r\nSubject: {subject}\r\n"
    b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{subject}@sender.example>\r\n\r\nShall we have tea?\r\n"
)
BOB = "bob@example.org"
SETTINGS = """\
[gate]
listen = ["127.0.0.1:{gate}"]
upstream = "smtp://127.0.0.1:{upstream}"
hostname = "mx.example.org"
mode = "{mode}"
help_url = "https://example.org/postage"
[gate.allowance]
per_day = 5
[gate.authentication]
check = "never"
[office]
domain = "post.example.org"
listen = "127.0.0.1:{office}"
"""


def run_demo(*, is_quiet: bool = False) -> Story:
    """Run the demo and print it, unless quiet. The result says whether everything was as expected."""
    story = Story(Console(file=StringIO()) if is_quiet else Console())
    with tempfile.TemporaryDirectory(prefix="pennyred-demo-") as folder:
        asyncio.run(_Demo(Path(folder), story).run())
    return story


class DemoFailed(PennyRedError):  # noqa: N818 - it could not be told to its end
    """The program could not be started, or did not do what the demo needs."""

    reason = "demo-failed"


@dataclass(slots=True)
class _Demo:
    """The parts of one demo: program, mail server, sender, story."""

    folder: Path
    story: Story
    mail_server: StandIn = field(default_factory=StandIn)
    gate_port: int = 0
    office_port: int = 0
    key: SigningKey = field(default_factory=lambda: SigningKey.from_seed(os.urandom(32)))
    licence: Licence | None = None

    async def run(self) -> None:
        """Run all steps, from an empty folder to a balanced ledger."""
        self.gate_port, self.office_port = _free_ports(2)
        async with self.mail_server:
            self._write_settings("require")
            add_key(self._office().signing_key, os.urandom(32))
            await migrate(self._office().ledger)
            self.story.say(
                f"a post office on port {self.office_port}, a gate on port {self.gate_port}, and a mail server"
            )
            program = await self._start()
            try:
                await self._tell()
                await self._tell_bulk(program)
            finally:
                program.terminate()
                await program.wait()
        await self._tell_audit()

    async def _tell(self) -> None:
        """Show the sender's steps: buy postage, send letters, good ones and bad ones."""
        await self._step("an unstamped letter is refused", "550 (no-stamp)", self._send(_letter("no stamp")))
        await self._buy()
        first = self._stamped(_letter("tea"))
        await self._step("a stamped letter is delivered, for one cent", "250", self._send(first), letters=1, cents=1)
        await self._step(
            "the same letter again is not delivered or charged twice", "250 (duplicate)", self._send(first)
        )
        for what, reason, letter, to in self._wrong(first):
            await self._step(what, f"550 ({reason})", self._send(letter, to))
        self.mail_server.answers.append(b"451 4.2.0 Mailbox busy\r\n")
        retried = self._stamped(_letter("later"))
        await self._step("the mail server says later: nothing is charged", "451", self._send(retried))
        await self._step("the retry goes through and is charged once", "250", self._send(retried), letters=1, cents=1)

    def _wrong(self, first: bytes) -> list[tuple[str, str, bytes, str]]:
        """Letters with wrong stamps: what is wrong, the name of the reason, the letter, the recipient."""
        fresh = self._stamped(_letter("fresh"))
        now = clock()
        stamp = first[: first.index(b"From:")]
        return [
            (
                "the same text again, by another path",
                "resent",
                first.replace(b"Message-ID: <", b"Message-ID: <again."),
                BOB,
            ),
            ("a stamp with another text under it", "altered-body", fresh.replace(b"Shall we", b"Buy gold,"), BOB),
            ("a stamp moved to another letter", "altered-headers", stamp + _letter("gold"), BOB),
            ("a stamp made out to somebody else", "wrong-recipient", fresh, "eve@example.org"),
            ("a letter altered after stamping", "altered-headers", fresh.replace(b"fresh\r\n", b"gold\r\n"), BOB),
            ("an expired stamp", "expired", self._stamped(_letter("old"), now=now - 7200, lifetime_seconds=3600), BOB),
            (
                "a forged stamp",
                "bad-signature",
                self._stamped(_letter("forged"), key=SigningKey.from_seed(b"\0" * 32)),
                BOB,
            ),
        ]

    async def _tell_bulk(self, program: asyncio.subprocess.Process) -> None:
        """Show mode "bulk": strangers have a small free allowance, and then need stamps."""
        self._write_settings("bulk")
        program.send_signal(signal.SIGHUP)
        await self._said(program, "settings.reread")
        before = self.mail_server.letters
        said = [await self._send(_letter(f"win {number}"), sender="spam@bulk.example") for number in range(30)]
        passed = sum(one.is_accepted for one in said)
        refused = sum(one.reason == "bulk" for one in said)
        has_held = passed == 5 and refused == 25 and self.mail_server.letters == before + 5
        self.story.tell(
            Step(
                "a bulk run of 30 unstamped letters is stopped (mode bulk, 5 free a day)",
                "5 pass, 25 are refused (bulk)",
                f"{passed} passed, {refused} refused; the last: {said[-1].code} {said[-1].reply}",
                has_held,
                passed,
                0,
            )
        )

    async def _buy(self) -> None:
        """Get a voucher from the office's administrator, open an account, and buy postage."""
        async with open_office(self._office()) as office:
            [code] = await office.create_vouchers(100, 1)
        async with self._client() as client:
            opened = await client.open_account("ann@sender.example")
            self.licence = parse_licence(opened.licence.encode())
            purchase = await client.redeem_voucher(code, 100)
        self.story.tell(
            Step(
                "a sender opens an account and buys 100 stamps with a voucher",
                "100 stamps available",
                f"{purchase.available} stamps available to {opened.account}",
                purchase.available == 100,
                0,
                0,
            )
        )

    async def _step(
        self, what: str, expected: str, sending: "asyncio.Future[Sent]", *, letters: int = 0, cents: int = 0
    ) -> None:
        """Send a letter, and compare what was said, delivered and charged with what is expected."""
        letters_before, spent_before = self.mail_server.letters, await self._spent()
        said = await sending
        delivered = self.mail_server.letters - letters_before
        charged = await self._spent() - spent_before
        code, _, reason = expected.partition(" ")
        has_held = str(said.code) == code and reason in said.reply and (delivered, charged) == (letters, cents)
        seen = f"{said.code} {said.reply}"
        self.story.tell(
            Step(what, f"{expected}, {letters} delivered, {cents} charged", seen, has_held, delivered, charged)
        )

    async def _tell_audit(self) -> None:
        async with open_office(self._office()) as office:
            audit = await office.ledger.audit()
        self.story.tell(
            Step(
                "the books balance",
                "balanced, 100 sold, 2 settled, 0 held",
                f"{'balanced' if audit.balanced else 'NOT balanced'}, {audit.sold} sold, {audit.settled} settled, "
                f"{audit.held} held",
                audit.balanced and (audit.sold, audit.settled, audit.held) == (100, 2, 0),
                0,
                0,
            )
        )
        self.story.end({"sold": audit.sold, "settled": audit.settled, "outstanding": audit.outstanding})

    async def _start(self) -> asyncio.subprocess.Process:
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "pennyred", "--config", str(self._file), "serve"),
            stderr=asyncio.subprocess.PIPE,
            limit=2**20,
        )
        try:
            await self._said(program, "service.serving")
        except BaseException:
            with suppress(ProcessLookupError):  # it has already ended
                program.kill()
            await program.wait()
            raise
        return program

    async def _said(self, program: asyncio.subprocess.Process, event: str) -> None:
        """Wait for an event in the program's log; raises `DemoFailed` with the lines that came instead."""
        assert program.stderr is not None
        said = b""
        try:
            async with asyncio.timeout(START_SECONDS):
                async for line in program.stderr:
                    said = line if _event(line) != event else b""
                    if not said:
                        return
        except TimeoutError:
            raise DemoFailed(f"the program did not say {event!r} within {START_SECONDS} s; {_last(said)}") from None
        raise DemoFailed(f"the program ended before it said {event!r}; {_last(said)}")

    def _send(self, letter: bytes, to: str = BOB, sender: str = "ann@sender.example") -> "asyncio.Future[Sent]":
        def send() -> Sent:
            with Submission("127.0.0.1", self.gate_port) as submission:
                return submission.send(sender, [to], letter)

        return asyncio.get_running_loop().run_in_executor(None, send)

    def _stamped(
        self, letter: bytes, *, now: int | None = None, lifetime_seconds: int = DAY_SECONDS,
        key: SigningKey | None = None,
    ) -> bytes:  # fmt: skip
        assert self.licence is not None
        return stamp_letter(
            letter,
            [BOB],
            key or self.key,
            self.licence,
            now=clock() if now is None else now,
            random_bytes=os.urandom,
            lifetime_seconds=lifetime_seconds,
        )

    async def _spent(self) -> int:
        if self.licence is None:
            return 0
        async with self._client() as client:
            return (await client.account()).spent

    def _client(self) -> OfficeClient:
        return OfficeClient(f"http://127.0.0.1:{self.office_port}", self.key, clock=clock, random_bytes=os.urandom)

    @property
    def _file(self) -> Path:
        return self.folder / "pennyred.toml"

    def _office(self) -> OfficeSettings:
        office = read_settings(self._file).office
        assert office is not None
        return office

    def _write_settings(self, mode: str) -> None:
        self._file.write_text(
            SETTINGS.format(gate=self.gate_port, office=self.office_port, upstream=self.mail_server.port, mode=mode)
        )


def _event(line: bytes) -> str:
    """The event of a line of the log; empty if it is no JSON line with an event."""
    try:
        return str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return ""


def _last(said: bytes) -> str:
    return f"its last words: {said.decode('utf-8', 'replace').strip()[:2000]}" if said else "it said nothing"


def _letter(subject: str) -> bytes:
    return LETTER.replace(b"{subject}", subject.encode().replace(b" ", b"-"))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()

"""The command that tries out what a path does to stamped letters: probe."""

import re
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import (
    NotAll,
    RuleRefused,
    json_option,
    print_json,
    progress,
    read_letter,
    run_async,
)
from pennyred.cli.letters import completed_by, host_and_port, licensed, own_wallet, stamped_by
from pennyred.cli.reporting.paths import document_of, show
from pennyred.cli.sender import client_of
from pennyred.failures import told
from pennyred.http.probes import TOKEN, Arrival, ProbeOpened
from pennyred.postage.address import canonical_recipient
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Kind, Reason
from pennyred.sender.franking import without_blind
from pennyred.sender.parsedletter import ParsedLetter, parse_letter
from pennyred.sender.probing import SHAPES, probe_letter
from pennyred.sender.submitting import Sent, Submission
from pennyred.sender.travel.preparing import make_safe
from pennyred.sender.wallet import Wallet

WAIT_SECONDS = 120
_PAUSE_SECONDS, _PAUSE_SECONDS_MAX = 1.0, 4.0
"""How long it waits before it asks again: longer, the longer it has waited."""
_COMMAND_SECONDS = 120
_SAID_CHARACTERS_MAX = 500
_STDOUT = "stdout"


@dataclass(slots=True)
class _Probe:
    """One letter under way, and what was found of it."""

    shape: str
    opened: ProbeOpened
    letter: ParsedLetter | None = None
    handed: str = ""
    """What the server or the command has said."""
    refusal: Sent | None = None
    """The server's answer, if it has not taken the letter."""
    arrivals: list[Arrival] = field(default_factory=list)

    @property
    def found(self) -> Arrival | None:
        """What is told: the first letter that a gate takes, else the last one."""
        taken = [one for one in self.arrivals if one.verdict == Kind.PAID.value]
        return taken[0] if taken else self.arrivals[-1] if self.arrivals else None


@click.command()
@click.option(
    "--via",
    type=typed.plain,
    required=True,
    metavar='HOST[:PORT]|"COMMAND"|stdout',
    help="The way to try out: a server, a command that reads a letter, or your own hands.",
)
@click.option(
    "--from", "sender", type=typed.own_address, metavar="ADDR", help="The author; else the account's address."
)
@click.option(
    "--shape",
    "shapes",
    type=click.Choice(SHAPES),
    multiple=True,
    help="Which letters to send; else all of them (with stdout: words).",
)
@click.option(
    "--letter",
    "file",
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    help="A letter of your own; its To and Cc become the mirror's address.",
)
@click.option(
    "--wait",
    type=click.IntRange(1, 3600),
    default=WAIT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until all letters have arrived.",
)
@json_option
def probe(via: str, sender: str | None, shapes: tuple[str, ...], file: Path | None, wait: int, as_json: bool) -> None:
    """Try out what your own path does to stamped letters. They go to your office's mirror, which says what was altered.

    The mirror is a mailbox of the office that says what a gate would do: whether the stamp counts, which fields were
    altered, whether the stamp field survived, whether you were proven as the author. Nothing is delivered, and nothing
    is spent: the stamps are never redeemed, and an account without postage will do.

    --via is a server like smtp.example.com:587, or a command in quotes that takes the letter on standard input, with a
    blank or a slash in it ("sendmail -t"; {to} and {from} stand for the addresses), or `stdout`: then the letter is
    printed, and you send it by what only you can use.

    Exit status 0 if a gate takes each letter, 1 if it refuses one, 75 if one did not arrive in time (the page that is
    named stays for an hour).

    Example:  pennyred probe --via "sendmail -t"
    """
    wallet = licensed(own_wallet())
    if via != _STDOUT:
        _ = host_and_port(via) if _is_host(via) else _words(via)  # wrong usage is said before anything is done
    own = read_letter(file) if file is not None else None
    wanted = ("own",) if own is not None else shapes or (("words",) if via == _STDOUT else SHAPES)
    if via == _STDOUT and (as_json or len(wanted) > 1):
        raise click.UsageError("--via stdout prints one letter: use it without --json, and with one --shape")
    author = sender or wallet.address
    probes = []
    for shape in wanted:
        one = _Probe(shape, run_async(_open(wallet)))
        raw = own if own is not None else probe_letter(shape, author, one.opened.address)
        _hand_in(one, raw, via, author, wallet)
        probes.append(one)
    _wait(probes, wallet, wait, is_quiet=as_json)
    _report(probes, wallet, wait, as_json=as_json, err=via == _STDOUT)


async def _open(wallet: Wallet) -> ProbeOpened:
    async with client_of(wallet) as client:
        opened = await client.open_probe()
    canonical_recipient(opened.address)
    if not TOKEN.fullmatch(opened.token) or not opened.address.isascii() or not opened.path.startswith("/"):
        raise Unavailable(Reason.OFFICE_UNREACHABLE, f"{wallet.office}: not a post office's answer")
    return opened


def _is_host(via: str) -> bool:
    return via != _STDOUT and re.search(r"[ /]", via) is None


def _hand_in(one: _Probe, raw: bytes, via: str, author: str, wallet: Wallet) -> None:
    """Stamp the letter for its address, and give it to the path."""
    if _is_host(via):
        host, port = host_and_port(via)
        with Submission(host, port) as submission:
            safe = make_safe(raw, eight_bit=submission.takes_eight_bit, utf8=submission.takes_utf8)
            one.letter = _stamped(safe, one.opened.address, wallet)
            said = submission.send(author, [one.opened.address], one.letter.raw)
        one.handed = f"{said.code} {said.reply}" if said.code else said.reply
        one.refusal = None if said.is_accepted else said
        return
    one.letter = _stamped(make_safe(raw, eight_bit=False), one.opened.address, wallet)
    if via == _STDOUT:
        click.echo(one.letter.raw, nl=False)
        click.echo(f"pennyred: send this letter, as it is, to {one.opened.address}", err=True)
        return
    # Programs that read a letter from standard input expect the line ends of this system's files.
    words = [word.replace("{to}", one.opened.address).replace("{from}", author) for word in _words(via)]
    try:
        done = subprocess.run(  # noqa: S603 - whoever types it may run it; no shell reads it
            words,
            input=one.letter.raw.replace(b"\r\n", b"\n"),
            capture_output=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(Reason.UPSTREAM_UNAVAILABLE, f"{words[0]}: not done after {_COMMAND_SECONDS} s") from error
    except OSError as error:
        raise click.UsageError(f"--via {via!r}: {told(error)}") from error
    one.handed = (done.stderr or done.stdout).decode("utf-8", "replace").strip()[:_SAID_CHARACTERS_MAX]
    if done.returncode:
        text = f"{words[0]} has ended with status {done.returncode}: {one.handed}"
        one.refusal = Sent((one.opened.address,), 0, text, "")


def _words(via: str) -> list[str]:
    try:
        words = shlex.split(via)
    except ValueError as error:
        raise click.UsageError(f"--via {via!r}: {error}") from error
    if not words:
        raise click.UsageError("--via: expected a server, a command, or stdout")
    return words


def _stamped(safe: bytes, address: str, wallet: Wallet) -> ParsedLetter:
    """The letter to the mirror alone, completed and stamped as `pennyred stamp` does."""
    letter = without_blind(parse_letter(safe))
    kept = [one for one in letter.header.fields if one.key not in (b"to", b"cc", b"x-postage-stamp")]
    named = [one.raw for one in letter.header.named(b"to") if address.encode() in one.raw]
    top = named[0] if named else f"To: {address}\r\n".encode()
    letter = letter.with_header(top + b"".join(one.raw for one in kept))
    return stamped_by(completed_by(letter, wallet), {address: 1}, wallet)


def _wait(probes: Sequence[_Probe], wallet: Wallet, seconds: int, *, is_quiet: bool) -> None:
    """Ask until each letter has arrived, or the time is over. Raises `Unavailable` if the office never answers."""
    began, has_answered = time.monotonic(), False
    with progress("waiting at the mirror", seconds, is_quiet=is_quiet) as show:
        while True:
            passed = time.monotonic() - began
            try:
                for one in probes:
                    if not one.arrivals:
                        one.arrivals = run_async(_arrivals(wallet, one.opened.token))
                has_answered = True
            except Unavailable:
                if passed >= seconds and not has_answered:
                    raise
            show(passed)
            waiting = [one for one in probes if not one.arrivals and one.refusal is None]
            if (not waiting and has_answered) or passed >= seconds:
                return
            time.sleep(min(_PAUSE_SECONDS + passed / 20, _PAUSE_SECONDS_MAX, seconds - passed))


async def _arrivals(wallet: Wallet, token: str) -> list[Arrival]:
    async with client_of(wallet) as client:
        return (await client.probe(token)).arrivals


def _report(probes: Sequence[_Probe], wallet: Wallet, wait: int, *, as_json: bool, err: bool) -> None:
    """Print what was found, for people on standard error if `err`, and raise what decides the exit status."""
    document = {"probes": [_document(one, wallet) for one in probes]}
    if not as_json:
        for told_of in document["probes"]:
            show(told_of, err=err)
    refused = [one for one in probes if one.found is not None and one.found.verdict == Kind.DUE.value]
    if refused and (arrival := refused[0].found) is not None:
        raise RuleRefused(arrival.reason, f"{refused[0].shape}: a gate refuses it: {arrival.sentence}", document)
    missing = [one for one in probes if one.found is None]
    turned_away = [(one.shape, one.refusal) for one in missing if one.refusal is not None]
    for shape, refusal in turned_away:
        if not refusal.is_temporary:
            raise RuleRefused(refusal.reason or "refused", f"{shape}: not taken: {refusal.reply}", document)
    if missing or any(one.found is not None and one.found.verdict == Kind.LATER.value for one in probes):
        text = f"not all has arrived within {wait} s, or could be judged; look later: {_page(probes[0], wallet)}"
        if turned_away:
            text = f"{turned_away[0][0]}: not taken: {turned_away[0][1].reply}"
        raise NotAll(text, document)
    if as_json:
        print_json(document)


def _page(one: _Probe, wallet: Wallet) -> str:
    return wallet.office.rstrip("/") + one.opened.path


def _document(one: _Probe, wallet: Wallet) -> dict[str, Any]:
    base = {
        "shape": one.shape,
        "address": one.opened.address,
        "page": _page(one, wallet),
        "handed": one.handed,
        "arrivals": len(one.arrivals),
    }
    return document_of(base, one.letter, one.found)

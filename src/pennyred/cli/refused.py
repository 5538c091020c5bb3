"""Commands for letters that the gate has refused and kept a copy of: list, show, release."""

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pennyred.cli.arguments import typed
from pennyred.cli.common import (
    RuleRefused,
    json_option,
    print_json,
    printable,
    run_async,
    settings_of,
    telling,
)
from pennyred.config import BadSettings, Complaint, GateSettings
from pennyred.days import DAY_SECONDS
from pennyred.failures import told
from pennyred.gate.letterbox import Fate
from pennyred.gate.quarantine.folder import Quarantine
from pennyred.gate.quarantine.keptletter import KeptLetter
from pennyred.gate.quarantine.text import LETTER_BYTES_READ_MAX, beginning_of_text
from pennyred.postage.errors import PennyRedError, Unavailable
from pennyred.postage.letter import split_letter
from pennyred.postage.reasons import Reason

if TYPE_CHECKING:
    from pennyred.programs.release import Released

FIELDS_SHOWN_BYTES_MAX = 16 * 1024


@click.group()
def refused() -> None:
    """Letters that were refused: list, show, release. The gate has kept a copy of each ([gate.quarantine])."""


@refused.command("list")
@click.option("--to", type=typed.address, metavar="ADDR", help="Of this recipient only.")
@click.option("--days", type=click.IntRange(1, 3650), help="Of the last so many days only.")
@json_option
@click.pass_context
def refused_list(context: click.Context, to: str | None, days: int | None, as_json: bool) -> None:
    """List refused letters, the newest first, at most 10,000.

    With --json: {"refused": [{"id", "at", "to", "from", "subject", "reason", "source", "bytes"}]}.

    Example:  pennyred refused list --to bob@example.org --days 7
    """
    _, quarantine = _quarantine(context)
    since = None if days is None else int(time.time()) - days * DAY_SECONDS
    entries = [_entry(letter) for letter in quarantine.listed(to, since)]
    if as_json:
        print_json({"refused": entries})
    else:
        click.echo("\n".join(map(_lines_of, entries)) or "nothing was refused")


@refused.command("show")
@click.argument("letter_id", type=typed.plain, metavar="ID")
@click.option("--raw", is_flag=True, help="The whole letter as it came, byte for byte, and nothing else.")
@json_option
@click.pass_context
def refused_show(context: click.Context, letter_id: str, raw: bool, as_json: bool) -> None:
    """Show one refused letter. It shows where it came from, its fields, and the beginning of its text.

    ID is what the list says, or more digits of it. With --json: what the list has, and "sender", "helo", "host",
    "authenticated", "header", "text".

    Example:  pennyred refused show 3f9c0a71d2e4 --raw > letter.eml
    """
    if raw and as_json:
        raise click.UsageError("--raw prints the letter and nothing else: leave out --json")
    _, quarantine = _quarantine(context)
    letter = quarantine.find(letter_id)
    if raw:
        for piece in quarantine.pieces(letter):
            click.echo(piece, nl=False)
        return
    shown = _shown(quarantine, letter)
    if as_json:
        print_json(shown)
        return
    header, text = shown.pop("header"), shown.pop("text")
    facts = "".join(f"{key + ':':<15}{one}\n" for key, one in shown.items())
    click.echo(printable(f"{facts}\n{header}\n{text}\n") + "\n(the beginning; the whole letter: --raw)")


@refused.command("release")
@click.argument("letter_ids", type=typed.plain, metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All letters for the recipient that --to names.")
@click.option("--to", type=typed.address, metavar="ADDR", help="Whose letters, with --all.")
@click.option("--no-approve", is_flag=True, help="The sender needs a stamp the next time, too.")
@click.option("--keep", is_flag=True, help="The copy stays, though the letter is delivered.")
@json_option
@click.pass_context
def refused_release(
    context: click.Context,
    letter_ids: tuple[str, ...],
    everything: bool,
    to: str | None,
    no_approve: bool,
    keep: bool,
    as_json: bool,
) -> None:
    """Deliver refused letters after all, each to its recipient. Their senders are approved: their mail is then
    free.

    They go to the gate's own mail server, which is told the client they came from. Once it has taken a letter, its copy
    goes. Exit status 1 if it refused one, 75 if one may go later: those copies stay. With --json:
    {"released": [{"id", "to", "fate", "reply", "kept", "approved", "trouble"}]}.

    Example:  pennyred refused release 3f9c0a71d2e4
    """
    if bool(letter_ids) == everything or everything != (to is not None):
        raise click.UsageError("name letters by their ids, or all of a recipient's with --all --to ADDR")
    gate, quarantine = _quarantine(context)
    letters = quarantine.listed(to) if everything else [quarantine.find(one) for one in letter_ids]
    distinct = list({letter.name: letter for letter in letters}.values())
    done = run_async(
        _release(gate, quarantine, distinct, is_approving=not no_approve, is_keeping=keep, as_json=as_json)
    )
    with telling():
        _report(done, as_json=as_json)


async def _release(
    gate: GateSettings,
    quarantine: Quarantine,
    letters: Sequence[KeptLetter],
    *,
    is_approving: bool,
    is_keeping: bool,
    as_json: bool,
) -> list[dict[str, Any]]:
    from pennyred.programs.log import make_log  # noqa: PLC0415 - listing needs no gate
    from pennyred.programs.release import Released, Releaser, approver, open_permits  # noqa: PLC0415

    done: list[dict[str, Any]] = []
    async with AsyncExitStack() as parts:
        approve = approver(await parts.enter_async_context(open_permits(gate))) if is_approving else None
        releaser = Releaser(gate, quarantine, approve=approve, is_keeping=is_keeping, log=make_log())
        await parts.enter_async_context(releaser)
        for letter in _with_progress(letters, is_shown=len(letters) > 1 and not as_json):
            try:
                released = await releaser.release(letter)
            except (PennyRedError, OSError) as error:  # go on: the results of the others must be told
                said = told(error) if isinstance(error, OSError) else str(error)
                released = Released(letter, Fate.NOT_SENT, said)
            done.append(_released(released))
    return done


def _released(released: "Released") -> dict[str, Any]:
    return {
        "id": released.letter.id,
        "to": released.letter.recipient,
        "fate": released.fate.value,
        "reply": released.said,
        "kept": released.is_kept,
        "approved": released.approved,
        "trouble": released.trouble,
    }


def _with_progress(letters: Sequence[KeptLetter], *, is_shown: bool) -> Iterable[KeptLetter]:
    """The letters, with a progress bar on standard error if that is a terminal."""
    if not is_shown or not sys.stderr.isatty():
        yield from letters
        return
    with click.progressbar(letters, label="releasing", file=sys.stderr) as bar:
        yield from bar


def _report(done: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    document = {"released": list(done)}
    if not as_json:
        for one in done:
            words = [f"{one['id']} {one['to']}: {one['reply'] or one['fate']}", one["approved"], one["trouble"]]
            click.echo(printable("\n  ".join(word for word in words if word)))
        if not done:
            click.echo("nothing was refused")
    refused_ids = [one["id"] for one in done if one["fate"] == Fate.REFUSED_PERMANENT]
    if refused_ids:
        raise RuleRefused("refused", f"the mail server refused {', '.join(refused_ids)}; the copies stay", document)
    undone = [one["id"] for one in done if one["fate"] != Fate.ACCEPTED]
    if undone or any(one["trouble"] for one in done):
        what = f"not released: {', '.join(undone)}; try again later" if undone else "not all of it was done"
        reason = Reason.UPSTREAM_UNAVAILABLE if undone else Reason.INTERNAL
        later = Unavailable(reason, what)
        later.document = document  # type: ignore[attr-defined]
        raise later
    if as_json:
        print_json(document)


def _quarantine(context: click.Context) -> tuple[GateSettings, Quarantine]:
    """The gate's settings and its quarantine; raises `BadSettings` if it has none."""
    settings = settings_of(context)
    gate = settings.gate
    if gate is None or gate.quarantine is None:
        expected = "a [gate.quarantine] table, an empty one will do: only then refused letters are kept"
        raise BadSettings([Complaint(str(settings.file), "gate.quarantine", "missing", expected)])
    kept = gate.quarantine
    return gate, Quarantine(kept.folder, days=kept.days, bytes_max=kept.max_size)


def _entry(letter: KeptLetter) -> dict[str, Any]:
    head = letter.head
    return {
        "id": letter.id,
        "at": datetime.fromtimestamp(head.origin.at, UTC).isoformat(),
        "to": letter.recipient,
        "from": letter.sender_shown,
        "subject": letter.subject,
        "reason": head.reason,
        "source": head.origin.source,
        "bytes": head.size,
    }


def _lines_of(entry: dict[str, Any]) -> str:
    """Three lines about one letter: eight columns would not fit into a terminal."""
    shown = {key: _cell(value) for key, value in entry.items()}
    at = f"{shown['at'][:10]} {shown['at'][11:16]}"
    return (
        f"{shown['id']}  {at}  {shown['reason']}  {entry['bytes']:,} bytes  from {shown['source']}\n"
        f"    {shown['from']}  to  {shown['to']}\n"
        f"    {shown['subject']}"
    )


def _cell(value: Any) -> Any:
    return printable(value).replace("\n", "?") if isinstance(value, str) else value


def _shown(quarantine: Quarantine, letter: KeptLetter) -> dict[str, Any]:
    origin = letter.head.origin
    beginning = next(quarantine.pieces(letter), b"")[:LETTER_BYTES_READ_MAX]
    header = split_letter(beginning)[0][:FIELDS_SHOWN_BYTES_MAX]
    return _entry(letter) | {
        "sender": origin.sender.decode("utf-8", "backslashreplace"),
        "helo": origin.helo,
        "host": origin.client_name,
        "authenticated": origin.authenticated,
        "header": header.decode("utf-8", "replace").replace("\r\n", "\n"),
        "text": beginning_of_text(beginning),
    }

"""The part of docs/sending.md that is made from the tables of paths. `python -m tests.wire.paths.page` writes it."""

from collections.abc import Iterable, Sequence
from pathlib import Path as File
from textwrap import fill

from tests.wire.paths import gateways, others, postfix, programs, providers
from tests.wire.paths.table import Path

PAGE = File(__file__).parents[3] / "src/pennyred/docs/sending.md"
BEGIN, END = "<!-- made by python -m tests.wire.paths.page -->\n", "<!-- end of what is made -->\n"
LINE_CHARACTERS = 125
SECTIONS: Sequence[tuple[str, Sequence[Path]]] = (
    ("Providers", providers.PATHS),
    ("Gateways and forwarders", gateways.GATEWAYS),
    ("Mailing lists", gateways.LISTS),
    ("Postfix", postfix.PATHS),
    ("Exim", others.EXIM),
    ("sendmail", (*others.SENDMAIL, *others.SENDMAIL_REWRITING)),
    ("OpenSMTPD", others.OPENSMTPD),
    ("Haraka", others.HARAKA),
    ("msmtp", programs.MSMTP),
    ("ssmtp", programs.SSMTP),
    ("esmtp", programs.ESMTP),
    ("nullmailer", programs.NULLMAILER),
    ("dma", programs.DMA),
    ("altermime", programs.ALTERMIME),
)


def made() -> str:
    """The whole block, without its marks."""
    return "\n".join(_section(name, paths) for name, paths in SECTIONS)


def parts(page: str) -> tuple[str, str, str]:
    """A page: what is above the block, the block, and what is below."""
    above, _, rest = page.partition(BEGIN)
    block, _, below = rest.partition(END)
    return above, block, below


def _section(name: str, paths: Sequence[Path]) -> str:
    whole = [path.name for path in paths if path.reason == "stamped"]
    lines = [f"### {name}\n"]
    if whole:
        told = f"`stamped`: {'; '.join(whole)}."
        lines += [fill(told, LINE_CHARACTERS, break_long_words=False, break_on_hyphens=False) + "\n"]
    other = [path for path in paths if path.reason != "stamped"]
    is_imitated = any(path.source for path in paths)
    if other:
        lines += _table(other, is_imitated=is_imitated)
    return "\n".join(lines)


def _table(paths: Iterable[Path], *, is_imitated: bool) -> list[str]:
    """Rows; those of programs that were run say no source."""
    source = " | known from" if is_imitated else ""
    lines = [f"| way | alters | the stamp | instead{source} |", "|---|---|---|---|" + "---|" * is_imitated]
    for path in paths:
        told = f" | {path.source}" if is_imitated else ""
        lines.append(
            f"| {path.name} | {path.altered} | `{path.reason}` | {path.instead or 'nothing: it counts'}{told} |"
        )
    return [*lines, ""]


if __name__ == "__main__":
    above, _, below = parts(PAGE.read_text())
    PAGE.write_text(f"{above}{BEGIN}\n{made()}\n{END}{below}")

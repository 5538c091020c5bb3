"""A mail server that does to letters what a provider's documents say that it does: for those that cannot be run here."""

import asyncio
from email.header import Header
from typing import Any, Self

from aiosmtpd.controller import Controller
from tests.support.real_postfix import free_port
from tests.wire.paths.table import Alter, Path
from tests.wire.paths.world import World, hand_in

from pennyred.postage.letter import parse_header, split_letter


class Hop:
    """A context manager; it hands on to the gate while its client waits, and says what the gate said."""

    def __init__(self, world: World) -> None:
        self._next = world.port
        self._path = Path("", "")
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Alter the letter and pass it on."""
        assert self._path.alter is not None
        altered = self._path.alter(envelope.original_content)
        code, said = await asyncio.to_thread(hand_in, altered, self._next, **self._path.settings)
        return f"{code} {said.decode().splitlines()[-1]}"

    def carry(self, letter: bytes, path: Path) -> None:
        """Through it, as this path has it."""
        self._path = path
        hand_in(letter, self._controller.port)


def together(*steps: Alter) -> Alter:
    """One after the other."""

    def alter(letter: bytes) -> bytes:
        for step in steps:
            letter = step(letter)
        return letter

    return alter


def put(name: str, value: str, *, keep_as: str = "") -> Alter:
    """Another value in a field's place, or such a field where there is none; the old one under another name."""

    def alter(letter: bytes) -> bytes:
        fields, body = _parts(letter)
        old = [raw for key, raw in fields if key == name.lower()]
        kept = [f"{keep_as}:".encode() + raw.partition(b":")[2] for raw in old] if keep_as else []
        new = [f"{name}: {value}\r\n".encode(), *kept]
        at = next((place for place, (key, _) in enumerate(fields) if key == name.lower()), len(fields))
        rest = [raw for key, raw in fields[at:] if key != name.lower()]
        return b"".join([*(raw for _, raw in fields[:at]), *new, *rest]) + body

    return alter


def change(name: str, how: Any) -> Alter:
    """A field's value, text to text."""

    def alter(letter: bytes) -> bytes:
        value = next(raw for key, raw in _parts(letter)[0] if key == name.lower()).decode().partition(":")[2].strip()
        return put(name, how(value))(letter)

    return alter


def drop(*prefixes: str) -> Alter:
    """Without the fields whose names begin so."""

    def alter(letter: bytes) -> bytes:
        fields, body = _parts(letter)
        return b"".join(raw for key, raw in fields if not key.startswith(tuple(prefixes))) + body

    return alter


def add(*fields: str) -> Alter:
    """These on top."""
    return lambda letter: "".join(f"{field}\r\n" for field in fields).encode() + letter


def below(text: str) -> Alter:
    """More text at the end of the body."""
    return lambda letter: letter + text.encode().replace(b"\n", b"\r\n")


def write(old: str, new: str) -> Alter:
    """Some text of the body for another."""

    def alter(letter: bytes) -> bytes:
        _, body = split_letter(letter)
        assert old.encode() in body
        return letter[: len(letter) - len(body)] + body.replace(old.encode(), new.encode())

    return alter


def text(new: str) -> Alter:
    """Another body."""
    return lambda letter: letter.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + new.encode()


def in_one_line(letter: bytes) -> bytes:
    """Each field unfolded."""
    fields, body = _parts(letter)
    return b"".join(raw.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ") for _, raw in fields) + body


def as_encoded_words(letter: bytes) -> bytes:
    """The stamp as RFC 2047 has it for text."""
    return change(
        "X-Postage-Stamp", lambda value: Header(value, "utf-8", 75, "X-Postage-Stamp").encode(linesep="\r\n")
    )(letter)


def _parts(letter: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """Fields, by lower case name, each with its octets; and the empty line with what follows."""
    section, body = split_letter(letter)
    fields = [(field.key.decode(), field.raw) for field in parse_header(section).fields]
    return fields, b"\r\n" + body

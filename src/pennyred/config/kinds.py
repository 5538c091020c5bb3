"""The kinds of value a settings file may hold, as converters: TOML value in, setting out, ValueError with what was expected."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from pennyred.config import values

T = TypeVar("T")
Convert = Callable[[Any], Any]


def typed(kind: type[T], expected: str, convert: Callable[[T], Any] = lambda value: value) -> Convert:
    """A converter of one TOML type."""

    def read(value: Any) -> Any:
        try:
            plain = msgspec.convert(value, kind, strict=True)
        except msgspec.ValidationError:
            raise ValueError(expected) from None
        return convert(plain)

    return read


def text(convert: Callable[[str], Any] = lambda value: value) -> Convert:
    """A text, and what it means."""
    return typed(str, "a text in quotes", convert)


def texts(convert: Callable[[str], Any]) -> Convert:
    """A list of texts, and what each means."""
    return typed(list[str], "a list of texts", lambda items: tuple(convert(item) for item in items))


def number(lowest: int, highest: int) -> Convert:
    """A whole number within bounds."""
    expected = f"a whole number from {lowest} to {highest}"

    def check(value: int) -> int:
        if not lowest <= value <= highest:
            raise ValueError(expected)
        return value

    return typed(int, expected, check)


def choice(*choices: str) -> Convert:
    """One of a few words."""
    expected = "one of " + ", ".join(f'"{choice}"' for choice in choices)

    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(expected)
        return value

    return typed(str, expected, check)


def size(value: Any) -> int:
    """A size in bytes, as a text with a unit or as a number."""
    return values.size_bytes(value if isinstance(value, str) else str(number(1, 10**12)(value)))

"""Converters for the kinds of value that a settings file may have.

A converter takes a TOML value and returns the setting. It raises ValueError with what was expected.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from pennyred.config import values

T = TypeVar("T")
Convert = Callable[[Any], Any]


class WrongItems(ValueError):  # noqa: N818 - several, each with its sentence
    """Some values inside a list or table are wrong: each with its place and what was expected."""

    def __init__(self, items: list[tuple[str, Any, str]]) -> None:
        super().__init__("; ".join(expected for _, _, expected in items))
        self.items = items


def typed(kind: type[T], expected: str, convert: Callable[[T], Any] = lambda value: value) -> Convert:
    """A converter for one TOML type: checks the type, then applies `convert`."""

    def read(value: Any) -> Any:
        try:
            plain = msgspec.convert(value, kind, strict=True)
        except msgspec.ValidationError:
            raise ValueError(expected) from None
        return convert(plain)

    return read


def text(convert: Callable[[str], Any] = lambda value: value) -> Convert:
    """A converter for a text."""
    return typed(str, "a text in quotes", convert)


def texts(convert: Callable[[str], Any]) -> Convert:
    """A converter for a list of texts, to a tuple."""
    return typed(list[str], "a list of texts", lambda items: tuple(each(enumerate(items), convert)))


def few_texts(convert: Callable[[str], Any], most: int) -> Convert:
    """A converter for a list of at most `most` texts, to a tuple."""

    def read(value: Any) -> Any:
        converted = texts(convert)(value)
        if len(converted) > most:
            raise ValueError(f"a list of at most {most} texts")
        return converted

    return read


def one_or_several(convert: Callable[[str], Any], most: int) -> Convert:
    """A converter for a text or a list of up to `most` different texts; the result is always a tuple."""
    expected = f"a text in quotes, or a list of 1 to {most} different ones"

    def read(value: Any) -> Any:
        if isinstance(value, str):
            return (convert(value),)
        try:
            converted = texts(convert)(value)
        except WrongItems:
            raise
        except ValueError:
            raise ValueError(expected) from None
        if not 0 < len(converted) <= most or len(set(converted)) < len(converted):
            raise ValueError(expected)
        return converted

    return read


def each(items: Iterable[tuple[object, str]], convert: Callable[[str], Any]) -> list[Any]:
    """Convert each text of (place, text); raises `WrongItems` with all that are wrong."""
    converted, wrong = [], []
    for place, item in items:
        try:
            converted.append(convert(item))
        except ValueError as error:
            wrong.append((f"[{place}]", item, str(error)))
    if wrong:
        raise WrongItems(wrong)
    return converted


def by_name(
    name: Callable[[str], Any], item: Callable[[str], Any], example: str, *, at_least_one: bool = False
) -> Convert:
    """A converter for a table of names, each with a list of texts."""
    expected = f"a table like {example}"

    def read(value: dict[str, list[str]]) -> dict[str, Any]:
        names = each(((f'"{key}"', key) for key in value), name)
        each([(f'"{key}"', one) for key, items in value.items() for one in items], item)
        if at_least_one and not all(value.values()):
            raise ValueError(expected)
        return {key: tuple(map(item, items)) for key, items in zip(names, value.values(), strict=True)}

    return typed(dict[str, list[str]], expected, read)


def names(name: Callable[[str], Any], item: Callable[[str], Any], example: str) -> Convert:
    """A converter for a table of names, each with one text."""

    def read(value: dict[str, str]) -> dict[str, Any]:
        keys = each(((f'"{key}"', key) for key in value), name)
        return dict(zip(keys, each(((f'"{key}"', one) for key, one in value.items()), item), strict=True))

    return typed(dict[str, str], f"a table like {example}", read)


def some(convert: Convert, expected: str) -> Convert:
    """A converter like `convert` that refuses an empty result."""

    def read(value: Any) -> Any:
        converted = convert(value)
        if not converted:
            raise ValueError(expected)
        return converted

    return read


def number(lowest: int, highest: int) -> Convert:
    """A converter for an integer from `lowest` to `highest`."""
    expected = f"a whole number from {lowest} to {highest}"

    def check(value: int) -> int:
        if not lowest <= value <= highest:
            raise ValueError(expected)
        return value

    return typed(int, expected, check)


def choice(*choices: str) -> Convert:
    """A converter for one of these words."""
    expected = "one of " + ", ".join(f'"{choice}"' for choice in choices)

    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(expected)
        return value

    return typed(str, expected, check)


def size(value: Any) -> int:
    """The size in bytes that a text with a unit, or a number, means; raises ValueError."""
    return values.size_bytes(value if isinstance(value, str) else str(number(1, 10**12)(value)))

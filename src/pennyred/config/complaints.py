"""What is wrong with the settings, with the key and what was expected, so that it can be corrected."""

from dataclasses import dataclass

COMPLAINTS_MAX = 200


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong in the settings, or with something they name."""

    file: str
    key: str
    what: str
    expected: str
    is_later: bool = False
    """Whether something outside just does not answer, so that perhaps nothing is wrong with the settings."""

    def __str__(self) -> str:
        """The line to print: `FILE: key: what is wrong, expected what`."""
        return f"{self.file}: {self.key + ': ' if self.key else ''}{self.what}, expected {self.expected}"


class BadSettings(Exception):  # noqa: N818 - the settings are bad; there is nothing to handle
    """The settings cannot be used; `complaints` has everything that is wrong."""

    def __init__(self, complaints: list[Complaint]) -> None:
        super().__init__("\n".join(map(str, complaints)))
        self.complaints = complaints

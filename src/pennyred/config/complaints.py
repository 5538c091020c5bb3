"""What is wrong with the settings, said so that it can be mended."""

from dataclasses import dataclass

COMPLAINTS_MAX = 200


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong in the settings, or with what they name."""

    file: str
    key: str
    what: str
    expected: str
    is_later: bool = False
    """The world does not answer: nothing here may have to be mended."""

    def __str__(self) -> str:
        """As it is printed: `FILE: key: what is wrong, what is expected`."""
        return f"{self.file}: {self.key + ': ' if self.key else ''}{self.what}, expected {self.expected}"


class BadSettings(Exception):  # noqa: N818 - the settings are bad; there is nothing to handle
    """The settings cannot be used; carries every complaint."""

    def __init__(self, complaints: list[Complaint]) -> None:
        super().__init__("\n".join(map(str, complaints)))
        self.complaints = complaints

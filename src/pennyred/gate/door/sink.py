"""What takes a letter off the wire."""

from typing import Protocol


class Sink(Protocol):
    """Takes what comes instead of the command reader."""

    def take(self, data: bytes) -> bytes | None:
        """Take a piece; the bytes after the end once there is one, None before."""
        ...

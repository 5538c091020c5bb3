"""The type of the callback that is told how each transaction went, for the metrics."""

from collections.abc import Callable

NoteBatch = Callable[[int, float, bool], None]
"""Called with how many requests a transaction answered, in how many seconds, and whether the database worked. It must
not block."""

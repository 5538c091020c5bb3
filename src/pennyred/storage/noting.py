"""Who is told how the database does."""

from collections.abc import Callable

NoteBatch = Callable[[int, float, bool], None]
"""How many requests a transaction answered, in how many seconds, and whether the database did. Waits for nobody."""

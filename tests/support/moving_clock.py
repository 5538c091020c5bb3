"""A clock of the day that started programs go by, and that a test can move under them."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = Path(__file__).parent / "moved_clock"


class MovingClock:
    """What `sitecustomize` of the folder `moved_clock` reads: seconds before or after the machine's own clock."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0
        self.move(0)

    def move(self, seconds: int) -> None:
        """Set it to so many seconds after the machine's own, at once for whoever looks next."""
        self._offset = seconds
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)  # whole, whoever reads it now

    @property
    def now(self) -> int:
        """What the programs take for now."""
        return int(time.time()) + self._offset

    @contextmanager
    def for_programs(self) -> Iterator[None]:
        """Programs started from here on go by it."""
        before = dict(os.environ)
        paths = [str(_FOLDER), *filter(None, [before.get("PYTHONPATH")])]
        os.environ.update({"MOVED_CLOCK": str(self._file), "PYTHONPATH": os.pathsep.join(paths)})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

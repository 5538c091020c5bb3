"""Python reads this file before a program begins whose PYTHONPATH has this folder: its clock is moved by a file's words.

Only the clock of the day (`time.time`), as when an administrator sets it; the one that intervals are measured by goes on.
"""

import os
import time

_offset_file = os.environ["MOVED_CLOCK"]
_time = time.time


def _moved() -> float:
    with open(_offset_file) as opened:  # noqa: PTH123 - nothing is imported here that the program might not
        return _time() + int(opened.read())


time.time = _moved

"""Python reads this file before a program begins whose PYTHONPATH has this folder: its calls of Python are counted.

Calls of functions of `pennyred` are counted in all threads; each log line about a letter writes down the count so far.
"""

import os
import sys
import threading

_OWN = f"{os.sep}pennyred{os.sep}"
_counts = os.open(os.environ["COUNTED_CALLS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
_calls = 0


def _count(frame, event, _argument) -> None:
    global _calls  # noqa: PLW0603 - each call pays for what is done here
    code = frame.f_code
    if event == "call" and _OWN in code.co_filename:
        _calls += 1
        if code.co_name == "answered":
            os.write(_counts, b"%d\n" % _calls)


threading.setprofile(_count)
sys.setprofile(_count)

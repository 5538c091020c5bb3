"""Signals as things to read, one after another: nothing is interrupted, and none is missed between two looks."""

import os
import select
import signal
from collections.abc import Iterable


class Signals:
    """Those that a process which only waits wants to hear of. One a process, in its main thread."""

    def __init__(self, wanted: Iterable[int]) -> None:
        self._wanted = frozenset(wanted)
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        for signum in self._wanted:
            signal.signal(signum, lambda *_: None)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def wait(self, seconds: float) -> bytes:
        """Wait for signals, not longer than that; those that came, by number, in order."""
        ready, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        return os.read(self._reader, 4096) if ready else b""

    def fork(self) -> int:
        """As os.fork; the child begins with the signals as any process does, and what was for it waits until then."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._wanted)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for signum in self._wanted:
                signal.signal(signum, signal.SIG_DFL)
            os.close(self._reader)
            os.close(self._writer)
        else:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._wanted)
        return pid

    def unblock(self) -> None:
        """In the child, when it is ready for signals."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._wanted)

"""Signals that are read one after another: they interrupt nothing, and none is missed between two reads."""

import os
import select
import signal
from collections.abc import Iterable


class Signals:
    """The signals for a process that only waits. There is one in a process, in its main thread."""

    def __init__(self, wanted: Iterable[int]) -> None:
        self._wanted = frozenset(wanted)
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        for signum in self._wanted:
            signal.signal(signum, lambda *_: None)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def wait(self, seconds: float) -> bytes:
        """Wait for signals for at most so many seconds; returns the numbers of those that came, in order."""
        ready, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        return os.read(self._reader, 4096) if ready else b""

    def fork(self) -> int:
        """Fork as os.fork does. The child has the usual signal handling; its signals wait until `unblock`."""
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
        """Let signals through; called in the child when it is ready for them."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._wanted)

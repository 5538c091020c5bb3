"""Which of a service's processes has the ledger's file."""

import contextlib
import time
from pathlib import Path

from tests.support.program import WAIT_SECONDS, Served


def ledger_process(served: Served, folder: Path) -> int:
    """Its process id: the one where the socket is open on which it listens for the others."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        unix = Path("/proc/net/unix").read_text().splitlines()
        listening = {f"socket:[{line.split()[6]}]" for line in unix if line.endswith(f"{folder}/ledger.db.socket.new")}
        for pid in served.workers:
            with contextlib.suppress(OSError):
                if listening & {str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()}:
                    return pid
    raise AssertionError(f"no process of {served.workers} has the ledger")

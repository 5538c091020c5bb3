"""What a program and all its children have taken of the machine, from /proc."""

import contextlib
from dataclasses import dataclass
from os import sysconf
from pathlib import Path

_TICKS_PER_SECOND = sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    cpu_ticks: int
    """User and system, with that of the children it has buried: so nothing is lost when one of them ends."""


def tree_cpu_ms(*roots: int) -> float:
    """CPU time of the processes and of all that descend from them, those that have ended included."""
    while True:
        processes = _processes()
        tree = _tree(processes, roots)
        if _tree(_processes(), roots) == tree:  # nobody was born or buried between the two: nothing is counted twice
            return 1000 * sum(processes[pid].cpu_ticks for pid in tree) / _TICKS_PER_SECOND


def tree_pss_kib(*roots: int) -> float:
    """Memory of the processes and all that descend from them: each page shared by some counted by its share."""
    total = 0
    for pid in _tree(_processes(), roots):
        with contextlib.suppress(OSError):
            [line] = [one for one in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if one[:4] == "Pss:"]
            total += int(line.split()[1])
    return total


def _tree(processes: dict[int, _Process], roots: tuple[int, ...]) -> set[int]:
    tree = {pid for pid in roots if pid in processes}
    while more := {pid for pid, one in processes.items() if one.parent in tree} - tree:
        tree |= more
    return tree


def _processes() -> dict[int, _Process]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which may hold anything: state, parent, ... and from the 12th on utime stime cutime cstime.
            fields = path.read_text().rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(path.parent.name)] = _Process(int(fields[1]), sum(map(int, fields[11:15])))
    return found

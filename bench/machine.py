"""The machine: which cores there are, who runs on which, and what processes have used. Linux in full; elsewhere
nothing is pinned, and CPU and memory figures are 0."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


SERVER_CORE = cores()[0]
LOAD_CORE = cores()[-1]
"""The same as the server's on a machine with one: then every figure is lower, and the notes say so."""


def notes() -> list[str]:
    """Return what a reader must know of this machine to read the figures."""
    found = []
    if SERVER_CORE == LOAD_CORE:
        found.append("One core only: server, database and load shared it, and every figure is lower for that.")
    if not _can_pin():
        found.append("Processes could not be pinned to cores on this system.")
    return found


def described() -> str:
    python = platform.python_version()
    return f"{len(cores())} cores ({platform.machine()}), {_huge_pages()}, Python {python}, {platform.system()}"


def _huge_pages() -> str:
    """Return what the machine's administrator has reserved: PostgreSQL takes them by itself where it fits in."""
    reserved = Path("/proc/sys/vm/nr_hugepages")
    count = int(reserved.read_text()) if reserved.exists() else 0
    return f"{count:,} huge pages" if count else "no huge pages"


def _can_pin() -> bool:
    return sys.platform == "linux" and shutil.which("taskset") is not None


def pinned(command: Sequence[str], core: int) -> list[str]:
    return ["taskset", "-c", str(core), *command] if _can_pin() else list(command)


def pin(pids: Sequence[int], core: int) -> None:
    if _can_pin():
        for pid in pids:
            subprocess.run(["taskset", "-a", "-cp", str(core), str(pid)], capture_output=True, check=False)


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return user and system CPU seconds of the processes."""
    total = 0.0
    for pid in pids:
        parts = _stat(pid)
        if parts:
            total += sum(int(value) for value in parts[11:13]) / _TICKS
    return total


def rss_mb(pids: Sequence[int]) -> float:
    """Return resident memory in MB (10^6 bytes), shared pages counted once for each process."""
    total = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return total * 1024 / 1e6


def family(pid: int) -> list[int]:
    """Return the process and all that descend from it: PostgreSQL's postmaster and its backends."""
    parents = {}
    if Path("/proc").is_dir():
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                parts = _stat(int(entry.name))
                if parts:
                    parents[int(entry.name)] = int(parts[1])
    found = [pid]
    for one in found:
        found.extend(child for child, parent in parents.items() if parent == one)
    return found


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []

"""Other processes, as the kernel tells of them. Any of them may end between two looks."""

from pathlib import Path


def runs(pid: int) -> bool:
    """Tell whether a process is there and has not ended; one that nobody has collected yet has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, without those that have ended."""
    return [child for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) if runs(child)]

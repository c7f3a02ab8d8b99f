"""Loading a server with wrk, and reading what it and the processes it loads have used."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """
math.randomseed({seed})
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer {key}"
wrk.headers["Content-Type"] = "application/json"
request = function()
  return wrk.format(nil, nil, nil, '{{"user_id":"user_' .. math.random(0, {accounts} - 1) .. '"}}')
end
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %.1f %.1f %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
"""
_UNITS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Measured:
    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    server_us: float
    """CPU microseconds of the server's process per request."""
    database_us: float


def wrk() -> str:
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit("bench: wrk is needed (apt-get install wrk)")
    return found


def measure(
    port: int, key: str, *, callers: int, seconds: float, accounts: int, core: int, server: int, database: list[int]
) -> Measured:
    """Load the server on loopback from one core for so many seconds, with so many connections."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "reads.lua"
        script.write_text(_SCRIPT.format(key=key, accounts=accounts, seed=callers))
        command = ["taskset", "-c", str(core), wrk(), "-t1", f"-c{callers}", f"-d{seconds:g}s", "--timeout", "10s"]
        command += ["-s", str(script), f"http://127.0.0.1:{port}/data-integrations/github/token"]
        return _measured(command, server, database)


def measure_grpc(
    port: int, key: str, *, callers: int, seconds: float, accounts: int, core: int, server: int, database: list[int]
) -> Measured:
    """As `measure`, by gRPC: a connection for every eight callers."""
    command = ["taskset", "-c", str(core), sys.executable, "-m", "bench.grpc_load", "--port", str(port), "--key", key]
    command += ["--connections", str(max(1, callers // 8)), "--seconds", f"{seconds:g}", "--accounts", str(accounts)]
    return _measured(command, server, database)


def _measured(command: list[str], server: int, database: list[int]) -> Measured:
    before = cpu_seconds([server]), cpu_seconds(database)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = cpu_seconds([server]), cpu_seconds(database)
    result = re.search(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)", output)
    if result is None:
        raise SystemExit(f"bench: the load said {output!r}")
    requests, micros = int(result[1]), int(result[2])
    per_request = 1e6 / max(1, requests)
    return Measured(
        per_second=requests / (micros / 1e6),
        p50_ms=float(result[3]) / 1000,
        p99_ms=float(result[4]) / 1000,
        failed=int(result[5]),
        server_us=(after[0] - before[0]) * per_request,
        database_us=(after[1] - before[1]) * per_request,
    )


def cpu_seconds(pids: list[int]) -> float:
    """Return user and system CPU seconds of the processes, those they have ended included."""
    total = 0.0
    for pid in pids:
        try:
            parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(value) for value in parts[11:13]) / _UNITS
    return total


def children(pid: int) -> list[int]:
    """Return the process and its direct children: PostgreSQL's postmaster and its backends."""
    found = [pid]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            if parent == pid:
                found.append(int(entry.name))
    return found


def pin(pids: list[int], core: int) -> None:
    for pid in pids:
        subprocess.run(["taskset", "-a", "-cp", str(core), str(pid)], capture_output=True, check=False)

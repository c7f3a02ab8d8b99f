"""Token reads per second, beside a bare handler on the same server, and beside `pgbench -S` on the same PostgreSQL;
the same read by gRPC, beside REST."""

import re
import tempfile
from collections.abc import Callable
from statistics import median

from bench.load import Measured, each_once, measure, measure_grpc
from bench.machine import LOAD_CORE, SERVER_CORE
from bench.plan import Failed, Figure, Plan
from bench.processes import Postgres, Process, flags, postgres, started

ENGINES = ("sqlite", "postgres")


def run(plan: Plan, only: str = "") -> list[Figure]:
    """Measure both engines: one core for the server and its database; then the server alone on its core."""
    found: list[Figure] = []
    for engine in ENGINES:
        if engine not in only and any(name in only for name in ENGINES):
            continue
        if engine == "sqlite":
            found += _engine(plan, only, engine, None)
            continue
        with postgres() as database:
            found += _engine(plan, only, engine, database)
            if not only or "pgbench" in only:
                found.append(_pgbench(plan, database))
    return found


def _engine(plan: Plan, only: str, engine: str, database: Postgres | None) -> list[Figure]:
    wanted = []
    for core, where, numbers in (
        (SERVER_CORE, "one_core", plan.callers),
        (LOAD_CORE, "own_core", plan.own_core_callers if database else ()),
    ):
        for callers in numbers:
            name = f"token_reads_{engine}_c{callers}_{where}"
            both = core == SERVER_CORE and callers in plan.grpc_callers and engine in plan.further_engines
            grpc = name.replace("token", "grpc") if both else ""
            if not only or only in name or only in grpc:
                wanted.append((name, grpc, callers, core))
    if not wanted:
        return []
    found = []
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        url = database.fresh_database() if database else ""
        place = flags(database=url, data_dir=folder, accounts=plan.accounts)
        with started("bare") as bare, started("holdfast", *place) as server:
            each_once(server, plan.accounts, database)
            for name, grpc, callers, core in wanted:
                found += _figures(name, grpc, plan, callers, server, bare, database, core)
    return found


def _figures(
    name: str,
    grpc: str,
    plan: Plan,
    callers: int,
    server: Process,
    bare: Process,
    database: Postgres | None,
    core: int,
) -> list[Figure]:
    """Return the reads beside the bare handler and, if it has a name, the same read by gRPC beside that by REST."""
    reads, ceilings, calls = [], [], []
    for _ in range(plan.runs):
        ceilings.append(_run(measure, bare, plan, callers, None, core))
        reads.append(_run(measure, server, plan, callers, database, core))
        if grpc:
            calls.append(_run(measure_grpc, server, plan, callers, database, core))
    found = [compared(name, reads, ceilings)]
    return [*found, compared(grpc, calls, reads)] if grpc else found


def _run(
    load: Callable[..., Measured], process: Process, plan: Plan, callers: int, database: Postgres | None, core: int
) -> Measured:
    return load(
        process.port,
        process.key,
        callers=callers,
        seconds=plan.seconds,
        accounts=plan.accounts,
        server=[process.pid],
        database=(lambda: database.pids(core)) if database else None,
    )


def compared(name: str, runs: list[Measured], ceilings: list[Measured], unit: str = "requests/s") -> Figure:
    """Return the medians of the runs beside those of the ceiling's."""
    value, ceiling = median(run.per_second for run in runs), median(run.per_second for run in ceilings)
    return Figure(
        name,
        round(value, 1),
        unit,
        len(runs),
        p99_ms=round(median(run.p99_ms for run in runs), 3),
        ceiling=round(ceiling, 1),
        ratio=round(value / ceiling, 3),
        more={
            "p50_ms": round(median(run.p50_ms for run in runs), 3),
            "server_us": round(median(run.server_us for run in runs), 1),
            "database_us": round(median(run.database_us for run in runs), 1),
            "ceiling_server_us": round(median(run.server_us for run in ceilings), 1),
        },
    )


def _pgbench(plan: Plan, database: Postgres) -> Figure:
    """The database's own ceiling: one row by key, prepared, 64 clients, the server on its core."""
    url = database.fresh_database()
    database.tool("pgbench", "-i", "-q", "-s", "1", url)
    rates = []
    for _ in range(plan.runs):
        database.pids(SERVER_CORE)
        options = ("-S", "-M", "prepared", "-c", "64", "-j", "1", "-T", f"{max(1, plan.seconds):.0f}")
        said = re.search(r"tps = ([\d.]+)", database.tool("pgbench", *options, url))
        if said is None:
            raise Failed("pgbench told no rate")
        rates.append(float(said[1]))
    return Figure("pgbench_select_c64", round(median(rates), 1), "transactions/s", len(rates))

"""Refreshes per second: reads of accounts whose token has ended, against a local token endpoint on the load's core."""

import tempfile
from pathlib import Path

from bench.load import Measured, measure
from bench.machine import LOAD_CORE, SERVER_CORE
from bench.plan import Failed, Figure, Plan
from bench.processes import Postgres, Process, counted, flags, postgres, started
from bench.reads import compared

LIFE = 1
"""Seconds that a token lives: over before its account's turn comes round again."""


def run(plan: Plan) -> list[Figure]:
    """Measure on PostgreSQL (server and database on one core), and on SQLite at the most callers."""
    with postgres() as database:
        found = [_measured(plan, callers, database) for callers in plan.refresh_callers]
    if "sqlite" in plan.further_engines:
        found.append(_measured(plan, max(plan.refresh_callers), None))
    return found


def _measured(plan: Plan, callers: int, database: Postgres | None) -> Figure:
    folder = tempfile.TemporaryDirectory(prefix="holdfast-bench-")
    with folder as data_dir, started("endpoint", *flags(life=LIFE), core=LOAD_CORE) as endpoint:
        place = flags(
            database=database.fresh_database() if database else "",
            data_dir=Path(data_dir),
            accounts=plan.refresh_accounts,
            state="ended",
            upstream=f"http://127.0.0.1:{endpoint.port}",
        )
        # The ceiling: the endpoint alone, on the server's core.
        with started("endpoint", *flags(life=LIFE)) as alone, started("holdfast", *place) as server:
            runs, ceilings, at = [], [], 0
            for _ in range(plan.runs):
                ceilings.append(
                    measure(alone.port, "none", callers=callers, seconds=plan.seconds, accounts=1, server=[alone.pid])
                )
                runs.append(_run(plan, callers, server, endpoint, database, at))
                at = (at + runs[-1].requests + callers) % plan.refresh_accounts
    name = "refreshes_one_core" if database else "refreshes_sqlite"
    return compared(name if callers == 64 else f"{name}_c{callers}", runs, ceilings, "refreshes/s")


def _run(
    plan: Plan, callers: int, server: Process, endpoint: Process, database: Postgres | None, first: int
) -> Measured:
    before = counted(endpoint.port)["requests"]
    found = measure(
        server.port,
        server.key,
        callers=callers,
        seconds=plan.seconds,
        accounts=plan.refresh_accounts,
        server=[server.pid],
        database=(lambda: database.pids(SERVER_CORE)) if database else None,
        order="in_turn",
        first=first,
        checked=True,
    )
    refreshed = counted(endpoint.port)["requests"] - before
    if refreshed < found.requests * 0.99:
        raise Failed(f"of {found.requests} reads only {refreshed} refreshed: more accounts are needed")
    return found

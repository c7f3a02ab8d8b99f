"""The sweep: accounts a second that are refreshed though nobody reads them, from the first request to the last."""

import tempfile
import time
from collections.abc import Callable
from statistics import median

from bench.load import measure
from bench.machine import LOAD_CORE, SERVER_CORE, cpu_seconds
from bench.plan import Failed, Figure, Plan
from bench.processes import counted, flags, postgres, started

LIFE = 3600
SWEEP_INTERVAL = 0.5
STUCK_SECONDS = 30


def run(plan: Plan) -> list[Figure]:
    """Let one process on PostgreSQL, both on one core, renew so many due accounts at one provider."""
    rates, ceilings, server_us, database_us = [], [], [], []
    with (
        postgres() as database,
        started("endpoint", *flags(life=LIFE), core=LOAD_CORE) as endpoint,
        started("endpoint", *flags(life=LIFE)) as alone,
    ):
        for _ in range(min(plan.runs, plan.sweeps)):
            bare = measure(alone.port, "none", callers=64, seconds=1, accounts=1, server=[alone.pid])
            ceilings.append(bare.per_second)
            with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
                place = flags(
                    database=database.fresh_database(),
                    data_dir=folder,
                    accounts=plan.due,
                    state="due",
                    upstream=f"http://127.0.0.1:{endpoint.port}",
                )
                with started("holdfast", *place):
                    pass  # seeded; a sweep that looks from the start would begin in the middle of it
                counted(endpoint.port, anew=True)
                before = cpu_seconds(database.pids(SERVER_CORE))
                with started("holdfast", *place, "--sweep-interval", str(SWEEP_INTERVAL)) as server:
                    began = cpu_seconds([server.pid])
                    seen = _swept(endpoint.port, plan.due, lambda: database.pids(SERVER_CORE))
                    server_us.append((cpu_seconds([server.pid]) - began) / plan.due * 1e6)
                    database_us.append((cpu_seconds(database.pids(SERVER_CORE)) - before) / plan.due * 1e6)
                rates.append(plan.due / (seen["last"] - seen["first"]))
    value, ceiling = median(rates), median(ceilings)
    more = {"server_us": round(median(server_us), 1), "database_us": round(median(database_us), 1)}
    return [
        Figure(
            f"sweep_{plan.due // 1000}k",
            round(value, 1),
            "accounts/s",
            len(rates),
            ceiling=round(ceiling, 1),
            ratio=round(value / ceiling, 3),
            more=more,
        )
    ]


def _swept(port: int, due: int, pin: Callable[[], object]) -> dict[str, float]:
    """Wait until the endpoint has seen a request for each account. Raises Failed if it stops short, or sees more."""
    last, since = -1, time.monotonic()
    while True:
        seen = counted(port)
        if seen["requests"] != last:
            last, since = int(seen["requests"]), time.monotonic()
            pin()
        if last >= due:
            time.sleep(1)
            if counted(port)["requests"] != due:
                raise Failed(f"{due} accounts were due, and {counted(port)['requests']} refreshes were asked for")
            return seen
        if time.monotonic() - since > STUCK_SECONDS:
            raise Failed(f"the sweep stopped at {last} of {due} accounts")
        time.sleep(0.2)

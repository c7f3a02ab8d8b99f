"""Proxied calls per second: small GETs through `/relay`, on one core with PostgreSQL, and with a core of their own.

The upstream is on the load's core. There are two ceilings, on the server's core against the same upstream: our own
HTTP client behind a bare handler (what there is to win at most), and aiohttp behind one (what a plain relay does).
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from bench.load import Measured, measure
from bench.machine import LOAD_CORE, SERVER_CORE
from bench.plan import Figure, Plan
from bench.processes import Process, flags, postgres, started
from bench.reads import compared

ACCOUNTS = 1000
PATH = "/relay/github/user"


def run(plan: Plan, only: str = "") -> list[Figure]:
    """Measure at each number of callers, the ceilings between the runs."""
    found = []
    with (
        postgres() as database,
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        started("upstream", core=LOAD_CORE) as upstream,
    ):
        origin = f"http://127.0.0.1:{upstream.port}"
        place = flags(database=database.fresh_database(), data_dir=Path(folder), accounts=ACCOUNTS, upstream=origin)
        with (
            started("relay", *flags(upstream=origin)) as ours,
            started("relay_aiohttp", *flags(upstream=origin)) as common,
            started("holdfast", *place) as server,
        ):
            for core, where, chosen in (
                (SERVER_CORE, "one_core", plan.proxy_callers),
                (LOAD_CORE, "own_core", plan.proxy_own_core_callers),
            ):
                for callers in chosen:
                    name = f"proxied_calls_postgres_c{callers}_{where}"
                    if not only or only in name:
                        behind = partial(database.pids, core)
                        found.append(_figure(name, plan, callers, server, ours, common, behind))
    return found


def _figure(
    name: str,
    plan: Plan,
    callers: int,
    server: Process,
    ours: Process,
    common: Process,
    database: Callable[[], Sequence[int]],
) -> Figure:
    calls, ceilings, others = [], [], []
    for _ in range(plan.runs):
        ceilings.append(_run(ours, plan, callers, None))
        others.append(_run(common, plan, callers, None))
        calls.append(_run(server, plan, callers, database))
    figure = compared(name, calls, ceilings, "calls/s")
    aiohttp = median(run.per_second for run in others)
    more = {
        "ceiling_is": "our client behind a bare handler",
        "aiohttp": round(aiohttp, 1),
        "ratio_to_aiohttp": round(figure.median / aiohttp, 3),
        "aiohttp_server_us": round(median(run.server_us for run in others), 1),
    }
    return replace(figure, more=figure.more | more)


def _run(process: Process, plan: Plan, callers: int, database: Callable[[], Sequence[int]] | None) -> Measured:
    return measure(
        process.port,
        process.key,
        callers=callers,
        seconds=plan.seconds,
        accounts=ACCOUNTS,
        server=[process.pid],
        database=database,
        path=PATH,
        kind="call",
    )

"""Whether a read costs the same among a million accounts as among a thousand, and what an account takes on disk."""

import contextlib
import sqlite3
import tempfile
from pathlib import Path
from statistics import median

from bench.load import Measured, measure
from bench.machine import SERVER_CORE
from bench.plan import Figure, Plan
from bench.processes import Postgres, flags, postgres, started

CALLERS = 16
"""Enough that batches form, few enough that p50 is the work and not the queue."""
SHORTER = 2
"""Each run is halved, and there are twice as many: what is compared is next to one another, and the rest is chance."""

_EACH_ONCE = """SET enable_seqscan = off; SET enable_bitmapscan = off;
    SELECT sum(length(access)) FROM accounts WHERE role = 'compatibility' AND user_id >= ''"""
"""Looks at every account as a read does, so that they are in the database's memory as in a server's in use."""


def run(plan: Plan) -> list[Figure]:
    found = []
    for engine in plan.further_engines:
        if engine == "sqlite":
            found += _engine(plan, engine, None)
        else:
            with postgres() as database:
                found += _engine(plan, engine, database)
    return found


def _engine(plan: Plan, engine: str, database: Postgres | None) -> list[Figure]:
    smallest, largest = plan.sizes[0], plan.sizes[-1]
    size: dict[int, int] = {}
    runs: dict[int, list[Measured]] = {accounts: [] for accounts in plan.sizes}
    with contextlib.ExitStack() as up:
        servers = {}
        for accounts in plan.sizes:
            folder = up.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-"))
            url = database.fresh_database() if database else ""
            servers[accounts] = up.enter_context(
                started("holdfast", *flags(database=url, data_dir=folder, accounts=accounts))
            )
            size[accounts] = _bytes(Path(folder), url, database)
            if database is not None:
                database.sql(_EACH_ONCE, url)
        for number in range(plan.runs * SHORTER):  # in turns: a machine's spells are longer than a run
            for accounts in plan.sizes if number % 2 == 0 else reversed(plan.sizes):
                server = servers[accounts]
                runs[accounts].append(
                    measure(
                        server.port,
                        server.key,
                        callers=CALLERS,
                        seconds=plan.seconds / SHORTER,
                        accounts=accounts,
                        server=[server.pid],
                        database=(lambda: database.pids(SERVER_CORE)) if database else None,
                        prepared=False,  # as no million can be: the load's own work is to be the same
                    )
                )
    suffix = "" if engine == "postgres" else f"_{engine}"
    p50 = {accounts: [run.p50_ms for run in runs[accounts]] for accounts in plan.sizes}
    found = [
        Figure(
            f"read_p50_{_short(accounts)}_over_{_short(smallest)}{suffix}",
            round(median(here / there for here, there in zip(p50[accounts], p50[smallest], strict=True)), 3),
            "ratio",
            plan.runs * SHORTER,
            p99_ms=round(median(run.p99_ms for run in runs[accounts]), 3),
            more={
                "p50_ms": round(median(p50[accounts]), 3),
                f"p50_ms_{_short(smallest)}": round(median(p50[smallest]), 3),
            },
        )
        for accounts in plan.sizes[1:]
    ]
    each = (size[largest] - size[smallest]) / (largest - smallest)
    found.append(Figure(f"bytes_per_account_{engine}", round(each), "bytes", 1, more={"accounts": largest}))
    return found


def _bytes(folder: Path, url: str, database: Postgres | None) -> int:
    """Return what the accounts take, their indexes included; nothing else has been written yet."""
    if database is not None:
        return int(database.sql("SELECT pg_total_relation_size('accounts')", url))
    with contextlib.closing(sqlite3.connect(folder / "holdfast.db")) as raw:
        pages, size = (raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages * size)


def _short(count: int) -> str:
    return f"{count // 1_000_000}m" if count >= 1_000_000 else f"{count // 1000}k"

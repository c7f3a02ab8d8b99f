"""Whether a read costs the same among a million accounts as among a thousand, and what an account takes on disk."""

import contextlib
import itertools
import sqlite3
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from bench.load import Measured, each_once, measure
from bench.machine import SERVER_CORE
from bench.plan import Figure, Plan
from bench.processes import Postgres, flags, postgres, started


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
    runs: dict[tuple[int, int], list[Measured]] = defaultdict(list)
    """By callers and accounts."""
    with contextlib.ExitStack() as up:
        servers = {}
        for accounts in plan.sizes:
            folder = up.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-"))
            url = database.fresh_database() if database else ""
            servers[accounts] = up.enter_context(
                started("holdfast", *flags(database=url, data_dir=folder, accounts=accounts))
            )
            size[accounts] = _bytes(Path(folder), url, database)
            each_once(servers[accounts], accounts, database)
        for callers, number in itertools.product(plan.size_callers, range(plan.pairs)):
            # In turns: a machine's spells are longer than a run.
            for accounts in plan.sizes if number % 2 == 0 else reversed(plan.sizes):
                server = servers[accounts]
                runs[callers, accounts].append(
                    measure(
                        server.port,
                        server.key,
                        callers=callers,
                        seconds=1,
                        accounts=accounts,
                        server=[server.pid],
                        database=(lambda: database.pids(SERVER_CORE)) if database else None,
                        prepared=False,  # as no million can be: the load's own work is to be the same
                    )
                )
    suffix = "" if engine == "postgres" else f"_{engine}"
    found = [
        _compared(
            f"read_p50_{_short(accounts)}_over_{_short(smallest)}{suffix}",
            callers,
            runs[callers, accounts],
            runs[callers, smallest],
        )
        for callers in plan.size_callers
        for accounts in plan.sizes[1:]
    ]
    each = (size[largest] - size[smallest]) / (largest - smallest)
    found.append(Figure(f"bytes_per_account_{engine}", round(each), "bytes", 1, more={"accounts": largest}))
    return found


def _compared(name: str, callers: int, many: list[Measured], few: list[Measured]) -> Figure:
    """Return p50 among many accounts over that among few, each run beside its neighbour's."""
    return Figure(
        name if callers == 1 else f"{name}_c{callers}",
        round(median(here.p50_ms / there.p50_ms for here, there in zip(many, few, strict=True)), 3),
        "ratio",
        len(many),
        p99_ms=round(median(run.p99_ms for run in many), 3),
        more={
            "p50_ms": round(median(run.p50_ms for run in many), 3),
            "p50_ms_few": round(median(run.p50_ms for run in few), 3),
            "server_us": round(median(run.server_us for run in many), 1),
            "database_us": round(median(run.database_us for run in many), 1),
        },
    )


def _bytes(folder: Path, url: str, database: Postgres | None) -> int:
    """Return what the accounts take, their indexes included; nothing else has been written yet."""
    if database is not None:
        return int(database.sql("SELECT pg_total_relation_size('accounts')", url))
    with contextlib.closing(sqlite3.connect(folder / "holdfast.db")) as raw:
        pages, size = (raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages * size)


def _short(count: int) -> str:
    return f"{count // 1_000_000}m" if count >= 1_000_000 else f"{count // 1000}k"

"""`make bench`: measure, print a table, write build/bench.json and the section of docs/performance.md."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from bench import footprint, proxied, reads, refreshes, report, scale, sweep
from bench.load import wrk
from bench.machine import notes
from bench.plan import LONG, QUICK, Failed, Figure, Plan
from bench.processes import postgres

PARTS: dict[str, tuple[tuple[str, ...], Callable[[Plan, str], list[Figure]]]] = {
    "reads": (("token_reads", "grpc_reads", "pgbench"), reads.run),
    "proxied": (("proxied_calls",), proxied.run),
    "refreshes": (("refreshes",), lambda plan, _: refreshes.run(plan)),
    "sweep": (("sweep",), lambda plan, _: sweep.run(plan)),
    "scale": (("read_p50", "bytes_per_account"), lambda plan, _: scale.run(plan)),
    "footprint": (("cold_start", "first_token", "rss"), lambda plan, _: footprint.run(plan)),
}
"""What each part measures, by how its figures' names begin."""


def chosen(only: str) -> list[str]:
    """Return the parts that a part's name, a figure's name or its beginning stands for. Raises Failed for none."""
    if not only or only in PARTS:
        return [only] if only else list(PARTS)
    found = [
        part
        for part, (names, _) in PARTS.items()
        if any(only.startswith(name) or name.startswith(only) for name in names)
    ]
    if not found:
        raise Failed(f"there is no figure {only!r}; the parts are {', '.join(PARTS)}")
    return found


def measured(plan: Plan, only: str) -> list[Figure]:
    figures: list[Figure] = []
    for part in chosen(only):
        began = time.monotonic()
        figures += PARTS[part][1](plan, "" if only == part else only)
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="under two minutes")
    parser.add_argument("--only", default="", help="a part or a figure: refreshes, token_reads_postgres_c64_one_core")
    parser.add_argument("--runs", type=int, default=0, help="instead of 5, or 3 with --quick")
    parser.add_argument("--seconds", type=float, default=0.0, help="of each run")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else LONG
    plan = replace(plan, runs=arguments.runs or plan.runs, seconds=arguments.seconds or plan.seconds)
    try:
        wrk()
        with postgres(worn=False) as database:
            version = database.version
        figures = measured(plan, arguments.only)
    except Failed as error:
        raise SystemExit(f"bench: {error}") from None
    report.write(figures, version, whole=not arguments.only, quick=arguments.quick)
    report.show(figures)
    for note in notes():
        print(note)


if __name__ == "__main__":
    main()

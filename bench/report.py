"""build/bench.json, the table on the screen, and the measured section of docs/performance.md."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.machine import described, notes
from bench.plan import Figure

RESULTS = Path("build/bench.json")
PAGE = Path("docs/performance.md")
BEGIN, END = "<!-- measured: begin (written by `make bench`) -->", "<!-- measured: end -->"
BAR = 30

RIVAL = {
    "token_reads_postgres_c1_one_core": (160.0, 214.0),
    "token_reads_postgres_c16_one_core": (178.0, 225.0),
    "token_reads_postgres_c64_one_core": (179.0, None),
    "token_reads_postgres_c64_own_core": (355.0, None),
    "proxied_calls_postgres_c16_one_core": (197.0, 254.0),
    "proxied_calls_postgres_c64_one_core": (191.0, None),
    "proxied_calls_postgres_c16_own_core": (328.0, None),
    "proxied_calls_postgres_c64_own_core": (364.0, None),
    "refreshes_one_core_c16": (119.0, 152.0),
    "refreshes_one_core": (127.0, None),
}
"""The rival's figures, measured on a machine of two cores: as shipped, and tuned where that was measured."""
RIVAL_MEMORY_MB = 287.0
RIVAL_START_S = (4.0, 11.0)


def write(figures: Sequence[Figure], postgres: str, *, whole: bool, quick: bool) -> None:
    """Write the results; the page only after a whole run, so that it never mixes two."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([figure.row() for figure in figures], indent=2) + "\n")
    if whole and PAGE.exists():
        text = PAGE.read_text()
        head, _, rest = text.partition(BEGIN)
        tail = rest.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}\n{_measured(figures, postgres, quick)}\n{END}{tail}")


def show(figures: Sequence[Figure]) -> None:
    table = Table("figure", "median", "unit", "p99 ms", "ceiling", "ratio", "server us", "database us", "runs")
    for figure in figures:
        row = figure.row()
        columns = ("name", "median", "unit", "p99_ms", "ceiling", "ratio", "server_us", "database_us", "runs")
        table.add_row(*("" if row.get(column) is None else str(row[column]) for column in columns))
    Console(width=160).print(table)


def _measured(figures: Sequence[Figure], postgres: str, quick: bool) -> str:
    kind = "the short form (`QUICK=1`): read it for ratios, not for rates" if quick else "the long form"
    lines = [f"{described()}, PostgreSQL {postgres}; {kind}.", ""]
    lines += [f"Note: {note}" for note in notes()]
    lines += ["", *_table(figures), "", "```", *_chart(figures), "```", "", *_against(figures)]
    return "\n".join(lines)


def _table(figures: Sequence[Figure]) -> list[str]:
    lines = [
        "| figure | median | unit | p99 | ceiling | of it | server CPU | database CPU |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for figure in figures:
        row = figure.row()
        cells = [
            f"`{figure.name}`",
            _number(figure.median),
            figure.unit,
            "" if figure.p99_ms is None else f"{figure.p99_ms:.1f} ms",
            "" if figure.ceiling is None else _number(figure.ceiling),
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            *("" if not row.get(name) else f"{row[name]:.0f} us" for name in ("server_us", "database_us")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _chart(figures: Sequence[Figure]) -> list[str]:
    """Draw the rates: a bar to the longest of them."""
    rates = [figure for figure in figures if figure.unit.endswith("/s") and figure.ceiling is not None]
    longest = max((figure.median for figure in rates), default=1.0)
    return [
        f"{figure.name:<38} {'█' * max(1, round(BAR * figure.median / longest)):<{BAR}} {_number(figure.median)}"
        for figure in rates
    ]


def _against(figures: Sequence[Figure]) -> list[str]:
    by_name = {figure.name: figure for figure in figures}
    lines = ["| figure | here | rival, as shipped | times | rival, tuned | times |", "|---|---:|---:|---:|---:|---:|"]
    for name, (shipped, tuned) in RIVAL.items():
        if name in by_name:
            value = by_name[name].median
            tuned_cells = f"{tuned:.0f} | {value / tuned:.0f}" if tuned else "|"
            lines.append(f"| `{name}` | {_number(value)} | {shipped:.0f} | {value / shipped:.0f} | {tuned_cells} |")
    if memory := by_name.get("rss_idle_mb"):
        lines.append(f"| `rss_idle_mb` | {memory.median:.0f} | {RIVAL_MEMORY_MB:.0f} (server alone) | | | |")
    if start := by_name.get("cold_start_s"):
        lines.append(
            f"| `cold_start_s` | {start.median:.2f} | {RIVAL_START_S[0]:.0f} to {RIVAL_START_S[1]:.0f} | | | |"
        )
    return lines


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"

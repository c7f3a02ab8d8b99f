"""Usage: what was read, renewed and called, over time and by connection. It reads counts, never the log."""

import datetime
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.connections import store as connection_store
from holdfast.dashboard import charts
from holdfast.dashboard.frame import Frame, Visit
from holdfast.errors import NotFound
from holdfast.events.usage import Counted, Tally, quantile, store
from holdfast.events.usage.counts import HOUR, by_connection, by_time
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

MOST_CONNECTIONS = 20
"""The busiest, in the table; the others are in the sums."""


@dataclass(frozen=True, slots=True)
class Range:
    label: str
    hours: int
    bucket: int
    form: str


RANGES = {
    "24h": Range("24 hours", 24, 1, "%H:00"),
    "7d": Range("7 days", 7 * 24, 6, "%b %d %H:00"),
    "30d": Range("30 days", 30 * 24, 24, "%b %d"),
    "90d": Range("90 days", 90 * 24, 72, "%b %d"),
}


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    picture: Markup
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    legend: tuple[tuple[str, str], ...]


class UsagePages:
    def __init__(self, frame: Frame, database: Database) -> None:
        self._frame, self._database = frame, database

    def routes(self) -> list[BaseRoute]:
        return [self._frame.get("usage", self.usage)]

    async def usage(self, visit: Visit) -> Response:
        key = visit.query("range") if visit.query("range") in RANGES else "24h"
        chosen, wanted = RANGES[key], visit.query("connection") or None
        now = int(self._frame.clock.now() // HOUR)
        first = (now - chosen.hours + 1) // chosen.bucket * chosen.bucket
        moments = range(first, now + 1, chosen.bucket)

        def work(tx: Tx) -> tuple[list[Counted], dict[str, str]]:
            names = {one.id: one.name for one in connection_store.all_of(tx, visit.environment_id)}
            if wanted is not None and wanted not in names:
                raise NotFound("there is no such connection")
            span: dict[str, Any] = {"since": first, "until": now + 1, "bucket": chosen.bucket}
            return store.sums(tx, visit.environment_id, **span, connection_id=wanted), names

        found, names = await self._database.transact(work)
        tallies = by_time(found, moments)
        labels = [_label(at, chosen) for at in moments]
        whole = Tally()
        for one in found:
            whole.add(one)
        busiest = sorted(by_connection(found).items(), key=lambda item: -(item[1].reads + item[1].calls))
        facts: dict[str, Any] = {
            "ranges": RANGES,
            "chosen": key,
            "wanted": wanted,
            "names": names,
            "whole": whole,
            "median": quantile(whole.within, 0.5),
            "slow": quantile(whole.within, 0.95),
            "charts": _charts(labels, [tallies[at] for at in moments]),
            "busiest": [
                (names.get(ref, "deleted"), ref if ref in names else "", tally)
                for ref, tally in busiest[:MOST_CONNECTIONS]
                if ref
            ],
        }
        return self._frame.page(visit, "usage.html", **facts)


def _label(at: int, chosen: Range) -> str:
    return datetime.datetime.fromtimestamp(at * HOUR, datetime.UTC).strftime(chosen.form)


def _charts(labels: list[str], tallies: list[Tally]) -> list[Chart]:
    middle = [quantile(one.within, 0.5) for one in tallies]
    slow = [quantile(one.within, 0.95) for one in tallies]
    return [
        _bars("Token reads", labels, [("reads", "bar", [one.reads for one in tallies])]),
        _bars(
            "Refreshes",
            labels,
            [
                ("renewed", "bar good", [one.refreshed for one in tallies]),
                ("failed", "bar bad", [one.refresh_failed for one in tallies]),
            ],
        ),
        _bars(
            "Proxied calls",
            labels,
            [
                ("answered", "bar", [one.calls - one.calls_failed for one in tallies]),
                ("failed", "bar bad", [one.calls_failed for one in tallies]),
            ],
        ),
        Chart(
            "Time of proxied calls",
            charts.curves(
                "Milliseconds that proxied calls took: half of them, and 95 of 100",
                labels,
                [("ms or less for half", "curve", middle), ("ms or less for 95 of 100", "curve second", slow)],
            ),
            ("Time", "Half within (ms)", "95 of 100 within (ms)"),
            [
                (label, _ms(one), _ms(other))
                for label, one, other in zip(labels, middle, slow, strict=True)
                if one is not None
            ],
            (("curve", "half"), ("curve second", "95 of 100")),
        ),
    ]


def _bars(title: str, labels: list[str], series: list[charts.Series]) -> Chart:
    rows = [
        (label, *(f"{values[place]:,}" for _, _, values in series))
        for place, label in enumerate(labels)
        if any(values[place] for _, _, values in series)
    ]
    legend = tuple((kind, name) for name, kind, _ in series) if len(series) > 1 else ()
    columns = ("Time", *(name.capitalize() for name, _, _ in series))
    return Chart(title, charts.bars(title, labels, series), columns, rows, legend)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"

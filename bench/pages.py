"""`make pages`: what a dashboard page costs the server, and when Chromium first paints it, among 100,000 accounts and
as many entries of the log. It prints a table; nothing is timed by tests, as the clock of a busy machine is noisy."""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx2

from bench.machine import cpu_seconds, family
from bench.processes import flags, postgres, started
from holdfast import ids
from holdfast.accounts import Account
from holdfast.accounts import store as account_store
from holdfast.app import Holdfast, build
from holdfast.config import Config
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log

REQUESTS = 20
PAINTS = 5
BATCH = 500
BASE = "/dashboard/default"
COOKIE = "holdfast-admin"
_PAINT = """async () => {
  const paints = () => performance.getEntriesByName('first-paint');
  while (!paints().length) await new Promise((resolve) => setTimeout(resolve, 10));
  return paints()[0].startTime;
}"""


@dataclass(frozen=True)
class Cost:
    path: str
    cpu_ms: float
    """Of the server's process, for one page."""
    wall_ms: float
    """Median, request to last byte."""
    bytes: int
    paint_ms: float
    """Median of Chromium's first paint, from the beginning of navigation."""


async def measure(port: int, pid: int, prepared: "Prepared") -> list[Cost]:
    from playwright.async_api import async_playwright

    origin, found = f"http://localhost:{port}", []
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    async with async_playwright() as playwright, httpx2.AsyncClient(cookies={COOKIE: prepared.session}) as web:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        context = await browser.new_context()
        await context.add_cookies([{"name": COOKIE, "value": prepared.session, "url": origin}])
        page = await context.new_page()
        for path in prepared.paths:
            size = len((await web.get(origin + path)).raise_for_status().content)
            before, walls = cpu_seconds(family(pid)), []
            for _ in range(REQUESTS):
                began = time.perf_counter()
                await web.get(origin + path)
                walls.append(time.perf_counter() - began)
            cpu, paints = cpu_seconds(family(pid)) - before, []
            for _ in range(PAINTS):
                await page.goto(origin + path)
                paints.append(await page.evaluate(_PAINT))
            found.append(Cost(path, cpu / REQUESTS * 1000, median(walls) * 1000, size, median(paints)))
        await browser.close()
    return found


@dataclass(frozen=True)
class Prepared:
    session: str
    paths: list[str]


async def prepare(database: str, data_dir: Path) -> Prepared:
    """Make an owner, and an entry of the log for each account."""
    holdfast = await build(Config(database=database, data_dir=data_dir, log_level="error"))
    try:
        link = await holdfast.people.first_link()
        assert link is not None
        words = "correct horse battery"
        owner = await holdfast.people.accept(link.reveal(), email="ada@example.com", name="Ada", password=words)
        session = await holdfast.signing_in.admit(owner, "bench")
        account = await _entries(holdfast)
        one = f"{BASE}/accounts/{account.id}"
        accounts = [f"{BASE}/accounts{query}" for query in _queries(account)]
        names = ("activity", "activity?group=accounts", "activity?group=failures", f"activity?account={account.id}")
        rest = ("connections", "usage", "usage?range=30d", "providers", "webhooks", "keys", "people", "settings")
        return Prepared(session.reveal(), [BASE, *accounts, one, *(f"{BASE}/{name}" for name in (*names, *rest))])
    finally:
        await holdfast.close()


def _queries(account: Account) -> list[str]:
    return [
        "",
        "?status=active",
        "?status=expired",
        "?q=user_99999",
        "?q=nobody-at-all",
        f"?owner={account.owner.user_id}",
        f"?connection={account.connection_id}&status=active",
        f"?after={account.id}",
    ]


async def _entries(holdfast: Holdfast) -> Account:
    """Write an entry for each account, page by page; return one account from the middle."""
    environment, after, chosen, number = holdfast.environment.id, "", None, 0
    while True:
        page = await holdfast.database.transact(
            lambda tx, after=after: account_store.glance(  # type: ignore[misc]
                tx, environment, account_store.Listing(), limit=BATCH, after=after or None
            )
        )
        if not page.accounts:
            assert chosen is not None
            return chosen
        now, entries = time.time(), []
        for one in page.accounts:
            number += 1
            action = (Action.ACCOUNT_CONNECTED, Action.TOKEN_REFRESHED, Action.CREDENTIAL_READ)[number % 3]
            entries.append(
                Entry(
                    environment_id=environment,
                    id=ids.new_id(now),
                    at=now,
                    action=action,
                    actor=Actor("system"),
                    account_id=one.id,
                    connection_id=one.connection_id,
                    user_id=one.owner.user_id or "",
                )
            )
        await holdfast.database.transact(lambda tx, entries=entries: log.append(tx, *entries))  # type: ignore[misc]
        chosen = page.accounts[0] if chosen is None or number < 50_000 else chosen
        after = page.accounts[-1].id


@contextmanager
def _database(engine: str) -> Iterator[str]:
    if engine == "sqlite":
        yield ""
    else:
        with postgres() as server:
            yield server.fresh_database()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.pages")
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--accounts", type=int, default=100_000)
    arguments = parser.parse_args()
    with _database(arguments.engine) as database, tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        given: dict[str, Any] = {"database": database, "data_dir": folder, "accounts": arguments.accounts}
        with started("holdfast", *flags(**given)) as server:
            prepared = asyncio.run(prepare(database, Path(folder)))
            costs = asyncio.run(measure(server.port, server.pid, prepared))
    print(f"{arguments.engine}, {arguments.accounts} accounts; {REQUESTS} requests and {PAINTS} paints of each page")
    print(f"{'CPU ms':>7} {'wall ms':>8} {'paint ms':>9} {'bytes':>7}  page")
    for cost in costs:
        shown = cost.path.removeprefix("/dashboard/default") or "/"
        print(f"{cost.cpu_ms:7.1f} {cost.wall_ms:8.1f} {cost.paint_ms:9.0f} {cost.bytes:7d}  {shown}")
    print(f"slowest paint: {max(cost.paint_ms for cost in costs):.0f} ms")


if __name__ == "__main__":
    main()

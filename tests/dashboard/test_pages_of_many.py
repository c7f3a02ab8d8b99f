"""Pages where there is much to show: none of them grows with the data, and no query reads a growing table through."""

import contextlib
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import sqlalchemy
from bench.seed import Seed, seed
from sqlalchemy import event

from holdfast.access import store as access_store
from holdfast.access.principal import ApiKey, KeyKind
from holdfast.access.redirects import RedirectUri
from holdfast.accounts import store as account_store
from holdfast.accounts.store import Listing
from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.ids import new_id
from tests.dashboard.person import Person, owner_of, person

MANY = 1500
MOST_ROWS = 100
MOST_BYTES = 100_000
GROWING = ("accounts", "entries", "deliveries", "attempts", "errands", "usage_hours")
PAGES = (
    "",
    "accounts",
    "accounts?status=active",
    "accounts?status=expired",
    "accounts?q=user_7",
    "accounts?q=nobody",
    "accounts?owner=user_77",
    "accounts/{account}",
    "activity",
    "activity?group=reads",
    "activity?group=failures",
    "activity?account={account}",
    "connections",
    "usage",
    "usage?range=90d",
    "providers/github",
    "webhooks",
    "keys",
    "people",
    "settings",
)


@pytest.fixture(scope="module")
async def many(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Holdfast, Person, str]]:
    async with running(Config(dev=True, data_dir=tmp_path_factory.mktemp("many"), port=0)) as (holdfast, _):
        await seed(holdfast, Seed(MANY, "live"))
        environment, now = holdfast.environment.id, time.time()
        found = await holdfast.database.transact(
            lambda tx: account_store.glance(tx, environment, Listing(), limit=MANY).accounts
        )
        actions = (Action.ACCOUNT_CONNECTED, Action.CREDENTIAL_READ, Action.TOKEN_REFRESH_FAILED)
        entries = [
            Entry(
                environment_id=environment,
                id=new_id(),
                at=now,
                action=actions[number % 3],
                actor=Actor("system"),
                account_id=found[0].id if number % 2 else one.id,
                connection_id=one.connection_id,
                user_id=one.owner.user_id or "",
                data={"detail": "The provider did not answer."},
            )
            for number, one in enumerate(found)
        ]
        await holdfast.database.transact(lambda tx: log.append(tx, *entries))
        await holdfast.database.transact(lambda tx: _keys_and_addresses(tx, environment, now))
        async with await person(holdfast, await owner_of(holdfast)) as owner:
            yield holdfast, owner, found[0].id


def _keys_and_addresses(tx: sqlalchemy.Connection, environment: str, now: float) -> None:
    for number in range(300):
        name = f"job-{number}"
        kind: KeyKind = "key" if number % 2 else "client"
        access_store.add_key(tx, ApiKey(environment, new_id(), name, f"hash-{number}", "0000", now, kind=kind))
        access_store.add_redirect_uri(tx, RedirectUri(environment, new_id(), f"https://{name}.example.com/", now))


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_of_many_is_no_longer_than_a_page(many: tuple[Holdfast, Person, str], path: str) -> None:
    _, owner, account = many
    reply = await owner.get(f"/dashboard/default/{path.format(account=account)}".rstrip("/"))
    assert reply.status_code == 200
    assert len(reply.content) < MOST_BYTES
    assert len(re.findall(r"<tr|<li", reply.text)) < MOST_ROWS + 40, "rows, and the menu"


async def test_lists_are_full_pages_that_lead_on(many: tuple[Holdfast, Person, str]) -> None:
    _, owner, _ = many
    for path in ("accounts", "activity"):
        reply = await owner.get(f"/dashboard/default/{path}")
        assert 20 <= reply.text.count("<tr>") <= MOST_ROWS
        assert "after=" in reply.text


@pytest.mark.parametrize(("path", "found"), [("keys", r"job-\d+"), ("settings", r"//job-\d+")])
async def test_what_is_not_on_the_first_page_is_on_a_further_one(
    many: tuple[Holdfast, Person, str], path: str, found: str
) -> None:
    _, owner, _ = many
    seen, waiting, looked = set[str](), [f"/dashboard/default/{path}"], set[str]()
    while waiting:
        address = waiting.pop()
        text = (await owner.get(address)).text
        looked.add(address)
        seen |= set(re.findall(found, text))
        links = re.findall(r'href="([^"#]+)(?:#[^"]*)?">(?:Older|Further) →', text)
        waiting += [one for one in links if one not in looked]
    assert len(seen) == 300


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_reads_a_growing_table_through(many: tuple[Holdfast, Person, str], path: str) -> None:
    holdfast, owner, account = many
    with _statements() as said:
        reply = await owner.get(f"/dashboard/default/{path.format(account=account)}".rstrip("/"))
    assert reply.status_code == 200
    assert said, "nothing was asked of the database"
    with contextlib.closing(sqlite3.connect(holdfast.config.data_dir / "holdfast.db")) as raw:
        known = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert {"accounts", "entries"} <= known
        for statement, values in said:
            for *_, step in raw.execute(f"EXPLAIN QUERY PLAN {statement}", values):
                through = re.match(r"SCAN (\w+)", step)
                bounded = " USING " in step and " LIMIT " in statement
                assert not through or through[1] not in GROWING or bounded, f"{step}: {statement}"


@contextlib.contextmanager
def _statements() -> Iterator[list[tuple[str, Any]]]:
    """Gather what is asked of any database meanwhile."""
    said: list[tuple[str, Any]] = []

    def heard(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            said.append((statement, values))

    event.listen(sqlalchemy.Engine, "before_cursor_execute", heard)
    try:
        yield said
    finally:
        event.remove(sqlalchemy.Engine, "before_cursor_execute", heard)

"""The next release's schema under servers of this one, and both releases side by side."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import Misconfigured
from holdfast.storage import open_database
from holdfast.storage.migrations import HEAD, Schema, Standing, ensure, look, migrate
from tests.cli.test_transcripts import holdfast, one_line
from tests.operations import next_release
from tests.operations.fleet import Front, Lab, Tally, leases_held, under_load
from tests.operations.next_release import NEXT
from tests.parts.postgres import Postgres

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def next_source(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a process needs in its environment to be of the next release."""
    return _path(next_release.make(tmp_path_factory.mktemp("next")))


@pytest.fixture(scope="module")
def contracted_source(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A next release whose migration takes away what this one reads."""
    return _path(next_release.make(tmp_path_factory.mktemp("contracted"), oldest=NEXT))


def _path(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


@pytest.fixture
def old(lab: Lab, dsn: str, tmp_path: Path) -> Iterator[Front]:
    front = Front(lab, tmp_path, dsn)
    front.set_up()
    yield front
    front.stop()


async def test_a_schema_grows_under_load_and_both_releases_serve_side_by_side(
    old: Front, lab: Lab, dsn: str, tmp_path: Path, postgres: Postgres, next_source: dict[str, str]
) -> None:
    live = [await asyncio.to_thread(old.account) for _ in range(4)]
    first = [await asyncio.to_thread(old.account, left=1.0) for _ in range(4)]
    await asyncio.sleep(1.1)
    lab.app.switch(slow_seconds=0.5)
    asked, tally, stop = lab.app.refreshes(), Tally(), asyncio.Event()
    load = asyncio.ensure_future(under_load([old], [*live, *first], 16, stop, tally))
    await asyncio.sleep(0.3)
    done = await asyncio.to_thread(holdfast, "migrate", "up", "--database", dsn, env=next_source)
    assert (done.returncode, done.stdout) == (0, f"schema {HEAD} > {NEXT}\n"), done.stderr
    while_growing = tally.answers.total()
    await asyncio.sleep(0.7)
    stop.set()
    await load
    assert (tally.lost, tally.inactive, set(tally.answers)) == ([], [], {200})
    assert lab.app.refreshes() - asked == len(first)
    assert (await asyncio.to_thread(old.ready))[0] == 200

    new = Front(lab, tmp_path, dsn, key=old.app.api_key, env=next_source)
    again = Front(lab, tmp_path, dsn, key=old.app.api_key)  # an old server may also start anew
    second = [await asyncio.to_thread(front.account, left=1.0) for front in (old, new, again)]
    await asyncio.sleep(1.1)
    asked, both, stop = lab.app.refreshes(), Tally(), asyncio.Event()
    load = asyncio.ensure_future(under_load([old, new, again], [*live, *second], 8, stop, both))
    await asyncio.sleep(2)
    stop.set()
    await load
    print(f"{while_growing} answers until the schema had grown; {both.answers.total()} side by side")
    assert (both.lost, both.inactive, set(both.answers)) == ([], [], {200})
    assert lab.app.refreshes() - asked == len(second), "one each, whichever release asked"
    assert all(len(tokens) == 1 for tokens in both.tokens.values())
    assert leases_held(postgres, dsn) == 0
    assert (new.stop(), again.stop()) == (0, 0)


def test_a_server_that_the_schema_has_left_behind_says_so_and_does_not_start(
    old: Front, dsn: str, tmp_path: Path, contracted_source: dict[str, str]
) -> None:
    assert holdfast("migrate", "up", "--database", dsn, env=contracted_source).returncode == 0
    words = f"the database has schema version {NEXT}, made by a newer release than this one ({HEAD}): run that release"
    assert one_line(holdfast("serve", "--port", "0", "--data-dir", tmp_path, "--database", dsn)) == words
    assert one_line(holdfast("migrate", "up", "--database", dsn)) == words
    told = holdfast("migrate", "status", "--database", dsn)
    assert told.returncode == 1
    assert f"database  {NEXT}: too new for this release" in told.stdout
    status, body = _until_not_ready(old)
    assert (status, body["checks"]["database"]) == (503, f"its schema {NEXT} is too new for this release ({HEAD})")


def _until_not_ready(front: Front) -> tuple[int, dict[str, dict[str, str]]]:

    time.sleep(1.1)  # an answer is repeated for a second
    return front.ready()


def test_a_server_of_the_next_release_waits_for_the_migration_on_postgresql(
    old: Front, dsn: str, tmp_path: Path, next_source: dict[str, str]
) -> None:
    serve = ("serve", "--port", "0", "--data-dir", tmp_path, "--database", dsn)
    words = f"the database has schema version {HEAD} and this release needs {NEXT}: run `holdfast migrate up`, or set"
    assert one_line(holdfast(*serve, env=next_source)).startswith(words)
    told = holdfast("migrate", "status", "--database", dsn, env=next_source)
    assert (told.returncode, "holdfast migrate up" in told.stdout) == (1, True)
    assert old.ready()[0] == 200


def test_migrate_up_on_an_empty_database_makes_the_schema_and_again_does_nothing(dsn: str) -> None:
    assert holdfast("migrate", "status", "--database", dsn).returncode == 1
    done = [holdfast("migrate", "up", "--database", dsn).stdout for _ in range(2)]
    assert done == [f"schema none > {HEAD}\n", f"schema {HEAD}: nothing to do\n"]
    told = holdfast("migrate", "status", "--database", dsn)
    assert (told.returncode, told.stdout.splitlines()[0]) == (0, f"database  {HEAD}: what this release needs")


async def test_a_start_migrates_only_what_it_is_allowed_to(fresh_url: str) -> None:
    database = await open_database(fresh_url)
    try:
        with pytest.raises(Misconfigured, match="the database is empty: run `holdfast migrate up`"):
            await ensure(database, migrates=True, migrates_empty=False)
        await ensure(database, migrates=False, migrates_empty=True)
        assert await database.transact(look) == Schema(HEAD, HEAD)
        await ensure(database, migrates=False, migrates_empty=False)
    finally:
        await database.close()


async def test_an_older_schema_is_brought_up_where_a_start_may(fresh_url: str, tmp_path: Path) -> None:
    scripts = next_release.make(tmp_path / "next") / "holdfast" / "storage" / "migrations"
    database = await open_database(fresh_url)
    try:
        await migrate(database)
        assert await migrate(database, scripts=scripts, head=NEXT) == NEXT
        assert await database.transact(look) == Schema(NEXT, HEAD)
        assert await migrate(database) == NEXT, "this release leaves a newer schema alone"
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("version", "oldest", "standing"),
    [
        (None, None, Standing.EMPTY),
        ("0002", "0002", Standing.BEHIND),
        ("0003", "0002", Standing.CURRENT),
        ("0004", "0003", Standing.AHEAD),
        ("0009", "0001", Standing.AHEAD),
        ("0004", "0004", Standing.TOO_NEW),
        ("0004", None, Standing.TOO_NEW),
    ],
)
def test_how_a_schema_stands_to_a_release(version: str | None, oldest: str | None, standing: Standing) -> None:
    assert Schema(version, oldest).standing("0003") is standing

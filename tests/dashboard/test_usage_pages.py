"""Usage from the counts, /status, and /metrics as promtool reads it."""

import asyncio
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from holdfast import metrics
from holdfast.dashboard import charts
from holdfast.dashboard.pages.status import judge
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.events.usage import Tally
from holdfast.ids import new_id
from tests.dashboard.desk import Desk, desk, desk_on, sqlite_desk, words

__all__ = ["desk", "sqlite_desk"]


async def _happens(desk: Desk, connection_id: str, action: Action, count: int = 1, **data: Any) -> None:
    entries = [
        Entry(
            environment_id=desk.holdfast.environment.id,
            id=new_id(),
            at=time.time(),
            action=action,
            actor=Actor.system(),
            account_id=new_id(),
            connection_id=connection_id,
            user_id="user_secretive",
            data=data,
        )
        for _ in range(count)
    ]
    await desk.holdfast.database.transact(lambda tx: log.append(tx, *entries))
    await desk.holdfast.roller.roll()


async def test_usage_shows_what_happened_by_time_and_by_connection(desk: Desk) -> None:
    assert "Nothing in this time" in words(await desk.get("usage"))
    connection = await desk.sandbox_connection()
    await _happens(desk, connection.id, Action.CREDENTIAL_READ, 7)
    await _happens(desk, connection.id, Action.TOKEN_REFRESHED, 3)
    await _happens(desk, connection.id, Action.TOKEN_REFRESH_UNRESOLVED)
    await _happens(desk, connection.id, Action.PROXY_CALLED, 4, status=200, ms=80.0)
    await _happens(desk, connection.id, Action.PROXY_CALLED, 2, status=503, ms=80.0)
    for span in ("24h", "7d", "30d", "90d"):
        page = await desk.get(f"usage?range={span}")
        said = words(page)
        assert "7 token reads" in said
        assert "3 refreshes, 1 failed" in said
        assert "6 proxied calls, 2 failed" in said
        assert "75 ms half of them" in said
        assert page.text.count('<svg class="chart"') == 4
    one = await desk.get(f"usage?connection={connection.id}")
    assert "7 token reads" in words(one)
    assert (await desk.get(f"usage?connection={new_id()}")).status == 404
    assert (await desk.get("usage?range=forever")).status == 200


async def test_status_is_for_administrators_unless_it_is_public(sqlite_desk: Desk, tmp_path: Path) -> None:
    base = sqlite_desk.holdfast.config.base_url
    async with httpx2.AsyncClient(trust_env=False) as stranger:
        assert (await stranger.get(f"{base}/status")).status_code == 303
    page = await asyncio.to_thread(sqlite_desk.browser.get, f"{base}/status")
    assert "Nothing has been asked" in words(page)
    async with desk_on(tmp_path, status_page="public") as desk:
        connection = await desk.sandbox_connection()
        await _happens(desk, connection.id, Action.PROXY_CALLED, 20, status=502, ms=10.0)
        async with httpx2.AsyncClient(trust_env=False) as stranger:
            reply = await stranger.get(f"{desk.holdfast.config.base_url}/status")
        assert reply.status_code == 200
        assert "In trouble" in reply.text
        assert "user_secretive" not in reply.text


def test_a_provider_is_judged_by_answers_that_never_came_and_not_by_refusals() -> None:
    assert judge(Tally(), is_resting=False) == "unknown"
    assert judge(Tally(), is_resting=True) == "trouble"
    assert judge(Tally(refreshed=10), is_resting=False) == "well"
    assert judge(Tally(refreshed=10, refresh_failed=10), is_resting=False) == "well"
    assert judge(Tally(refreshed=10, refresh_failed=2, refresh_unresolved=2), is_resting=False) == "shaky"
    assert judge(Tally(calls=10, calls_failed=6), is_resting=False) == "trouble"
    assert judge(Tally(calls=2, calls_failed=2), is_resting=False) == "shaky"


async def _scrape(desk: Desk, token: str = "") -> httpx2.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(f"{desk.holdfast.config.base_url}/metrics", headers=headers)


async def test_metrics_are_off_open_or_for_who_has_the_token(sqlite_desk: Desk, tmp_path: Path) -> None:
    assert (await _scrape(sqlite_desk)).status_code == 404
    token = "a-scrapers-own-token"
    async with desk_on(tmp_path, metrics="token", metrics_token=token) as desk:
        assert (await _scrape(desk)).status_code == 401
        assert (await _scrape(desk, token[:-1])).status_code == 401
        reply = await _scrape(desk, token)
        assert reply.status_code == 200
        assert token not in (await desk.get("settings")).text
        assert token not in repr(desk.holdfast.config)


async def test_promtool_finds_nothing_wrong_with_the_metrics(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool here: apt-get install prometheus")
    async with desk_on(tmp_path, metrics="on", workers=1) as desk:
        key = desk.holdfast.first_key
        assert key is not None
        async with httpx2.AsyncClient(trust_env=False, headers={"authorization": f"Bearer {key.reveal()}"}) as app:
            base = desk.holdfast.config.base_url
            assert (await app.get(f"{base}/data-integrations")).status_code == 200
            await app.post(f"{base}/data-integrations/nobody/token", json={"user_id": "user_secretive"})
        metrics.REFRESH_SECONDS.note(0.3)
        metrics.REFRESHES.add("refreshed")
        text = (await _scrape(desk)).text
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'holdfast_requests_total{operation="list_data_integrations",status="200"}' in text
    assert "holdfast_sweep_due 0.0" in text
    assert "holdfast_database_up 1.0" in text
    assert 'holdfast_refresh_duration_seconds_bucket{le="+Inf"}' in text
    assert "user_secretive" not in text
    assert "nobody" not in text


def test_several_processes_at_one_address_have_series_apart() -> None:
    metrics.READS.add("ok")
    text = metrics.exposition([("holdfast_x", "x", 1.0)], apart=True).decode()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    assert all("process=" in line for line in lines)


def test_a_histogram_counts_up_to_each_bound() -> None:
    times = metrics.Times("t_seconds", "t", (0.1, 1.0))
    for seconds in (0.1, 0.5, 5.0):
        times.note(seconds)
    found = {
        sample.labels.get("le"): sample.value for sample in times.metric().samples if sample.name.endswith("bucket")
    }
    assert found == {"0.1": 1.0, "1.0": 2.0, "+Inf": 3.0}


def test_a_chart_escapes_what_it_is_given_and_keeps_to_its_frame() -> None:
    drawn = charts.bars("<reads>", ["<b>"], [("<i>", "bar", [1_000_000])])
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    assert charts.nice(0) == 4
    assert [charts.nice(value) for value in (5, 11, 37, 81, 1001)] == [8, 20, 40, 100, 2000]

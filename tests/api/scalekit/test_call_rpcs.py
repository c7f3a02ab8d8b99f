"""AgentkitLogsService and AgentkitAnalyticsService over REST, over calls that the proxy really made."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from holdfast.connections import Connection
from holdfast.providers import store
from holdfast.providers.entry import Api
from holdfast.storage import Connection as Tx
from tests.api.scalekit.conftest import Door
from tests.parts.capture import Capture, capturing

LOGS, OVERVIEW = "/api/v1/agentkit/tool_call_logs", "/api/v1/agentkit/analytics/overview"


@pytest.fixture
async def capture() -> AsyncIterator[Capture]:
    async with capturing() as running:
        yield running


@pytest.fixture
async def called(door: Door, capture: Capture) -> tuple[Connection, str]:
    """A connection whose account has called its provider three times, once in vain."""
    house = door.house
    connection = await house.connection()

    def point(tx: Tx) -> None:
        entry = store.get(tx, house.environment_id, connection.provider_slug)
        assert entry is not None
        moved = msgspec.structs.replace(entry, api=Api(base_url=capture.url))
        store.save(tx, house.environment_id, moved, house.clock.now())

    await house.holdfast.database.transact(point)
    account = await house.connect(connection)
    fine, failed = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n"
    capture.answers(fine, fine, failed)
    for path in ("/items", "/items", "/broken"):
        house.clock.at += 1
        headers = {"connection_name": connection.name, "identifier": account.owner.user_id}
        await door.client.get(f"/proxy{path}", headers=headers)
    await house.holdfast.proxy.settled()
    return connection, account.id


async def test_a_call_is_a_row_and_is_found_by_its_execution_id(door: Door, called: tuple[Connection, str]) -> None:
    connection, account_id = called
    found = await door.done("GET", LOGS, params={"connected_account_id": f"ca_{account_id}"})
    rows = found["tool_call_logs"]
    assert [row["tool_name"] for row in rows] == ["GET /broken", "GET /items", "GET /items"]
    assert found["total_size"] == "3"
    row = rows[1]
    assert (row["source"], row["status"], row["connection_name"]) == ("PROXY", "success", connection.name)
    assert (row["connected_account_id"], row["connection_id"]) == (f"ca_{account_id}", f"conn_{connection.id}")
    assert row["identifier"] == row["user_id"] and int(row["duration_ms"]) >= 0 and row["error_code"] == ""
    assert await door.done("GET", f"{LOGS}/{row['execution_id']}") == row
    assert await door.refused("GET", f"{LOGS}/{row['execution_id']}", key=door.stranger) == (
        404,
        "RESOURCE_NOT_FOUND",
        [],
    )


async def test_rows_are_filtered_and_paged(door: Door, called: tuple[Connection, str]) -> None:
    connection, _ = called
    mine = {"connection_name": connection.name}
    everything = (await door.done("GET", LOGS, params=mine))["tool_call_logs"]
    assert len(everything) == 3
    first = await door.done("GET", LOGS, params={**mine, "page_size": 2})
    second = await door.done("GET", LOGS, params={**mine, "page_size": 2, "page_token": first["next_page_token"]})
    assert first["tool_call_logs"] + second["tool_call_logs"] == everything
    back = await door.done("GET", LOGS, params={**mine, "page_size": 2, "page_token": second["prev_page_token"]})
    assert back["tool_call_logs"] == first["tool_call_logs"]
    for more, number in (
        ({"status": ["success", "platform_error"]}, 2),
        ({"status": "provider_error"}, 1),
        ({"provider": everything[0]["provider"]}, 3),
        ({"provider": "NOSUCH"}, 0),
        ({"connection_id": f"conn_{connection.id}"}, 3),
        ({"identifier": everything[0]["identifier"]}, 3),
        ({"identifier": "nobody"}, 0),
        ({"source": "PROXY"}, 3),
        ({"source": "MCP"}, 0),
        ({"agent_run_id": "run"}, 0),
        ({"start_time": everything[0]["started_at"]}, 1),
    ):
        found = await door.done("GET", LOGS, params={**mine, **more})
        assert len(found["tool_call_logs"]) == number, more
    assert (await door.done("GET", LOGS, key=door.stranger))["tool_call_logs"] == []


async def test_the_overview_counts_them(door: Door, called: tuple[Connection, str]) -> None:
    connection, _ = called
    found = await door.done("GET", OVERVIEW, params={"connection_name": connection.name})
    assert (found["total"], found["success"], found["errors"]) == ("3", "2", "1")
    assert (found["provider_errors"], found["platform_errors"]) == ("1", "0")
    assert found["top_error_codes"] == [{"error_code": "HTTP_503", "count": "1"}]
    assert [row["total"] for row in found["connector_breakdown"]] == ["3"]
    series = found["time_series"]
    assert len(series) <= 30 and sum(int(row["total"]) for row in series) == 3
    assert {row["bucket_duration_seconds"] for row in series} == {"21600"}
    only = {"connection_name": connection.name, "error_code": "HTTP_503"}
    assert (await door.done("GET", OVERVIEW, params=only))["total"] == "1"
    assert (await door.done("GET", OVERVIEW, params={**only, "status": "success"}))["total"] == "0"
    assert (await door.done("GET", OVERVIEW, key=door.stranger))["total"] == "0"


async def test_bad_input_is_named(door: Door) -> None:
    times = {"start_time": "2026-02-02T00:00:00Z", "end_time": "2026-02-01T00:00:00Z"}
    for path in (LOGS, OVERVIEW):
        assert await door.refused("GET", path, params=times) == (400, "INVALID_ARGUMENT", ["end_time"])
        assert (await door.refused("GET", path, params={"status": "odd"}))[2] == ["status[0]"]
        assert (await door.refused("GET", path, params={"source": "odd"}))[2] == ["source[0]"]
    assert (await door.refused("GET", LOGS, params={"page_token": "x"}))[2] == ["page_token"]
    assert (await door.refused("GET", LOGS, params={"connection_id": "x"}))[:2] == (404, "RESOURCE_NOT_FOUND")
    long = {"start_time": "1980-01-01T00:00:00Z", "end_time": "2026-02-01T00:00:00Z"}
    assert (await door.refused("GET", OVERVIEW, params=long))[2] == ["end_time"]
    for unknown in ("exec_01JZZZZZZZZZZZZZZZZZZZZZZZ", "nonsense"):
        assert (await door.refused("GET", f"{LOGS}/{unknown}"))[:2] == (404, "RESOURCE_NOT_FOUND")

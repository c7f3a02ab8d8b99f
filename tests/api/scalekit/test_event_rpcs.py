"""EventsService over REST: what happens to an account, under the wire's names and in its envelope."""

from typing import Any

from holdfast.accounts import Account, Owner
from holdfast.connections import Connection
from holdfast.ids import opaque
from tests.api.scalekit.conftest import Door

AT = "/api/v1/events/paginated"


async def test_an_accounts_life_is_told_newest_first(door: Door) -> None:
    connection, account = await _connected(door)
    found = await door.done("POST", AT, json={"connected_account_id": f"ca_{account.id}"})
    created = found["events"][-1]
    assert (created["type"], created["object"], created["spec_version"]) == (
        "connected_account.created",
        "ConnectedAccount",
        "1",
    )
    assert created["id"].startswith("evt_") and created["environment_id"].startswith("env_")
    told = created["data"]
    assert told["id"] == f"ca_{account.id}" and told["connection_id"] == f"conn_{connection.id}"
    assert (told["identifier"], told["connection_name"]) == (account.owner.user_id, connection.name)
    assert (told["status"], told["authorization_type"], told["last_used_at"]) == ("ACTIVE", "OAUTH", None)
    assert told["provider"].startswith("SANDBOX") and told["token_expires_at"].endswith("Z")


async def test_refreshes_and_changes_of_status_are_events(door: Door) -> None:
    connection, account = await _connected(door)
    await door.house.expire(account)
    await door.house.read(account, connection)
    door.house.sandbox.revoke()
    await door.house.expire(account)
    await door.house.read(account, connection)
    found = await door.done("POST", AT, json={"connected_account_id": f"ca_{account.id}"})
    types = [one["type"].removeprefix("connected_account.") for one in found["events"]]
    assert types == ["status_updated", "token_refresh_failed", "token_refresh_succeeded", "created"]
    changed = found["events"][0]["data"]
    assert (changed["old_status"], changed["status"]) == ("ACTIVE", "EXPIRED")
    assert changed["reason"] and changed["reason_detail"]


async def test_no_event_holds_a_token(door: Door) -> None:
    _, account = await _connected(door)
    reply = await door.ask("POST", AT, json={"connected_account_id": f"ca_{account.id}"})
    stored = await door.house.stored(account)
    assert door.house.access_of(stored) not in reply.text and door.house.grant_of(stored) not in reply.text


async def test_events_are_filtered_and_paged_there_and_back(door: Door) -> None:
    connection = await door.house.connection()
    for _ in range(5):
        door.house.clock.at += 1
        await door.house.connect(connection, owner=Owner.user("user_" + opaque(20)))
    body = {"connection_id": f"conn_{connection.id}", "event_types": ["connected_account.created", "user.created"]}
    first = await door.done("POST", f"{AT}?page_size=2", json=body)
    assert len(first["events"]) == 2 and not first["prev_page_token"] and len(first["next_page_token"]) <= 32
    second = await door.done("POST", f"{AT}?page_size=2&page_token={first['next_page_token']}", json=body)
    third = await door.done("POST", f"{AT}?page_size=2&page_token={second['next_page_token']}", json=body)
    assert len(third["events"]) == 1 and not third["next_page_token"]
    times = [one["occurred_at"] for page in (first, second, third) for one in page["events"]]
    assert times == sorted(times, reverse=True) and len(set(times)) == 5
    back = await door.done("POST", f"{AT}?page_size=2&page_token={second['prev_page_token']}", json=body)
    assert back["events"] == first["events"]
    span = {"start_time": times[2], "end_time": times[1]}
    assert len((await door.done("POST", AT, json={**body, **span}))["events"]) == 2
    for other in ({"event_types": ["user.created"]}, {"source": "DIR_SYNC"}, {"auth_request_id": "x"}):
        assert (await door.done("POST", AT, json={**body, **other}))["events"] == []
    assert (await door.done("POST", AT, json=body, key=door.stranger))["events"] == []


async def test_events_are_counted_where_that_is_asked_for(door: Door) -> None:
    connection, _ = await _connected(door)
    for _ in range(2):
        await door.house.connect(connection, owner=Owner.user("user_" + opaque(20)))
    body = {"connection_id": f"conn_{connection.id}"}
    first = await door.done("POST", "/api/v1/events?page_size=2", json=body)
    assert (len(first["events"]), first["total_size"]) == (2, 3)
    plain = await door.done("POST", f"{AT}?page_size=2", json=body)
    assert (plain["events"], "total_size" in plain) == (first["events"], False)
    rest = await door.done("POST", f"/api/v1/events?page_size=2&page_token={first['next_page_token']}", json=body)
    assert (len(rest["events"]), rest["total_size"], rest["next_page_token"]) == (1, 3, "")
    others = await door.done("POST", "/api/v1/events", json={**body, "event_types": ["user.created"]})
    assert (others["events"], others["total_size"]) == ([], 0)
    assert (await door.done("POST", "/api/v1/events", json=body, key=door.stranger))["total_size"] == 0


async def test_bad_input_is_named(door: Door) -> None:
    refused = await door.refused("POST", f"{AT}?page_token=made-up", json={})
    assert refused == (400, "INVALID_ARGUMENT", ["page_token"])
    assert (await door.refused("POST", AT, json={"start_time": "1960-01-01T00:00:00Z"}))[2] == ["filter.start_time"]
    assert (await door.refused("POST", AT, json={"start_time": "yesterday"}))[:2] == (400, "INVALID_ARGUMENT")
    assert (await door.refused("POST", AT, json={"connection_id": "conn_x"}))[:2] == (404, "RESOURCE_NOT_FOUND")
    assert (await door.refused("POST", AT, json={"connected_account_id": "x"}))[:2] == (404, "RESOURCE_NOT_FOUND")


async def _connected(door: Door) -> tuple[Connection, Account]:
    connection = await door.house.connection()
    account: Any = await door.house.connect(connection)
    return connection, account

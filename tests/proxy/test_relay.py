"""The two routes as their callers see them: who is meant, what is missing, and how fast one may be."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from holdfast.events import Actor
from holdfast.ids import opaque
from tests.parts.capture import Capture, Captured, reply
from tests.proxy.conftest import Maker, Upstream
from tests.tokens.house import house_on


async def code_of(upstream: Upstream, path: str, **headers: str) -> tuple[int, str]:
    named = {"authorization": f"Bearer {upstream.key}"}
    named.update({name.replace("_", "-"): value for name, value in headers.items()})
    answer = await upstream.call(path, "GET", named)
    assert "x-relay-upstream-status" not in answer.headers
    return answer.status_code, answer.json()["code"]


async def test_relay_says_what_is_missing_in_the_wires_words(upstream: Upstream) -> None:
    slug, user = upstream.connection.name, upstream.user
    whole = f"{upstream.capture.url}/v1/x"
    assert await code_of(upstream, f"/relay/{slug}/x") == (400, "relay_user_required")
    assert await code_of(upstream, "/relay", x_relay_user=user) == (400, "relay_missing_url")
    assert await code_of(upstream, "/relay", x_relay_user=user, x_relay_url="nonsense") == (400, "relay_invalid_url")
    both = {"x_relay_user": user, "x_relay_provider": "another"}
    assert await code_of(upstream, f"/relay/{slug}/x", **both) == (400, "relay_provider_conflict")
    assert await code_of(upstream, "/relay/unknown/x", x_relay_user=user) == (404, "relay_provider_not_found")
    assert await code_of(upstream, "/relay", x_relay_url=whole, **both) == (404, "relay_provider_not_found")
    other = "https://nobody.example/x"
    assert await code_of(upstream, "/relay", x_relay_user=user, x_relay_url=other) == (404, "relay_provider_not_found")
    assert upstream.capture.requests == []


async def test_a_host_of_several_connections_is_never_the_first_of_them(make: Maker) -> None:
    one, two = await make(), await make()
    url = f"{one.capture.url}/v1/x"
    found = await code_of(one, "/relay", x_relay_user=one.user, x_relay_url=url)
    assert found[0] == 409
    base = {"authorization": f"Bearer {one.key}", "x-relay-user": two.user, "x-relay-url": url}
    named = await one.call("/relay", "GET", {**base, "x-relay-provider": two.connection.name})
    assert named.status_code == 200
    assert one.capture.last.header("authorization") == f"Bearer {await two.token()}"


async def test_an_organizations_scope_is_matched_exactly(upstream: Upstream) -> None:
    headers = {"x-relay-organization": "org_" + opaque(10)}
    assert (await upstream.relay("/x", headers=headers)).status_code == 402
    assert upstream.capture.requests == []


async def test_a_foreign_environments_account_is_not_there(upstream: Upstream) -> None:
    from holdfast.access import ensure_environment

    holdfast = upstream.house.holdfast
    other, _ = await ensure_environment(holdfast.database, holdfast.vault, holdfast.clock, "other-" + opaque(8))
    _, key = await holdfast.keys.create(other.id, "theirs", Actor.system())
    bearer = {"authorization": f"Bearer {key.reveal()}"}
    assert (await upstream.relay("/x", headers=bearer)).status_code == 404
    by_id = {**bearer, "connected_account_id": f"ca_{upstream.account.id}"}
    assert (await upstream.proxy("/x", headers=by_id)).status_code == 404
    assert upstream.capture.requests == []


async def test_a_provider_whose_api_is_not_known_has_no_proxy(make: Maker) -> None:
    import msgspec

    from holdfast.providers import store as provider_store

    upstream = await make()
    house = upstream.house

    def forget(tx: object) -> None:
        entry = provider_store.get(tx, house.environment_id, upstream.connection.provider_slug)  # type: ignore[arg-type]
        assert entry is not None
        provider_store.save(tx, house.environment_id, msgspec.structs.replace(entry, api=None), 1.0)  # type: ignore[arg-type]

    await house.holdfast.database.transact(forget)
    answer = await upstream.proxy("/x")
    assert answer.status_code == 400
    assert "proxy is not enabled" in answer.json()["message"]


@pytest.mark.parametrize(
    "headers", ({"identifier": ""}, {"connection_name": "", "identifier": "u"}, {"identifier": "u" * 300})
)
async def test_an_account_that_is_not_named_is_asked_for(upstream: Upstream, headers: dict[str, str]) -> None:
    answer = await upstream.proxy("/x", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert upstream.capture.requests == []


async def test_one_account_has_so_many_calls_under_way_and_no_more(upstream: Upstream) -> None:
    most, waiting = upstream.house.holdfast.config.proxy_calls_per_account, asyncio.Event()

    async def behave(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await waiting.wait()
        writer.write(reply())

    upstream.capture.behaviour = behave
    calls = [asyncio.ensure_future(upstream.relay("/x")) for _ in range(most)]
    while len(upstream.capture.requests) < most:
        await asyncio.sleep(0.01)
    over = await upstream.relay("/x")
    assert (over.status_code, over.json()["code"]) == (429, "too_many_calls")
    assert "retry-after" in over.headers
    waiting.set()
    assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}
    assert (await upstream.relay("/x")).status_code == 200


async def test_a_plain_account_is_served_without_the_ordinary_read(make: Maker) -> None:
    """The built-in sandbox, whose API answers `Ada` to her token alone."""
    from holdfast.connections.changes import NewConnection
    from holdfast.connections.clients import ClientInput

    house = make.house
    new = NewConnection(
        provider_slug="sandbox",
        client_supply="custom",
        client=ClientInput(house.sandbox.client_id, house.sandbox.client_secret),
        enabled=True,
    )
    connection = await house.connections.create(house.environment_id, new, Actor.system())
    account = await house.connect(connection)
    headers = {"authorization": f"Bearer {make.key}", "x-relay-user": account.owner.user_id}
    url = f"{house.holdfast.config.base_url}/relay/sandbox/me"
    before = house.requests
    for _ in range(3):
        answer = await make.client.get(url, headers=headers)
        assert answer.status_code == 200, answer.text
    house.sandbox.expire()
    assert (await make.client.get(url, headers=headers)).status_code == 200
    assert house.requests == before + 1
    await house.holdfast.proxy.settled()
    entries = await house.entries(account)
    calls = [entry for entry in entries if entry.action == "proxy.called"]
    assert [entry.data["path"] for entry in calls] == ["/lab/sandbox/api/me"] * 4
    assert {entry.connection_id for entry in calls} == {connection.id}, "logs and usage by connection count each one"


async def test_an_environment_has_so_many_calls_a_minute(tmp_path: Path, capture: Capture) -> None:
    async with house_on("", tmp_path, proxy_calls_per_minute=2) as house, httpx2.AsyncClient(timeout=20) as client:
        _, key = await house.holdfast.keys.create(house.environment_id, "proxy", Actor.system())
        upstream = await Maker(house, capture, client, key.reveal())()
        answers = [await upstream.relay("/x") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert int(answers[2].headers["retry-after"]) > 0
        assert (await upstream.proxy("/x")).json()["code"] == 8
        assert len(capture.requests) == 2


async def test_the_owner_of_a_paused_account_is_not_sent_to_consent_in_vain(upstream: Upstream) -> None:
    house, account = upstream.house, upstream.account
    await house.holdfast.keeping.suspend(house.environment_id, account.id, Actor.system(), "on leave")
    for _ in range(2):
        answer = await upstream.relay("/x")
        assert (answer.status_code, answer.json()["authorization_url"]) == (402, None)
        assert answer.json()["code"] == "relay_authorization_required"
        assert answer.json()["message"].endswith("is paused: on leave")
    assert upstream.capture.requests == []
    await house.holdfast.keeping.resume(house.environment_id, account.id, Actor.system())
    assert (await upstream.relay("/x")).status_code == 200


async def test_an_account_whose_grant_is_dead_is_asked_for_again(make: Maker) -> None:
    upstream = await make()
    upstream.house.sandbox.revoke()
    await upstream.house.expire(upstream.account)
    answer = await upstream.relay("/x")
    assert (answer.status_code, answer.json()["code"]) == (402, "relay_authorization_required")
    assert "authorised again" in answer.json()["message"]
    assert upstream.capture.requests == []

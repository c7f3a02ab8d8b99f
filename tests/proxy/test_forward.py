"""A call through the proxy: what arrives at the provider, what comes back, and what is on record of it."""

import asyncio
import gzip
from typing import Any

import pytest

from holdfast.accounts import Connecting
from holdfast.events import Action, Actor
from holdfast.oauth2.dialect import Dead
from holdfast.providers.entry import ConfigField, Lifetime, Placement, RateHints
from tests.parts.capture import Captured, reply
from tests.proxy.conftest import Maker, Upstream


@pytest.mark.parametrize("door", ("relay", "proxy"))
async def test_a_call_arrives_with_the_token_and_without_anything_of_ours(upstream: Upstream, door: str) -> None:
    upstream.capture.answers(reply("201 Created", b'{"id":7}', "Content-Type: application/json", "ETag: abc"))
    sent = {"cookie": "a=b", "x-forwarded-for": "10.1.1.1", "x-custom": "kept", "x-relay-url-note": "no", "sec-x": "n"}
    answer = await getattr(upstream, door)("/things?a=1&b=%20", "POST", sent, content=b'{"name":"x"}')
    assert (answer.status_code, answer.content) == (201, b'{"id":7}')
    assert answer.headers["x-holdfast-upstream-status"] == "201"
    assert answer.headers["etag"] == "abc"
    assert ("x-relay-upstream-status" in answer.headers) == (door == "relay")
    seen = upstream.capture.last
    assert seen.line == "POST /v1/things?a=1&b=%20 HTTP/1.1"
    assert seen.header("authorization") == f"Bearer {await upstream.token()}"
    assert seen.header("host") == f"127.0.0.1:{upstream.capture.port}"
    assert seen.header("x-custom") == "kept"
    assert seen.body == b'{"name":"x"}'
    names = {name for name, _ in seen.headers}
    assert not names & {"cookie", "x-forwarded-for", "x-relay-url-note", "sec-x", "identifier", "connection_name"}
    assert not [value for _, value in seen.headers if upstream.key in value]


async def test_each_call_is_on_record_before_and_after(upstream: Upstream) -> None:
    upstream.capture.answers(reply("200 OK", b"12345"))
    await upstream.relay("/users/8812/messages?secret=1", "POST", content=b"abc")
    by_action = {entry.action: entry for entry in await upstream.entries()}
    read, called = by_action[Action.CREDENTIAL_READ], by_action[Action.PROXY_CALLED]
    assert read.request_id == called.request_id
    assert read.request_id.startswith("prx_")
    assert called.data["path"] == "/v1/users/{}/messages"
    assert (called.data["method"], called.data["host"], called.data["status"]) == ("POST", "127.0.0.1", 200)
    assert (called.data["sent"], called.data["received"]) == (3, 5)


async def test_the_read_is_on_record_while_the_call_is_still_under_way(upstream: Upstream) -> None:
    seen: list[Action] = []

    async def behave(_request: object, _reader: object, writer: asyncio.StreamWriter) -> None:
        seen.extend(entry.action for entry in await upstream.house.entries(upstream.account))
        writer.write(reply())

    upstream.capture.behaviour = behave
    assert (await upstream.relay("/x")).status_code == 200
    assert Action.CREDENTIAL_READ in seen
    assert Action.PROXY_CALLED not in seen


@pytest.mark.parametrize("status", ("400 Bad", "403 Forbidden", "404 No", "409 C", "429 Slow", "500 Oops", "503 Away"))
async def test_what_the_provider_answers_is_passed_through(upstream: Upstream, status: str) -> None:
    upstream.capture.answers(reply(status, b"their words", "Retry-After: 7", "Set-Cookie: x=1", "X-Relay-A: spoof"))
    answer = await upstream.proxy("/x")
    code = int(status[:3])
    assert (answer.status_code, answer.content) == (code, b"their words")
    assert answer.headers["x-holdfast-upstream-status"] == str(code)
    assert answer.headers["retry-after"] == "7"
    assert not {"set-cookie", "x-relay-a"} & set(answer.headers)
    assert len(upstream.capture.requests) == 1


async def test_on_401_the_token_is_renewed_once_and_the_call_repeated(upstream: Upstream) -> None:
    old, before = await upstream.token(), upstream.house.requests
    upstream.capture.answers(reply("401 Unauthorized", b"old"), reply("200 OK", b"new"))
    answer = await upstream.relay("/x", "POST", content=b"again")
    assert (answer.status_code, answer.content) == (200, b"new")
    first, second = upstream.capture.requests
    assert (first.body, second.body) == (b"again", b"again")
    assert first.header("authorization") == f"Bearer {old}"
    assert second.header("authorization") == f"Bearer {await upstream.token()}" != f"Bearer {old}"
    assert upstream.house.requests == before + 1


async def test_a_refused_token_is_renewed_though_the_provider_renews_none_that_lives_long(make: Maker) -> None:
    upstream = await make(lifetime=Lifetime(access=3600, rotation="each_use", refresh_not_before=30))
    upstream.capture.answers(reply("401 Unauthorized", b"old"), reply("200 OK", b"new"))
    before = upstream.house.requests
    assert (await upstream.relay("/x")).content == b"new"
    assert upstream.house.requests == before + 1


async def test_a_401_that_stays_is_the_callers_and_does_not_renew_again_and_again(upstream: Upstream) -> None:
    before = upstream.house.requests
    upstream.capture.answers(reply("401 Unauthorized", b"never"))
    answers = [await upstream.proxy("/x") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {401}
    assert answers[0].headers["x-holdfast-upstream-status"] == "401"
    assert upstream.house.requests == before + 1
    assert len(upstream.capture.requests) == 4


async def test_many_calls_at_a_revoked_token_renew_it_once(upstream: Upstream) -> None:
    old, before = await upstream.token(), upstream.house.requests

    async def behave(request: object, _reader: object, writer: asyncio.StreamWriter) -> None:
        stale = request.header("authorization") == f"Bearer {old}"  # type: ignore[attr-defined]
        writer.write(reply("401 Unauthorized") if stale else reply())

    upstream.capture.behaviour = behave
    answers = await asyncio.gather(*(upstream.relay("/x") for _ in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert upstream.house.requests == before + 1


async def test_a_long_body_is_not_repeated_though_the_token_is_renewed(upstream: Upstream) -> None:
    before = upstream.house.requests
    upstream.capture.answers(reply("401 Unauthorized"), reply())
    answer = await upstream.relay("/x", "PUT", content=b"x" * 70_000)
    assert answer.status_code == 401
    assert len(upstream.capture.requests) == 1
    assert upstream.house.requests == before + 1


async def test_a_providers_own_word_for_expired_counts_like_401(make: Maker) -> None:
    rule = Dead(at="api", values=("token_expired",), means="refresh_once")
    upstream = await make(dead=(rule,))
    said = reply("200 OK", b'{"ok":false,"error":"token_expired"}', "Content-Type: application/json")
    upstream.capture.answers(said, reply("200 OK", b'{"ok":true}'))
    answer = await upstream.relay("/x", headers={"accept-encoding": "gzip"})
    assert answer.json() == {"ok": True}
    assert upstream.capture.last.header("accept-encoding") == "identity"


async def test_the_caller_may_ask_to_wait_for_a_provider_that_is_too_busy(make: Maker) -> None:
    upstream = await make(api={"rate": RateHints(retry="Retry-After")})
    upstream.capture.answers(reply("429 Slow", b"", "Retry-After: 1"), reply("200 OK", b"now"))
    assert (await upstream.relay("/x", headers={"x-holdfast-wait": "0.5"})).status_code == 429
    upstream.capture.answers(reply("429 Slow", b"", "Retry-After: 1"), reply("200 OK", b"now"))
    assert (await upstream.relay("/x", headers={"x-holdfast-wait": "5"})).content == b"now"


async def test_each_place_a_credential_can_have(make: Maker) -> None:
    key = "key-of-the-provider-1234"
    header = await make(
        api_key=key, api={"credential": Placement(where="header", name="X-Api-Key", value="Key {token}")}
    )
    await header.relay("/x", headers={"x-api-key": "theirs"})
    assert [value for name, value in header.capture.last.headers if name == "x-api-key"] == [f"Key {key}"]
    assert header.capture.last.header("authorization") is None

    query = await make(api_key=key, api={"credential": Placement(where="query", name="api_key")})
    await query.relay("/x?a=1")
    assert query.capture.last.target == f"/v1/x?a=1&api_key={key}"
    seen = len(query.capture.requests)
    assert (await query.relay("/x?api%5Fkey=theirs")).status_code == 400
    assert len(query.capture.requests) == seen
    query.capture.answers(reply("302 Found", b"", f"Location: /v1/x/?api_key={key}"))
    assert (await query.relay("/x")).headers["location"] == "/v1/x/?api_key=<sealed>"
    assert key not in str(await query.entries())

    query.capture.answers(reply())
    basic = await make(api_key=key, api={"credential": Placement(where="basic", username="{token}", password="x")})
    await basic.relay("/x")
    assert basic.capture.last.header("authorization") == "Basic a2V5LW9mLXRoZS1wcm92aWRlci0xMjM0Ong="

    both = await make(
        api_key=key,
        api={
            "credential": Placement(where="header", name="X-One"),
            "also": (Placement(where="header", name="X-Two", value="{token}.2"),),
        },
    )
    await both.relay("/x")
    assert (both.capture.last.header("x-one"), both.capture.last.header("x-two")) == (key, f"{key}.2")

    in_path = await make(
        api_key=key, api={"credential": Placement(where="path"), "base_url": both.capture.url + "/bot{token}"}
    )
    await in_path.relay("/send")
    assert in_path.capture.last.target == f"/bot{key}/send"
    assert key not in str(await in_path.entries())


async def test_values_of_the_connection_are_filled_into_address_and_headers(make: Maker) -> None:
    upstream = await make(
        api={
            "base_url": f"http://127.0.0.1:{make.capture.port}/{{site}}/v2",
            "headers": {"X-Site": "{site}", "X-Version": "3"},
        },
        fields={"site": ConfigField(scope="integration", pattern="[a-z0-9-]+")},
        config={"site": "acme-1"},
    )
    await upstream.relay("/x", headers={"x-site": "another", "x-version": "4"})
    seen = upstream.capture.last
    assert seen.target == "/acme-1/v2/x"
    assert (seen.header("x-site"), seen.header("x-version")) == ("acme-1", "4")


async def test_an_apps_path_may_have_the_apis_own_in_front(upstream: Upstream) -> None:
    await upstream.relay("/v1/users")
    assert upstream.capture.last.target == "/v1/users"


async def test_packed_bytes_pass_as_they_are(upstream: Upstream) -> None:
    packed = gzip.compress(b"hello" * 100)
    upstream.capture.answers(reply("200 OK", packed, "Content-Encoding: gzip"))
    async with upstream.client.stream(
        "GET",
        f"{upstream.house.holdfast.config.base_url}/relay/{upstream.connection.name}/x",
        headers={"x-relay-user": upstream.user, "authorization": f"Bearer {upstream.key}", "accept-encoding": "gzip"},
    ) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert raw == packed
    assert answer.headers["content-encoding"] == "gzip"
    assert upstream.capture.last.header("accept-encoding") == "gzip"


async def test_answers_without_a_body_stay_without_one(upstream: Upstream) -> None:
    upstream.capture.answers(
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
    )
    empty = await upstream.relay("/x", "DELETE")
    assert (empty.status_code, empty.content) == (204, b"")
    fresh = await upstream.relay("/x")
    assert (fresh.status_code, fresh.content, fresh.headers["etag"]) == (304, b"", "x")
    head = await upstream.relay("/x", "HEAD")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "1234")
    upstream.capture.answers(reply("200 OK", b"still in step"))
    assert (await upstream.relay("/x")).content == b"still in step"


async def test_a_connection_is_used_again(upstream: Upstream) -> None:
    for _ in range(5):
        await upstream.relay("/x")
    assert (len(upstream.capture.requests), upstream.capture.connections) == (5, 1)


async def test_who_is_not_connected_is_sent_where_one_can_connect(upstream: Upstream) -> None:
    answer = await upstream.relay("/x", headers={"x-relay-user": "user_nobody"})
    assert answer.status_code == 402
    body = answer.json()
    assert (body["code"], body["connection"]) == ("relay_authorization_required", upstream.connection.name)
    assert body["authorization_url"].startswith("http")
    assert "x-relay-upstream-status" not in answer.headers
    same = await upstream.proxy("/x", headers={"identifier": "user_nobody"})
    assert same.status_code == 400
    assert same.json()["details"][0]["error_code"] == "AUTHORIZATION_REQUIRED"
    assert upstream.capture.requests == []


async def test_a_provider_that_is_away_is_our_answer_and_not_its_own(make: Maker) -> None:
    upstream = await make(api={"base_url": "http://127.0.0.1:9999"})
    answer = await upstream.relay("/x")
    assert answer.status_code == 502
    assert "x-relay-upstream-status" not in answer.headers


async def test_an_account_is_named_by_its_id_too(upstream: Upstream) -> None:
    named = {"connected_account_id": f"ca_{upstream.account.id}", "identifier": "", "connection_name": ""}
    assert (await upstream.proxy("/x", headers=named)).status_code == 200
    another = {**named, "identifier": "somebody-else"}
    assert (await upstream.proxy("/x", headers=another)).status_code == 404
    assert len(upstream.capture.requests) == 1


async def test_a_whole_address_goes_to_the_providers_hosts(upstream: Upstream) -> None:
    base = {"authorization": f"Bearer {upstream.key}", "x-relay-user": upstream.user}
    url = {"x-relay-url": f"{upstream.capture.url}/v2/x?q=1"}
    found = await upstream.call("/relay", "GET", {**base, **url, "x-relay-provider": upstream.connection.name})
    assert found.status_code == 200
    assert upstream.capture.last.target == "/v2/x?q=1"
    for bad in ("https://evil.example/x", "http://127.0.0.1:1/x", f"http://u@127.0.0.1:{upstream.capture.port}/"):
        refused = await upstream.call(
            "/relay", "GET", {**base, "x-relay-url": bad, "x-relay-provider": upstream.connection.name}
        )
        assert (refused.status_code, refused.json()["code"]) == (400, "relay_invalid_url"), bad
    assert len(upstream.capture.requests) == 1


@pytest.mark.parametrize("api", [{"hosts": ("{place}:PORT",)}, {"headers": {"X-Tenant": "{place}"}}])
async def test_a_renewed_call_does_not_go_where_the_account_does_not_lead_any_more(
    make: Maker, api: dict[str, Any]
) -> None:
    """The host, or the tenant in a header, is the account's own, which is connected elsewhere during the call."""
    port = make.capture.port
    filled = {name: tuple(one.replace("PORT", str(port)) for one in api[name]) for name in api if name == "hosts"}
    upstream = await make(api={**api, **filled}, fields={"place": ConfigField(pattern="localhost|elsewhere")})
    house = upstream.house
    effective = await house.effective(upstream.connection)

    async def connect(place: str) -> None:
        plan = Connecting(
            effective=effective,
            owner=upstream.account.owner,
            credential=house.credential(),
            intent="auto",
            actor=Actor.system(),
            config={"place": place},
        )
        await house.accounts.connect(plan)

    async def refuse(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await connect("elsewhere")
        writer.write(reply("401 Unauthorized", b"ended"))

    await connect("localhost")
    upstream.capture.behaviour = refuse
    headers = {"authorization": f"Bearer {upstream.key}", "x-relay-user": upstream.user}
    host = "localhost" if filled else "127.0.0.1"
    headers |= {"x-relay-url": f"http://{host}:{port}/x", "x-relay-provider": upstream.connection.name}
    told = await upstream.call("/relay", "GET", headers)
    assert (told.status_code, told.content) == (401, b"ended")
    assert len(upstream.capture.requests) == 1

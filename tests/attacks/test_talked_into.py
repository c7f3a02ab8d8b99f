"""Attack: an agent is talked into using somebody's credential for what its connection is not for (security list,
row 15).

A page that it reads tells it to post a repository's secrets to a gist. Its key is good and the account is its user's.
What stands against it are the connection's rules: what none of them names is not sent, however it is asked for, and the
credential is not even read.
"""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from holdfast.connections.changes import Changes
from holdfast.events import Action, Actor, Entry
from tests.parts.capture import Captured, capturing, reply
from tests.parts.postgres import Postgres
from tests.proxy.conftest import Maker, Upstream, capture, client, make
from tests.proxy.test_call_lane import Shop, Told, opened, shop
from tests.tokens.house import House, built_house, house, second_process

__all__ = ["built_house", "capture", "client", "house", "make", "shop"]

RULES = ("GET *", "POST /repos/*/*/issues", "* /user/starred/**")


async def rule(shop: Shop, *rules: str) -> None:
    await shop.house.connections.update(
        shop.house.environment_id, "github", "user", Changes(proxy_rules=rules), Actor("operator")
    )


async def refused(shop: Shop) -> list[Entry]:
    return await shop.entries(Action.PROXY_REFUSED)


async def asks(shop: Shop, path: str, method: str = "POST", body: bytes = b"", **more: str) -> list[Told]:
    """Ask as the server does, and once in the ordinary way from the beginning."""
    return [await shop.ask(path, method, body, at_once=at_once, **more) for at_once in (True, False)]


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/gists", "POST"),
        ("/repos/acme/site", "DELETE"),
        ("/repos/acme/site/issues", "PUT"),
        ("/repos/acme/issues", "POST"),
        ("/repos/acme/site/issues/1", "POST"),
        ("/repos/acme/site/issues/", "POST"),
        ("/Repos/acme/site/issues", "POST"),
    ],
)
async def test_a_method_or_path_that_no_rule_names_is_not_sent(shop: Shop, path: str, method: str) -> None:
    await rule(shop, *RULES)
    read, called = await shop.entries(Action.CREDENTIAL_READ), await shop.entries(Action.PROXY_CALLED)
    for told in await asks(shop, f"/relay/github{path}", method, b'{"files":{"secrets":1}}'):
        assert (told.status, b'"not_allowed_by_rules"' in told.body) == (403, True)
        assert b"x-holdfast-upstream-status" not in dict(told.headers)
    assert shop.capture.requests == []
    assert await shop.entries(Action.CREDENTIAL_READ) == read, "the credential was not even read"
    assert await shop.entries(Action.PROXY_CALLED) == called
    first, second = await refused(shop)
    assert first.data == second.data
    assert (first.data["connection"], first.data["method"], first.data["why"]) == (
        "github",
        method,
        "no rule allows it",
    )
    assert first.actor.kind == "api_key" and first.account_id == shop.account.id and first.connection_id
    assert (first.user_id, first.request_id[:4]) == (shop.account.owner.user_id, "prx_")


async def test_what_the_rules_name_goes_through_as_before(shop: Shop) -> None:
    await rule(shop, *RULES)
    for path, method in (("/gists", "GET"), ("/repos/acme/site/issues", "POST"), ("/user/starred/a/b", "PUT")):
        for told in await asks(shop, f"/relay/github{path}", method):
            assert told.status == 200
    assert len(shop.capture.requests) == 6
    assert await refused(shop) == []


@pytest.mark.parametrize(
    "path",
    [
        "/gis%74s",
        "/%67ists",
        "/repos/a/b/issues/../../../../gists",
        "/repos/a/b/issues/%2e%2e/%2e%2e/%2e%2e/%2e%2e/gists",
        "/repos/a/b%2Fissues",
        "/repos/a%2Fb/issues",
        "/repos/a/b%252Fx/issues",
        "/repos/a/b%3F/issues",
        "/repos/a/b%23/issues",
        "/repos/a/;b/issues",
        "/repos//a/issues",
        "//gists",
        "/gists;/repos/a/b/issues",
        "/repos/a/b/issues\\..\\..\\gists",
        "/repos/a/b/issues%00",
    ],
)
async def test_an_encoded_path_does_not_get_round_a_rule(shop: Shop, path: str) -> None:
    await rule(shop, *RULES)
    for told in await asks(shop, f"/relay/github{path}"):
        assert told.status in (400, 403)
    assert shop.capture.requests == []


async def test_an_encoded_path_is_the_path_it_encodes(shop: Shop) -> None:
    await rule(shop, *RULES)
    for told in await asks(shop, "/relay/github/%72epos/acme/sit%65/issue%73"):
        assert told.status == 200
    assert len(shop.capture.requests) == 2


async def test_an_absolute_address_does_not_get_round_a_rule(shop: Shop) -> None:
    await rule(shop, *RULES)
    for provider in ("", "github"):
        for url in ("/gists", "/gis%74s", "/gists?x=/repos/a/b/issues", "", "/", "?a=/repos/a/b/issues"):
            for told in await asks(shop, "/relay", x_relay_url=shop.capture.url + url, x_relay_provider=provider):
                assert (told.status, b'"not_allowed_by_rules"' in told.body) == (403, True), url
        assert shop.capture.requests == []
    for told in await asks(shop, "/relay", x_relay_url=shop.capture.url + "/repos/a/b/issues?x=1"):
        assert told.status == 200
    assert [one.target for one in shop.capture.requests] == ["/repos/a/b/issues?x=1"] * 2


@pytest.mark.parametrize(
    "name",
    [
        *("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "X_HTTP_Method_Override", "x-http_method"),
        *("X-Original-URL", "X_Rewrite_URL", "X-Original-Method"),
    ],
)
async def test_a_header_that_names_another_method_or_path_does_not_go_along(shop: Shop, name: str) -> None:
    await rule(shop, *RULES)
    key = {"authorization": f"Bearer {shop.key}", "x-relay-user": shop.account.owner.user_id}
    transport = httpx2.ASGITransport(shop.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://holdfast.test") as caller:
        told = await caller.post("/relay/github/repos/a/b/issues", headers={**key, name: "DELETE"})
    assert told.status_code == 200
    assert shop.capture.last.method == "POST"
    assert [pair for pair in shop.capture.last.headers if "DELETE" in pair] == []


FORM, PARTS = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("query", "kind", "body"),
    [
        ("?_method=DELETE", "", b""),
        ("?a=b&%5Fmethod=delete", "", b""),
        ("?a=b;_METHOD=DELETE", "", b""),
        ("?X-HTTP-Method-Override=DELETE", "", b""),
        ("?method=delete", "", b""),
        ("", FORM, b"a=b&_method=DELETE"),
        ("", FORM.upper(), b"a=b&%5fmethod=DELETE"),
        ("", "", b"_method=DELETE"),
        ("", PARTS, b'--x\r\nContent-Disposition: form-data; name="_method"\r\n\r\nDELETE\r\n--x--\r\n'),
        ("", PARTS, b'--x\r\nContent-Disposition: form-data; name="_met\\hod"\r\n\r\nDELETE\r\n--x--\r\n'),
    ],
)
async def test_a_query_or_form_that_names_another_method_is_refused(
    shop: Shop, query: str, kind: str, body: bytes
) -> None:
    await rule(shop, *RULES)
    for told in await asks(shop, f"/relay/github/repos/a/b/issues{query}", "POST", body, content_type=kind):
        assert (told.status, b'"not_allowed_by_rules"' in told.body) == (403, True)
    assert shop.capture.requests == []
    assert "another method" in str((await refused(shop))[0].data["why"])
    # Where a rule takes the path with any method, there is nothing to gain by it.
    for told in await asks(shop, f"/relay/github/user/starred/a/b{query}", "POST", body, content_type=kind):
        assert told.status == 200


async def test_what_only_looks_like_naming_a_method_goes_through(shop: Shop) -> None:
    await rule(shop, *RULES)
    for query, kind, body in (
        ("?method=sms", "", b""),
        ("", FORM, b"method=sms&text=_method"),
        ("", "application/json", b'{"text":"_method=DELETE"}'),
    ):
        for told in await asks(shop, f"/relay/github/repos/a/b/issues{query}", "POST", body, content_type=kind):
            assert told.status == 200, (query, body)


async def test_a_form_too_long_to_be_looked_through_is_not_sent(make: Maker) -> None:
    upstream = await make()
    await _rule(upstream, "POST /v1/form", "* /v1/any/**")
    long = b"a=" + b"x" * 100_000 + b"&_method=DELETE"
    for kind in (FORM, PARTS):
        told = await upstream.relay("/form", "POST", {"content-type": kind}, content=long)
        assert told.status_code == 403
    assert upstream.capture.requests == []
    told = await upstream.relay("/any/form", "POST", {"content-type": FORM}, content=long)
    assert told.status_code == 200
    told = await upstream.relay("/form", "POST", {"content-type": "application/json"}, content=long)
    assert told.status_code == 200


async def _rule(upstream: Upstream, *rules: str) -> None:
    house = upstream.house
    name = upstream.connection.name
    await house.connections.update(house.environment_id, name, "user", Changes(proxy_rules=rules), Actor("operator"))


async def test_both_wires_refuse_in_their_own_words(make: Maker) -> None:
    upstream = await make()
    await _rule(upstream, "* /v1/charges")
    for path in ("/refunds", "/v1/refunds", "/v1/v1/charges", "/"):
        relayed = await upstream.relay(path, "POST")
        assert (relayed.status_code, relayed.json()["code"]) == (403, "not_allowed_by_rules")
        proxied = await upstream.proxy(path, "POST")
        assert (proxied.status_code, proxied.json()["code"]) == (403, 7)
        assert proxied.json()["details"][0]["error_code"] == "NOT_ALLOWED_BY_RULES"
    assert upstream.capture.requests == []
    for path in ("/charges", "/v1/charges", "/%63harges"):
        assert (await upstream.relay(path, "POST")).status_code == 200, "judged with the API's own path in front"
        assert (await upstream.proxy(path, "POST")).status_code == 200
    assert Action.CREDENTIAL_READ in [one.action for one in await upstream.entries()]


async def test_a_rule_that_is_made_while_calls_run_holds_for_every_call_after_it(shop: Shop) -> None:
    made, after = asyncio.Event(), list[int]()

    async def call(path: str) -> None:
        while len(after) < 20:
            is_after = made.is_set()
            told = await shop.ask(path, "POST", b"{}")
            if is_after:
                after.append(told.status)
            else:
                assert told.status in (200, 403)

    callers = [asyncio.create_task(call(f"/relay/github/gists?{number}")) for number in range(4)]
    while len(shop.capture.requests) < 20:
        await asyncio.sleep(0.005)
    await rule(shop, *RULES)
    made.set()
    await asyncio.gather(*callers)
    assert set(after) == {403}
    sent = len(shop.capture.requests)
    await asks(shop, "/relay/github/gists")
    assert len(shop.capture.requests) == sent
    await rule(shop)
    assert [told.status for told in await asks(shop, "/relay/github/gists")] == [200, 200], "and is gone when it is"


async def test_a_rule_that_is_made_in_another_process_holds_at_once(postgres: Postgres, tmp_path: Path) -> None:
    async with capturing() as upstream:
        async for here in opened(postgres.fresh_database(), tmp_path, upstream):
            async with second_process(here.house) as there:
                await here.ask("/relay/github/warm")
                assert (await here.ask("/relay/github/gists", "POST")).by == "lane"
                upstream.requests.clear()
                await there.connections.update(
                    there.environment_id, "github", "user", Changes(proxy_rules=RULES), Actor("operator")
                )
                assert {told.status for told in await asks(here, "/relay/github/gists")} == {403}
                assert upstream.requests == []


async def test_a_call_is_not_made_again_with_a_renewed_token_where_a_rule_has_come_between(shop: Shop) -> None:
    async def behave(request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request.target.startswith("/login/oauth"):
            grant = b'{"access_token":"fresh-token","token_type":"bearer","expires_in":3600,"refresh_token":"next"}'
            writer.write(reply("200 OK", grant, "Content-Type: application/json"))
        else:
            await rule(shop, *RULES)
            writer.write(reply("401 Unauthorized", b"{}"))

    shop.capture.behaviour = behave
    told = await shop.ask("/relay/github/gists", "DELETE")
    assert (told.status, told.body) == (401, b"{}"), "the answer that there was"
    assert [one.target for one in shop.capture.requests].count("/gists") == 1
    assert [one.data["method"] for one in await refused(shop)] == ["DELETE"]


async def test_a_call_that_waited_is_not_made_again_where_a_rule_has_come_between(shop: Shop) -> None:
    async def behave(_request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await rule(shop, *RULES)
        writer.write(reply("429 Too Many Requests", b"{}", "Retry-After: 1"))

    shop.capture.behaviour = behave
    told = await shop.ask("/relay/github/gists", "DELETE", x_holdfast_wait="5")
    assert told.status == 403
    assert len(shop.capture.requests) == 1
    assert len(await refused(shop)) == 1
    assert (await shop.entries(Action.PROXY_CALLED))[-1].data["outcome"] == "not_allowed_by_rules"


async def test_reading_the_token_itself_is_not_concerned(shop: Shop) -> None:
    await rule(shop, "GET /nothing")
    read = await shop.house.read(shop.account, await _connection(shop.house))
    assert read.secret.reveal() == shop.house.access_of(shop.account)


async def _connection(house: House) -> Any:
    return await house.holdfast.database.transact(
        lambda tx: house.connections.find(tx, house.environment_id, "github", "user")
    )

"""The connection's rules judge the path that goes out: with the API's own in front, and wherever it is known from."""

import json
from typing import Any

from holdfast.connections.changes import Changes
from holdfast.events import Action, Actor
from holdfast.providers.entry import Call, ConfigField, Discover, Placement
from tests.parts.capture import reply
from tests.proxy.conftest import Maker, Upstream


async def _rule(upstream: Upstream, *rules: str) -> None:
    house = upstream.house
    name = upstream.connection.name
    await house.connections.update(house.environment_id, name, "user", Changes(proxy_rules=rules), Actor("operator"))


async def _happened(upstream: Upstream) -> list[Action]:
    return [entry.action for entry in await upstream.entries()]


def _targets(upstream: Upstream) -> list[str]:
    return [one.target for one in upstream.capture.requests]


async def test_a_path_that_an_accounts_value_is_part_of_is_judged_before_the_read(make: Maker) -> None:
    fields = {"shop": ConfigField(label="Shop", scope="integration")}
    api = {"base_url": make.capture.url + "/{shop}/api"}
    upstream = await make(api=api, fields=fields, config={"shop": "mine"})
    await _rule(upstream, "GET /mine/api/orders", "GET /other/api/**")
    assert (await upstream.relay("/orders")).status_code == 200
    read = (await _happened(upstream)).count(Action.CREDENTIAL_READ)
    for path in ("/orders/1", "/refunds", "/other/api/orders"):
        assert (await upstream.relay(path)).status_code == 403, path
    assert _targets(upstream) == ["/mine/api/orders"]
    assert (await _happened(upstream)).count(Action.CREDENTIAL_READ) == read


async def test_a_site_that_takes_the_credential_to_find_out_is_judged_before_the_call(make: Maker) -> None:
    url = make.capture.url
    discover = Discover(call=Call(url=f"{url}/sites"), list="[]", set={"cloud_id": "id", "site_name": "name"})
    base: dict[str, Any] = {"base_url": f"{url}/ex/{{cloud_id}}"}
    upstream = await make(api=base, discover=discover, keep_pattern={"cloud_id": "[0-9a-f]{4}"})
    await _rule(upstream, "GET /ex/34cd/**")
    upstream.capture.answers(reply("200 OK", json.dumps([{"id": "12ab", "name": "Acme"}]).encode()))
    assert (await upstream.relay("/issues")).status_code == 403
    assert _targets(upstream) == ["/sites"], "which is asked by us, and not what the caller said"
    assert (await upstream.relay("/issues")).status_code == 403
    assert (await _happened(upstream)).count(Action.CREDENTIAL_READ) == 1, "now it is known without the credential"
    assert (await _happened(upstream)).count(Action.PROXY_REFUSED) == 2


async def test_a_credential_in_the_path_is_not_part_of_what_is_judged(make: Maker) -> None:
    api = {"base_url": make.capture.url + "/bot{token}", "credential": Placement(where="path")}
    upstream = await make(api=api, api_key="12:secret")
    await _rule(upstream, "POST /bot/sendMessage")
    assert (await upstream.relay("/sendMessage", "POST")).status_code == 200
    assert (await upstream.relay("/deleteMessage", "POST")).status_code == 403
    assert _targets(upstream) == ["/bot12:secret/sendMessage"]
    assert not [entry for entry in await upstream.entries() if "12:secret" in str(entry.data)]


async def test_an_encoded_slash_is_part_of_its_segment_where_the_provider_takes_it(make: Maker) -> None:
    upstream = await make(api={"encoded_slash": True})
    await _rule(upstream, "GET /v1/projects/*/issues", "GET /v1/groups/a%2fb")
    assert (await upstream.relay("/projects/group%2Fname/issues")).status_code == 200
    assert (await upstream.relay("/groups/a%2Fb")).status_code == 200
    for path in ("/projects/group/name/issues", "/projects/1%2Fissues", "/groups/a/b", "/projects/a%252Fb/issues"):
        assert (await upstream.relay(path)).status_code == 403, path
    assert _targets(upstream) == ["/v1/projects/group%2Fname/issues", "/v1/groups/a%2Fb"]


async def test_an_account_named_by_its_id_is_judged_too(make: Maker) -> None:
    upstream = await make()
    await _rule(upstream, "GET /v1/things")
    named = {"connected_account_id": "ca_" + upstream.account.id, "authorization": f"Bearer {upstream.key}"}
    assert (await upstream.call("/proxy/things", "GET", named)).status_code == 200
    assert (await upstream.call("/proxy/others", "GET", named)).status_code == 403
    assert _targets(upstream) == ["/v1/things"]


async def test_the_log_says_who_was_refused_what(make: Maker) -> None:
    upstream = await make()
    await _rule(upstream, "GET /v1/things")
    told = await upstream.relay("/users/8812/messages?secret=1", "POST", content=b"abc")
    (entry,) = [one for one in await upstream.entries() if one.action is Action.PROXY_REFUSED]
    assert entry.data == {
        "connection": upstream.connection.name,
        "method": "POST",
        "host": "127.0.0.1",
        "path": "/v1/users/{}/messages",
        "why": "no rule allows it",
    }
    assert (entry.actor.kind, entry.connection_id) == ("api_key", upstream.connection.id)
    assert entry.request_id == told.headers["x-holdfast-request-id"]
    assert "POST /v1/users/{}/messages may not be called" in told.json()["message"]

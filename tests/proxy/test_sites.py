"""The site an account works on: asked for when it is connected, else by the first call that needs to know."""

import json
from typing import Any

from holdfast.accounts import Owner
from holdfast.providers.entry import Call, Discover
from tests.authorization.links import Linking
from tests.parts.capture import Capture, reply
from tests.proxy.conftest import Maker, Upstream

PATTERN = {"cloud_id": "[0-9a-f]{4}"}


async def _made(make: Maker, **api: Any) -> Upstream:
    url = make.capture.url
    discover = Discover(call=Call(url=f"{url}/sites"), list="[]", set={"cloud_id": "id", "site_name": "name"})
    base = {"base_url": f"{url}/ex/{{cloud_id}}", **api}
    return await make(api=base, discover=discover, keep_pattern=PATTERN)


def _answers(capture: Capture, *sites: tuple[str, str], then: bytes = b"called") -> None:
    listed = json.dumps([{"id": known, "name": name} for known, name in sites]).encode()
    capture.answers(reply("200 OK", listed), reply("200 OK", then))


def _targets(upstream: Upstream) -> list[str]:
    return [one.target for one in upstream.capture.requests]


async def test_the_first_call_asks_and_what_it_learns_is_kept(make: Maker) -> None:
    upstream = await _made(make)
    _answers(upstream.capture, ("12ab", "Acme"))
    assert (await upstream.relay("/issues")).content == b"called"
    assert (await upstream.proxy("/issues")).content == b"called"
    assert _targets(upstream) == ["/sites", "/ex/12ab/issues", "/ex/12ab/issues"]
    token = f"Bearer {await upstream.token()}"
    assert [one.header("authorization") for one in upstream.capture.requests] == [token] * 3
    assert (await upstream.house.stored(upstream.account)).kept == {"cloud_id": "12ab", "site_name": "Acme"}


async def test_a_value_may_be_needed_in_a_header_alone(make: Maker) -> None:
    upstream = await _made(make, base_url=make.capture.url, headers={"X-Tenant": "{cloud_id}"})
    _answers(upstream.capture, ("12ab", "Acme"))
    assert (await upstream.relay("/issues", headers={"x-tenant": "another"})).content == b"called"
    assert upstream.capture.last.header("x-tenant") == "12ab"


async def test_of_several_sites_none_is_taken_until_the_app_says_which(make: Maker) -> None:
    upstream = await _made(make)
    _answers(upstream.capture, ("12ab", "Acme"), ("34cd", "Rockets"))
    told = await upstream.proxy("/issues")
    assert told.status_code in (400, 409) and "'cloud_id'" in told.text and "34cd Rockets" in told.text
    assert _targets(upstream) == ["/sites"]
    web = upstream.house.holdfast.config.base_url
    body = {"connector": upstream.connection.name, "identifier": upstream.user}
    body["connected_account"] = {"api_config": {"cloud_id": "34cd"}}  # type: ignore[assignment]
    headers = {"authorization": f"Bearer {upstream.key}"}
    changed = await upstream.client.put(f"{web}/api/v1/connected_accounts", json=body, headers=headers)
    assert changed.status_code == 200, changed.text
    assert (await upstream.proxy("/issues")).content == b"called"
    assert _targets(upstream)[1:] == ["/ex/34cd/issues"]


async def test_a_site_that_does_not_fit_the_entrys_pattern_is_none(make: Maker) -> None:
    upstream = await _made(make)
    _answers(upstream.capture, ("../../evil", "Evil"), ("12ab/", "Evil"))
    told = await upstream.proxy("/issues")
    assert told.status_code in (400, 409) and "no site" in told.text
    assert _targets(upstream) == ["/sites"]


async def test_a_provider_that_does_not_say_is_told_apart_and_asked_again(make: Maker) -> None:
    upstream = await _made(make)
    upstream.capture.answers(
        reply("500 Oops", b"no"), reply("200 OK", b'[{"id": "12ab", "name": "Acme"}]'), reply("200 OK", b"called")
    )
    told = await upstream.proxy("/issues")
    assert told.status_code == 503 and "x-holdfast-upstream-status" not in told.headers
    assert (await upstream.proxy("/issues")).content == b"called"


async def test_connecting_asks_already_and_a_second_consent_stays_with_its_site(make: Maker) -> None:
    upstream = await _made(make)
    linking = Linking(upstream.house, upstream.connection)
    owner = Owner.user("user_of_sites")
    _answers(upstream.capture, ("12ab", "Acme"))
    link = await linking.link(owner)
    await linking.walk(link, linking.success)
    assert (await upstream.house.stored(link.account)).kept["cloud_id"] == "12ab"
    assert _targets(upstream) == ["/sites"]
    _answers(upstream.capture, ("34cd", "Rockets"), ("12ab", "Acme renamed"))
    again = await linking.link(owner)
    await linking.walk(again, linking.success)
    kept = (await upstream.house.stored(link.account)).kept
    assert (kept["cloud_id"], kept["site_name"]) == ("12ab", "Acme renamed")


async def test_a_provider_that_does_not_say_keeps_nobody_from_connecting(make: Maker) -> None:
    upstream = await _made(make)
    linking = Linking(upstream.house, upstream.connection)
    upstream.capture.answers(reply("500 Oops", b"no"))
    link = await linking.link(Owner.user("user_without_site"))
    await linking.walk(link, linking.success)
    stored = await upstream.house.stored(link.account)
    assert stored.status.value == "active" and "cloud_id" not in stored.kept

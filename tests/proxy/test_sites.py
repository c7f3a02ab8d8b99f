"""The site an account works on: asked for when it is connected, else by the first call that needs to know."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from holdfast.accounts import Connecting, Owner, store
from holdfast.events import Actor
from holdfast.providers.entry import Call, Discover
from holdfast.proxy.sites import Sites
from tests.authorization.links import BACK, Linking, verified_users
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


async def test_a_site_that_a_new_consent_does_not_reach_is_not_worked_on(make: Maker) -> None:
    upstream = await _made(make)
    linking, owner = Linking(upstream.house, upstream.connection), Owner.user("user_who_moved")
    _answers(upstream.capture, ("12ab", "Acme"))
    link = await linking.link(owner)
    await linking.walk(link, linking.success)
    _answers(upstream.capture, ("34cd", "Rockets"), ("56ef", "Acme"))
    await linking.walk(await linking.link(owner), linking.success)
    assert not (await upstream.house.stored(link.account)).kept.keys() & {"cloud_id", "site_name"}


async def test_of_a_former_site_nothing_is_left_beside_the_new_one(make: Maker) -> None:
    upstream = await _made(make)
    linking, owner = Linking(upstream.house, upstream.connection), Owner.user("user_of_another_site")
    _answers(upstream.capture, ("12ab", "Acme"))
    link = await linking.link(owner)
    await linking.walk(link, linking.success)
    _answers(upstream.capture, ("34cd", ""))
    async with verified_users(upstream.house):  # laid aside, and taken up again
        again = await linking.link(owner, user_verify_url=BACK)
        back = await linking.walk(again, BACK)
        await linking.verify(dict(parse_qsl(urlsplit(back).query))["auth_request_id"], owner.user_id)
    kept = (await upstream.house.stored(link.account)).kept
    assert {name: kept.get(name) for name in ("cloud_id", "site_name")} == {"cloud_id": "34cd", "site_name": None}


async def test_a_site_found_for_a_former_credential_is_not_kept_for_a_new_one(make: Maker) -> None:
    """While the provider is asked, the account is connected again, and works on another site."""
    upstream = await _made(make)
    house, release = upstream.house, asyncio.Event()

    class Slow(Sites):
        async def find(self, *found: Any) -> Any:
            await release.wait()
            return await super().find(*found)

    sites = house.holdfast.proxy.credentials._sites
    slow = Slow(sites._database, sites._factory)
    before = await house.stored(upstream.account)
    effective = await house.holdfast.database.transact(lambda tx: house.connections.effective(tx, upstream.connection))
    _answers(upstream.capture, ("12ab", "Acme"))
    asking = asyncio.ensure_future(slow.find(effective, before, house.credential().access))
    again = replace(house.credential(), kept={"cloud_id": "34cd", "site_name": "Rockets"})
    plan = Connecting(effective=effective, owner=before.owner, credential=again, intent="auto", actor=Actor.system())
    await house.accounts.connect(plan)
    release.set()
    assert await asking == {"cloud_id": "12ab", "site_name": "Acme"}
    assert (await house.stored(upstream.account)).kept == {"cloud_id": "34cd", "site_name": "Rockets"}


async def test_a_site_that_the_app_has_named_by_its_name_is_the_one_or_none(make: Maker) -> None:
    upstream = await _made(make)
    await upstream.house.holdfast.database.transact(
        lambda tx: store.save(tx, upstream.account.but(api_config={"site_name": "Acme"}))
    )
    _answers(upstream.capture, ("34cd", "Rockets"))
    told = await upstream.proxy("/issues")
    assert told.status_code in (400, 409) and "another site" in told.text
    assert _targets(upstream) == ["/sites"]
    upstream.capture.requests.clear()
    _answers(upstream.capture, ("34cd", "Rockets"), ("12ab", "Acme"))
    assert (await upstream.proxy("/issues")).content == b"called"
    assert _targets(upstream) == ["/sites", "/ex/12ab/issues"]

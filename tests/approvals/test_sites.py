"""Approval of calls to an account whose site, which is part of the path, is not known before the first of them."""

from dataclasses import replace

from holdfast.accounts import store as account_store
from holdfast.providers.entry import ConfigField
from tests.approvals.calling import approve, held, need
from tests.proxy.conftest import Maker, capture, client, make
from tests.proxy.test_sites import _answers, _made, _targets
from tests.tokens.house import built_house, house

__all__ = ["built_house", "capture", "client", "house", "make"]


async def test_the_site_is_asked_for_and_the_call_is_held_by_the_path_it_would_have(make: Maker) -> None:
    upstream = await _made(make)
    await need(upstream, "POST /ex/12ab/issues")
    _answers(upstream.capture, ("12ab", "Acme"))
    approval = await held(upstream, "/issues")
    assert await held(upstream, "/issues") == approval, "the site is known by now"
    assert _targets(upstream) == ["/sites"]
    await approve(upstream, approval)
    assert (await upstream.relay("/issues", "POST")).content == b"called"
    await held(upstream, "/issues")
    assert _targets(upstream) == ["/sites", "/ex/12ab/issues"]


async def test_a_call_that_was_approved_for_one_tenant_is_not_made_for_another(make: Maker) -> None:
    fields = {"tenant": ConfigField(scope="installation")}
    upstream = await make(api={"headers": {"X-Tenant": "{tenant}"}}, fields=fields)
    house = upstream.house

    async def move_to(tenant: str) -> None:
        account = replace(await house.stored(upstream.account), config={"tenant": tenant})
        await house.holdfast.database.transact(lambda tx: account_store.save(tx, account))

    await move_to("mine")
    await need(upstream, "POST *")
    approval = await held(upstream, "/charges")
    await approve(upstream, approval)
    await move_to("theirs")
    assert await held(upstream, "/charges") != approval
    assert upstream.capture.requests == []
    await move_to("mine")
    assert (await upstream.relay("/charges", "POST")).status_code == 200
    assert upstream.capture.last.header("x-tenant") == "mine"

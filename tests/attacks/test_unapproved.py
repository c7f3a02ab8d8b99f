"""Attack: an agent is talked into a call that a person has to approve, and tries to have it made all the same (security
list, row 15).

Its key is good, and what it asks for is allowed. What stands against it: the call waits, whatever way it is written;
what was looked at is what is made, and once; and nothing that the agent holds can approve it.
"""

import asyncio
from pathlib import Path

import pytest

from holdfast.connections.changes import Changes
from holdfast.errors import Refused
from holdfast.events import Action, Actor
from tests.attacks.test_talked_into import FORM, asks
from tests.parts.capture import capturing
from tests.parts.postgres import Postgres
from tests.proxy.conftest import capture
from tests.proxy.test_call_lane import Shop, opened, shop
from tests.tokens.house import second_process

__all__ = ["capture", "shop"]

ADA = Actor("administrator", "ada")


async def need(shop: Shop, *rules: str) -> None:
    await shop.house.connections.update(
        shop.house.environment_id, "github", "user", Changes(approval_rules=rules), Actor("operator")
    )


async def approve_all(shop: Shop) -> int:
    """Approve whatever waits, and return how much that was."""
    here, at = shop.house.holdfast.approvals, shop.house.environment_id
    waiting = await here.pending(at)
    for one in waiting:
        await here.approve(at, one.id, ADA)
    return len(waiting)


@pytest.mark.parametrize(
    "path",
    [
        "/repos/a/b",
        "/Repos/a/b",
        "/repos/a/b/",
        "/repos//a/b",
        "/%72epos/a/b",
        "/%2572epos/a/b",
        "/repos;x=y/a/b",
        "/repos/a/b.json",
        "/repos/a/b;x",
        "/repos/a/b?confirm=1",
        "/elsewhere%3F/../repos/a/b",
        "/elsewhere%3F",
        "/repos/a%252Fb",
        "/repos/a%2Fb",
        "//repos/a/b",
    ],
)
async def test_no_spelling_of_a_call_gets_round_approval(shop: Shop, path: str) -> None:
    await need(shop, "DELETE /repos/*/*")
    read = await shop.entries(Action.CREDENTIAL_READ)
    for told in await asks(shop, f"/relay/github{path}", "DELETE"):
        assert told.status in (400, 403)
        if told.status == 403:
            assert b'"approval_required"' in told.body
    assert shop.capture.requests == []
    assert await shop.entries(Action.CREDENTIAL_READ) == read


async def test_another_method_that_the_call_names_needs_approval_as_that_one(shop: Shop) -> None:
    await need(shop, "DELETE /repos/*/*")
    for query, kind, body in (("?_method=DELETE", "", b""), ("", FORM, b"a=b&_method=DELETE"), ("", "", b"_METHOD=x")):
        for told in await asks(shop, f"/relay/github/repos/a/b{query}", "POST", body, content_type=kind):
            assert (told.status, b'"approval_required"' in told.body) == (403, True), (query, body)
    assert shop.capture.requests == []
    for told in await asks(shop, "/relay/github/repos/a/b", "POST", b"{}"):
        assert told.status == 200


async def test_an_absolute_address_waits_as_its_path_does(shop: Shop) -> None:
    await need(shop, "POST /gists")
    for provider in ("", "github"):
        for told in await asks(shop, "/relay", x_relay_url=shop.capture.url + "/gists", x_relay_provider=provider):
            assert (told.status, b'"approval_required"' in told.body) == (403, True)
    assert shop.capture.requests == []


async def test_what_was_approved_is_not_a_pass_for_something_else(shop: Shop) -> None:
    await need(shop, "POST /gists", "POST /repos/**")
    assert (await shop.ask("/relay/github/gists", "POST", b'{"text":"hello"}')).status == 403
    assert await approve_all(shop) == 1
    other_body = await asks(shop, "/relay/github/gists", "POST", b'{"text":"the secrets"}')
    other_query = await asks(shop, "/relay/github/gists?public=1", "POST", b'{"text":"hello"}')
    other_path = await asks(shop, "/relay/github/repos/a/b/issues", "POST", b'{"text":"hello"}')
    other_header = await asks(shop, "/relay/github/gists", "POST", b'{"text":"hello"}', x_on_behalf_of="root")
    assert {told.status for told in other_body + other_query + other_path + other_header} == {403}
    assert shop.capture.requests == []
    assert [told.status for told in await asks(shop, "/relay/github/gists", "POST", b'{"text":"hello"}')] == [200, 403]
    assert len(shop.capture.requests) == 1


async def test_a_crowd_of_repeats_spends_an_approval_once(shop: Shop) -> None:
    await need(shop, "POST /gists")
    for _ in range(3):
        shop.capture.requests.clear()
        await shop.ask("/relay/github/gists", "POST", b"{}")
        assert await approve_all(shop) == 1
        crowd = await asyncio.gather(*(shop.ask("/relay/github/gists", "POST", b"{}") for _ in range(8)))
        assert sorted(told.status for told in crowd) == [200] + [403] * 7
        assert len(shop.capture.requests) == 1


async def test_two_processes_spend_an_approval_once(postgres: Postgres, tmp_path: Path) -> None:
    async with capturing() as upstream:
        async for here in opened(postgres.fresh_database(), tmp_path, upstream):
            async with second_process(here.house) as there:
                await here.ask("/relay/github/warm")
                upstream.requests.clear()
                await there.connections.update(
                    there.environment_id, "github", "user", Changes(approval_rules=("POST /gists",)), Actor("operator")
                )
                assert (await here.ask("/relay/github/gists", "POST")).status == 403, "it holds at once everywhere"
                assert await approve_all(here) == 1
                other = Shop(there, upstream, here.account, here.key)
                both = (
                    one.ask("/relay/github/gists", "POST", at_once=False) for one in (here, other) for _ in range(4)
                )
                assert sorted([told.status for told in await asyncio.gather(*both)]) == [200] + [403] * 7
                assert len(upstream.requests) == 1


async def test_the_key_that_asks_cannot_approve(shop: Shop) -> None:
    await need(shop, "POST /gists")
    await shop.ask("/relay/github/gists", "POST", b"{}")
    here, at = shop.house.holdfast.approvals, shop.house.environment_id
    (waiting,) = await here.pending(at)
    for who in (waiting.asked_by, Actor("end_user", shop.account.owner.user_id), Actor.system()):
        with pytest.raises(Refused):
            await here.approve(at, waiting.id, who)
    assert (await shop.ask("/relay/github/gists", "POST", b"{}")).status == 403


async def test_what_waits_is_sealed_and_no_entry_tells_of_it(shop: Shop) -> None:
    await need(shop, "POST /gists")
    await shop.ask("/relay/github/gists?q=whisper-1", "POST", b'{"text":"whisper-2"}', x_note="whisper-3")
    (waiting,) = await shop.house.holdfast.approvals.pending(shop.house.environment_id)
    assert b"whisper" not in waiting.seen.data
    assert "whisper" not in repr(waiting)
    assert "whisper" not in repr(await shop.house.entries(shop.account))

"""A connection some of whose calls need approval, and who asks and decides."""

import asyncio
from typing import Any

from holdfast.accounts import Owner
from holdfast.approvals import Approval, Approvals
from holdfast.connections.changes import Changes
from holdfast.events import Action, Actor, Entry
from tests.proxy.conftest import Upstream

ADA = Actor("administrator", "ada")


async def need(upstream: Upstream, *rules: str, **more: Any) -> None:
    """From now on calls that these rules take need approval."""
    house, name = upstream.house, upstream.connection.name
    changes = Changes(approval_rules=rules, **more)
    await house.connections.update(house.environment_id, name, "user", changes, Actor("operator"))


def approvals(upstream: Upstream) -> Approvals:
    return upstream.house.holdfast.approvals


async def pending(upstream: Upstream) -> list[Approval]:
    """Return what waits of this connection, oldest first."""
    found = await approvals(upstream).pending(upstream.house.environment_id)
    return [one for one in reversed(found) if one.connection_id == upstream.connection.id]


async def approve(upstream: Upstream, approval_id: str) -> Approval:
    return await approvals(upstream).approve(upstream.house.environment_id, approval_id, ADA)


async def held(upstream: Upstream, path: str, method: str = "POST", **more: Any) -> str:
    """Call, be told that approval is needed, and return its id."""
    answer = await upstream.relay(path, method, **more)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (403, "approval_required"), told
    (named,) = told["errors"]
    assert named["approval_id"] in told["message"]
    return str(named["approval_id"])


async def told(upstream: Upstream, *actions: Action) -> list[Entry]:
    return [one for one in await upstream.entries() if one.action in actions]


async def other_user(upstream: Upstream) -> str:
    account = await upstream.house.connect(upstream.connection, owner=Owner.user("user_another"))
    return account.owner.user_id


async def at_once(*calls: Any) -> list[Any]:
    return list(await asyncio.gather(*calls))

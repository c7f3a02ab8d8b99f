"""The page Approvals, with a call that really waits: looked at, approved, made; denied; and the field of the rules."""

import asyncio
from typing import Any

import httpx2

from holdfast.access.administrators import Role
from holdfast.accounts import Account, Given, OAuthCredential, Owner
from holdfast.connections import Connection
from holdfast.connections import store as connection_store
from holdfast.connections.changes import Changes
from holdfast.events import Action, Actor
from holdfast.secret import Secret
from tests.dashboard.desk import Desk, desk, words

__all__ = ["desk"]


class Shop:
    """A connection whose POSTs need approval, and an app with a key and one account."""

    def __init__(self, desk: Desk, connection: Connection, account: Account, key: str) -> None:
        self.desk, self.connection, self.account, self.key = desk, connection, account, key

    async def call(self, path: str = "/messages", body: str = '{"text":"hello"}') -> Any:
        headers = {"authorization": f"Bearer {self.key}", "x-relay-user": self.account.owner.user_id}
        async with httpx2.AsyncClient(base_url=self.desk.holdfast.config.base_url, timeout=20) as caller:
            return await caller.post(f"/relay/{self.connection.name}{path}", headers=headers, content=body)


async def opened(desk: Desk, name: str) -> Shop:
    here, who = desk.holdfast, Actor("operator")
    connection = await desk.sandbox_connection(name=name)
    at = here.environment.id
    changes = Changes(approval_rules=("POST *",))
    await here.connections.update(at, name, "user", changes, who)
    tokens = OAuthCredential(Secret("at"), Secret("rt"), expires_at=here.clock.now() + 3600, scopes=("read",))
    account = await here.keeping.create(at, name, Owner.user(f"user_{name}"), Given(credential=tokens), who)
    _, key = await here.keys.create(at, f"agent of {name}", who)
    return Shop(desk, connection, account, key.reveal())


async def test_a_call_is_looked_at_approved_on_the_page_and_made_once(desk: Desk) -> None:
    shop = await opened(desk, "first")
    told = (await shop.call("/messages?draft=no", "<b>hi</b> \u202eevil")).json()
    assert told["code"] == "approval_required"
    approval = told["errors"][0]["approval_id"]
    page = await desk.get("approvals")
    said = words(page)
    assert "/messages?draft=no" in said and "agent of first" in said and "user_first" in said
    assert "&lt;b&gt;hi&lt;/b&gt;" in page.text and "\u202e" not in page.text and "\\u202e" in page.text
    assert "SHA-256" in words(await desk.get(f"approvals/{approval}"))
    done = await desk.send(page, f"approvals/{approval}/approve")
    assert "Approved, for this one call" in words(done) and "Nothing waits" in words(done)
    made = await shop.call("/messages?draft=no", "<b>hi</b> \u202eevil")
    assert "x-holdfast-upstream-status" in made.headers
    assert (await shop.call("/messages?draft=no", "<b>hi</b> \u202eevil")).json()["code"] == "approval_required"
    again = await desk.send(page, f"approvals/{approval}/approve")
    assert again.status == 409
    (granted,) = [one for one in await desk.entries(Action.PROXY_APPROVAL_GRANTED) if one.data["approval"] == approval]
    assert granted.actor.kind == "administrator"
    story = words(await desk.get("activity"))
    assert "asked for approval of POST /" in story and "Ada approved POST /" in story


async def test_a_call_is_denied_on_the_page(desk: Desk) -> None:
    shop = await opened(desk, "second")
    approval = (await shop.call()).json()["errors"][0]["approval_id"]
    page = await desk.get("approvals")
    assert "refused without asking" in words(await desk.send(page, f"approvals/{approval}/deny"))
    assert (await shop.call()).json()["code"] == "approval_denied"
    assert "Ada denied POST /" in words(await desk.get("activity"))


async def test_what_is_not_shown_whole_is_not_approved_from_the_list(desk: Desk) -> None:
    shop = await opened(desk, "third")
    approval = (await shop.call(body="x" * 40_000)).json()["errors"][0]["approval_id"]
    page = await desk.get("approvals")
    assert f"approvals/{approval}/approve" not in page.text and "Look at all of it" in page.text
    one = await desk.get(f"approvals/{approval}")
    assert "bytes are not kept here" in words(one) and f"approvals/{approval}/approve" in one.text
    await desk.send(page, f"approvals/{approval}/deny")


async def test_who_only_looks_neither_sees_nor_decides(desk: Desk) -> None:
    shop = await opened(desk, "fourth")
    approval = (await shop.call()).json()["errors"][0]["approval_id"]
    viewer = await desk.as_role(Role.VIEWER)
    page = await viewer.get()
    assert "Approvals" not in page.text
    assert (await viewer.get("approvals")).status == 403
    assert (await viewer.get(f"approvals/{approval}")).status == 403
    assert (await viewer.send(page, f"approvals/{approval}/approve")).status == 403
    forged = await asyncio.to_thread(
        desk.browser.post_form, f"{desk.base}/approvals/{approval}/approve", {"csrf": "x"}, from_page=page
    )
    assert forged.status == 403
    assert (await shop.call()).json()["code"] == "approval_required"


async def test_approval_rules_are_typed_checked_kept_and_told_of(desk: Desk) -> None:
    connection, sandbox = await desk.sandbox_connection(name="fifth"), desk.holdfast.sandbox
    assert sandbox is not None
    path, client_id = f"connections/{connection.id}", sandbox.client_id
    page = await desk.get(path)
    assert "Calls that need approval, each" in words(page)

    async def kept() -> tuple[str, ...]:
        at = desk.holdfast.environment.id
        found = await desk.holdfast.database.transact(lambda tx: connection_store.by_id(tx, at, connection.id))
        assert found is not None
        return found.approval_rules

    await desk.send(page, path, client_id=client_id, approval_rules="DELETE   *\r\n\r\n POST /v1/refunds \r\n")
    assert await kept() == ("DELETE *", "POST /v1/refunds")
    assert "DELETE *\nPOST /v1/refunds</textarea>" in (await desk.get(path)).text
    assert "which calls need approval" in words(await desk.get("activity"))
    await desk.send(page, path, client_id=client_id)
    assert await kept() == ("DELETE *", "POST /v1/refunds"), "a form without the field leaves them"
    answer = await desk.send(page, path, client_id=client_id, approval_rules="get /a")
    assert answer.status == 422 and 'id="approval_rules-problem">rule 1 (get /a)' in answer.text
    await desk.send(page, path, client_id=client_id, approval_rules="")
    assert await kept() == ()

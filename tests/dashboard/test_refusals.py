"""Every form of the dashboard, found by its routes and sent about things that exist: refused in words, and nothing has
changed, for a viewer, for a form without its token, and for one of another session."""

import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select
from starlette.routing import Route

from holdfast.access import redirect_uris
from holdfast.access.administrators import Role
from holdfast.access.widgets import registering
from holdfast.accounts import Given, OAuthCredential, Owner
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.dashboard import Dashboard
from holdfast.doors import dashboard_parts
from holdfast.secret import Secret
from holdfast.storage.tables import metadata
from tests.dashboard.conftest import Place, connect_sandbox
from tests.dashboard.furniture import ask_for_approval
from tests.dashboard.person import PASSWORD, Person, owner_of, person, with_role
from tests.dashboard.test_roles import OPEN

OWN = {"POST me"}
"""What a viewer may do: change their own password."""

AFTER_SIGN_IN = (*OPEN, "/dashboard/{rest:path}")
_BY_ITSELF = {
    "administrator_sessions",
    "checkpoint_keys",
    "checkpoints",
    "deliveries",
    "log_cursors",
    "seals",
    "usage_hours",
}
"""Tables that change while nobody does anything."""

_ENDS = re.compile(r"delete|disconnect|many|refresh")
"""Acts after which others have nothing to act on."""

FIELDS: dict[str, str | list[str]] = {
    "name": "changed",
    "client_name": "changed",
    "email": "changed@example.com",
    "role": "developer",
    "uri": "https://changed.example.com/back",
    "origin": "https://changed.example.com",
    "url": "https://changed.example.com/hook",
    "dialect": "both",
    "event": "pipes.connected_account.connected",
    "user_verification": "custom",
    "user_verify_url": "https://changed.example.com/confirm",
    "go": "save",
    "unused_days": "1",
    "expired_days": "1",
    "identifier": "user_changed",
    "metadata": "changed=yes",
    "description": "changed",
    "client_id": "changed-client",
    "client_secret": "changed-secret",
    "act": "suspend",
    "slug": "changed",
    "auth": "api_key",
    "old_password": PASSWORD,
    "password": "another horse battery",
}


@dataclass(frozen=True)
class World:
    place: Place
    paths: dict[str, str]
    """Route as the router has it: the same with ids of things that exist."""
    fields: dict[str, dict[str, str | list[str]]]

    def posts(self) -> list[tuple[str, str, dict[str, str | list[str]]]]:
        """Return every act's name, address and a form that would do something."""
        return [
            (name, path, FIELDS | self.fields.get(name, {})) for name, path in self.paths.items() if name not in OWN
        ]

    async def state(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all that is kept, but for what changes by itself."""

        def work(tx: Any) -> dict[str, list[tuple[Any, ...]]]:
            return {
                name: sorted((tuple(row) for row in tx.execute(select(table))), key=repr)
                for name, table in metadata.tables.items()
                if name not in _BY_ITSELF
            }

        return await self.place.holdfast.database.transact(work)


def _path(route: str, ids: dict[str, str]) -> str:
    """Return a route's path with an id of something that exists, or with one of nothing where nothing does."""
    known = next((ids[prefix] for prefix in sorted(ids, key=len, reverse=True) if f"/{prefix}/{{" in route), "nothing")
    path = route.replace("{environment}", "default").replace("{connection}", ids["connections"])
    return re.sub(r"\{\w+\}", known, path.replace("{slug}", "sandbox"))


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    config = Config(dev=True, data_dir=tmp_path_factory.mktemp("refusals"), port=0)
    async with running(config) as (h, _):
        owner = await owner_of(h)
        people = {role: await with_role(h, owner, role) for role in (Role.ADMIN, Role.DEVELOPER, Role.VIEWER)}
        place = Place(h, owner, {Role.OWNER: owner, **people}, await connect_sandbox(h, owner))
        actor, here = owner.actor(), h.environment.id
        invited, _link = await h.people.invite("invited@example.com", Role.VIEWER, owner)
        uri, _first = await redirect_uris.register(h.database, h.clock, here, "https://a.example/back", actor)
        origin = await registering.register(h.database, h.clock, here, "https://a.example", actor)
        key, _secret = await h.keys.create(here, "a key", actor)
        client, _secret = await h.clients.create(here, "a client", actor)
        tokens = OAuthCredential(Secret("at_1"), Secret("rt_1"), expires_at=h.clock.now() + 3600, scopes=("read",))
        account = await h.keeping.create(here, "sandbox", Owner.user("ada"), Given(credential=tokens), actor)
        async with await place.as_role(Role.OWNER) as someone:
            made = await someone.post("/dashboard/default/webhooks/new", FIELDS | {"url": "https://a.example/hook"})
            found = re.search(r"webhooks/(\w{26})", made.headers.get("location", "") + made.text)
            assert found, made.text
        ids = {
            "accounts": account.id,
            "approvals": await ask_for_approval(h, account, 0),
            "connections": place.connection.id,
            "keys": key.id,
            "keys/clients": client.id,
            "people": people[Role.ADMIN].id,
            "people/invitations": invited.id,
            "settings/redirect-uris": uri.id,
            "settings/origins": origin.id,
            "webhooks": found[1],
        }
        paths = {
            "POST " + route.path.removeprefix("/dashboard/{environment}/"): _path(route.path, ids)
            for route in Dashboard(dashboard_parts(h)).routes()
            if isinstance(route, Route) and "POST" in (route.methods or ()) and route.path not in AFTER_SIGN_IN
        }
        fields: dict[str, dict[str, str | list[str]]] = {
            "POST accounts/many/begin": {"account": [account.id]},
            "POST accounts/many": {"account": [account.id]},
            "POST webhooks/{id}": {"url": "https://moved.example.com/hook"},
            "POST connections/{id}/delete": {"name": place.connection.name},
        }
        yield World(place, paths, fields)


async def _unchanged(world: World, sender: Person, csrf: str | None, headers: dict[str, str] | None = None) -> None:
    before, wrong = await world.state(), []
    for name, path, fields in world.posts():
        reply = await sender.post(path, fields, csrf=csrf, headers=headers)
        # A page for people, in words, and not a bare status or a trace.
        page = reply.headers.get("content-type", "").startswith("text/html") and "That is not possible" in reply.text
        if reply.status_code != 403 or not page or "Traceback" in reply.text:
            wrong.append((name, reply.status_code))
    assert wrong == []
    assert await world.state() == before


async def test_a_viewer_is_told_so_and_changes_nothing(world: World) -> None:
    async with await world.place.as_role(Role.VIEWER) as viewer:
        await _unchanged(world, viewer, None)
        reply = await viewer.post(world.paths["POST people/{id}/disable"])
        assert "Your role (viewer) does not let you do this: ask an owner or an admin." in reply.text


@pytest.mark.parametrize("token", ["", "0" * 64], ids=["none", "another"])
async def test_a_form_without_its_sessions_token_changes_nothing(world: World, token: str) -> None:
    async with await world.place.as_role(Role.OWNER) as owner:
        await _unchanged(world, owner, token)


async def test_a_form_of_another_site_changes_nothing(world: World) -> None:
    async with await world.place.as_role(Role.OWNER) as owner:
        await _unchanged(world, owner, None, {"sec-fetch-site": "cross-site"})


async def test_a_form_that_is_not_text_or_too_large_is_refused_in_words(world: World) -> None:
    async with await world.place.as_role(Role.OWNER) as owner:
        before = await world.state()
        for name, path, _fields in world.posts():
            for body in (b"\xff\xfe=\xff", b"&".join(b"a=1" for _ in range(3000)), b"a=" + b"x" * 300_000):
                headers = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
                reply = await owner.client.post(path, content=body, headers=headers)
                assert reply.status_code in (403, 422), name
                assert "That is not possible" in reply.text, name
        assert await world.state() == before


MISTAKES: list[tuple[str, dict[str, str | list[str]], str]] = [
    ("POST accounts/new/{connection}", {"identifier": "x" * 257}, "identifier"),
    ("POST accounts/{id}/labels", {"metadata": "no pairs here"}, "metadata"),
    ("POST accounts/{id}/labels", {"metadata": "", "api_config": "[1"}, "api_config"),
    ("POST connections/new/{slug}", {"client_id": "", "description": "kept words"}, "client_id"),
    ("POST connections/new/{slug}", {"client_id": "an-id", "description": "kept words"}, "client_secret"),
    (
        "POST connections/new/{slug}",
        {"client_id": "an-id", "client_secret": "s", "client_supply": "organization"},
        "client_id",
    ),
    ("POST connections/new/{slug}", {"client_id": "an-id", "client_secret": "s", "name": "Not a name"}, "name"),
    ("POST connections/new/{slug}", {"client_id": "an-id", "client_secret": "s", "description": "one more"}, "name"),
    (
        "POST connections/new/{slug}",
        {"client_id": "an-id", "client_secret": "s", "name": "spare", "more_scopes": "read all\\users"},
        "more_scopes",
    ),
    ("POST connections/{id}", {"client_id": "", "client_secret": "new", "description": "kept words"}, "client_id"),
    ("POST connections/{id}", {"client_id": "another", "description": "kept words"}, "client_secret"),
    ("POST accounts/new/{connection}", {"identifier": "user_9", "organization": "x" * 257}, "organization"),
    ("POST connections/{id}/delete", {"name": "another name"}, "name"),
    ("POST providers/custom/new", {"step": "details", "name": "", "slug": "Not a slug"}, "name"),
    ("POST /dashboard/environments", {"name": "Not A Name"}, "name"),
    ("POST keys", {"name": "x" * 101}, "name"),
    ("POST keys/clients", {"client_name": "x" * 101}, "client_name"),
    ("POST people", {"email": "nobody at all", "role": "viewer"}, "email"),
    ("POST settings/clean-up", {"unused_days": "many", "expired_days": "7"}, "unused_days"),
    ("POST settings/redirect-uris", {"uri": "javascript:alert(1)"}, "uri"),
    ("POST settings/origins", {"origin": "https://a.example/path"}, "origin"),
    ("POST webhooks/new", {"url": "ftp://a.example", "event": ["pipes.connected_account.connected"]}, "url"),
    ("POST webhooks/{id}", {"url": "not a url", "event": ["pipes.connected_account.connected"]}, "url"),
]


@pytest.mark.parametrize(("name", "fields", "wrong"), MISTAKES, ids=[f"{name} {wrong}" for name, _, wrong in MISTAKES])
async def test_a_mistake_is_told_beside_its_field_and_what_was_typed_is_kept(
    world: World, name: str, fields: dict[str, str | list[str]], wrong: str
) -> None:
    async with await world.place.as_role(Role.OWNER) as owner:
        before = await world.state()
        reply = await owner.post(world.paths[name], fields)
        assert 400 <= reply.status_code < 500, reply.status_code
        assert "That is not possible" not in reply.text
        assert f'id="{wrong}-problem"' in reply.text
        assert 'aria-invalid="true"' in reply.text
        for field, typed in fields.items():
            if isinstance(typed, str) and typed and field not in ("client_secret", "step"):
                kept = html.escape(typed)
                assert kept in reply.text, field
        assert await world.state() == before


async def test_a_mistake_in_a_field_that_the_page_does_not_have_is_told_above_it(world: World) -> None:
    """Sent by hand: a setting that each account has of its own, and the form does not ask for."""
    async with await world.place.as_role(Role.OWNER) as owner:
        fields = {
            "client_id": "an-id",
            "client_secret": "s",
            "config.subdomain": "evil.example/",
            "description": "kept words",
        }
        reply = await owner.post("/dashboard/default/connections/new/zendesk", fields)
    assert reply.status_code == 422
    assert re.search(r'role="alert">[^<]*subdomain', reply.text)
    assert "kept words" in reply.text


async def test_the_same_forms_by_an_owner_do_change_what_is_kept(world: World) -> None:
    """The last here, as it leaves little as it was: without it the tests above could be about forms that do nothing."""
    did = set()
    async with await person(world.place.holdfast, world.place.owner) as owner:
        for name, path, fields in sorted(world.posts(), key=lambda post: bool(_ENDS.search(post[0]))):
            before = await world.state()
            reply = await owner.post(path, fields)
            assert reply.status_code not in (401, 403) and reply.status_code < 500, (name, reply.status_code)
            if await world.state() != before:
                did.add(name)
    idle = {name for name, _, _ in world.posts()} - did
    assert idle <= {
        "POST accounts/many",  # asks first
        "POST accounts/many/{errand}/stop",  # there is none
        "POST accounts/{id}/refresh",
        "POST accounts/{id}/resume",
        "POST connections/new/{slug}",  # more fields than fit every form
        "POST connections/{id}/check",  # asks the provider
        "POST providers/custom/new",  # in steps
        "POST providers/custom/{slug}/edit",
        "POST providers/custom/{slug}/delete",
        "POST webhooks/{id}/replay",
        "POST webhooks/{id}/deliveries/{delivery}/replay",
    }, idle

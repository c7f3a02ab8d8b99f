"""Testing a connection: what a real OpenID provider and the sandbox say of a client, a secret and a redirect URI."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from holdfast.connections import ClientFactory, Connection
from holdfast.connections import store as connection_store
from holdfast.connections.changes import NewConnection
from holdfast.connections.checkup import Check, CheckUp, judge_redirect, scope_checks
from holdfast.connections.clients import ClientInput
from holdfast.connections.connection import OwnerKind
from holdfast.events import Actor
from holdfast.http import Reply
from holdfast.ids import opaque
from holdfast.oauth2.dialect import Dialect
from holdfast.providers.entry import Provider
from holdfast.secret import Secret
from tests.dashboard.desk import Desk, desk_on, sqlite_desk, words
from tests.parts.emulate import Emulators
from tests.parts.oidc_provider import OidcProvider

__all__ = ["sqlite_desk"]
OURS = "https://connect.example.com/data-integrations/x/dik_1/callback"


async def _connection(desk: Desk, token_url: str, authorize_url: str, client: ClientInput) -> Connection:
    entry = Provider(
        slug=f"custom-{opaque(12).lower()}",
        name="Acme",
        auth="oauth2",
        custom=True,
        oauth2=Dialect(authorize_url=authorize_url, token_url=token_url, pkce="required", scopes=("openid",)),
    )
    return await desk.holdfast.connections.create(
        desk.holdfast.environment.id,
        NewConnection(provider_slug=entry.slug, client_supply="custom", client=client, enabled=True, definition=entry),
        Actor.system(),
    )


async def _checked(desk: Desk, connection: Connection, base_url: str = "") -> dict[str, Check]:
    rooms = desk.holdfast

    def read(tx: Any) -> Any:
        effective = rooms.connections.effective(tx, connection)
        return effective, connection_store.client(tx, connection.environment_id, effective.client_ref or "")

    effective, client = await rooms.database.transact(read)
    factory = ClientFactory(rooms.vault, rooms.outbound, rooms.clock, base_url or rooms.config.base_url)
    return {one.name: one for one in await CheckUp(factory).run(effective, client)}


def _of(provider: OidcProvider, secret: str = "") -> ClientInput:
    return ClientInput(provider.client_id, Secret(secret or provider.client_secret))


@pytest.mark.node
async def test_a_good_client_and_redirect_uri_at_an_openid_provider(
    sqlite_desk: Desk, oidc_provider: OidcProvider
) -> None:
    connection = await _connection(
        sqlite_desk, oidc_provider.token_url, oidc_provider.authorize_url, _of(oidc_provider)
    )
    found = await _checked(sqlite_desk, connection)
    assert found["Client id and secret"].finding == "good", found
    assert found["Redirect URI"].finding in ("good", "unknown"), found


@pytest.mark.node
async def test_a_wrong_secret_and_a_wrong_redirect_uri_are_told_apart(
    sqlite_desk: Desk, oidc_provider: OidcProvider
) -> None:
    connection = await _connection(
        sqlite_desk, oidc_provider.token_url, oidc_provider.authorize_url, _of(oidc_provider, "not-the-secret")
    )
    found = await _checked(sqlite_desk, connection)
    assert found["Client id and secret"].finding == "bad"
    assert "Redirect URI" in found
    assert found["Redirect URI"].finding != "bad"
    connection = await _connection(
        sqlite_desk, oidc_provider.token_url, oidc_provider.authorize_url, _of(oidc_provider)
    )
    found = await _checked(sqlite_desk, connection, "https://elsewhere.example.com")
    assert found["Client id and secret"].finding == "good"
    assert found["Redirect URI"].finding == "bad"
    assert "https://elsewhere.example.com/data-integrations/" in found["Redirect URI"].advice


@pytest.mark.node
async def test_a_client_id_that_the_provider_does_not_know(sqlite_desk: Desk, oidc_provider: OidcProvider) -> None:
    client = ClientInput("nobody", Secret("nothing"))
    connection = await _connection(sqlite_desk, oidc_provider.token_url, oidc_provider.authorize_url, client)
    found = await _checked(sqlite_desk, connection)
    assert found["Client id and secret"].finding == "bad"
    assert found["Consent page"].finding == "bad"


async def test_endpoints_that_cannot_be_reached(sqlite_desk: Desk) -> None:
    gone = "http://127.0.0.1:9"
    connection = await _connection(sqlite_desk, f"{gone}/token", f"{gone}/auth", ClientInput("a", Secret("b")))
    found = await _checked(sqlite_desk, connection)
    assert found["Token endpoint"].finding == found["Consent page"].finding == "bad"


async def test_the_page_shows_what_is_wrong_and_what_to_do_and_no_secret(sqlite_desk: Desk) -> None:
    connection = await sqlite_desk.sandbox_connection(
        secret="a-wrong-secret", scopes=["read"], required_scopes=["write"]
    )
    page = await sqlite_desk.get(f"connections/{connection.id}")
    page = await sqlite_desk.send(page, f"connections/{connection.id}/check")
    said = words(page)
    assert page.status == 200
    assert "Wrong Client id and secret" in said
    assert "invalid_client" in said
    assert "Required, and not asked for: write" in said
    assert "Without the scope offline" in said
    assert "a-wrong-secret" not in page.text
    entries = await asyncio.to_thread(lambda: sqlite_desk.browser.visited)
    assert not [url for url in entries if "wrong-secret" in url]


async def test_a_rotation_half_done_is_told_from_a_wrong_secret(sqlite_desk: Desk) -> None:
    connection = await sqlite_desk.sandbox_connection(owner_kind="organization")
    page = await sqlite_desk.get(f"connections/{connection.id}")
    sandbox = sqlite_desk.holdfast.sandbox
    assert sandbox is not None
    await sqlite_desk.send(
        page,
        f"connections/{connection.id}",
        client_id=sandbox.client_id,
        client_secret="a-new-secret",
        scope__read="asked",
    )
    page = await sqlite_desk.send(page, f"connections/{connection.id}/check")
    assert "The former secret still works" in words(page)


def _provider(**more: Any) -> Provider:
    dialect = Dialect(authorize_url="https://a.example/auth", token_url="https://a.example/token")
    return replace(Provider(slug="a", name="Acme", auth="oauth2", oauth2=dialect), **more)


@pytest.mark.parametrize(
    ("reply", "finding"),
    [
        (Reply(302, {"location": OURS + "?error=login_required&state=x"}), "good"),
        (Reply(302, {"location": OURS + "?error=invalid_scope"}), "bad"),
        (
            Reply(302, {"location": "https://a.example/login?redirect_uri=https%3A%2F%2Fnot-registered"}),
            "unknown",
        ),
        (Reply(302, {"location": "/error?message=The+redirect_uri+does+not+match"}), "bad"),
        (Reply(200, {}, b"<h1>Sign in</h1><script>redirect_uri mismatch</script>"), "unknown"),
        (Reply(400, {}, b"<p>Error 400: redirect_uri_mismatch</p>"), "bad"),
        (Reply(200, {}, b"<p>The redirect URI provided is not registered with this application.</p>"), "bad"),
        (Reply(400, {}, b"bad request"), "unknown"),
        (Reply(503, {}, b"redirect"), "unknown"),
    ],
)
def test_a_consent_pages_first_answer_is_judged_and_login_pages_tell_nothing(reply: Reply, finding: str) -> None:
    assert judge_redirect(OURS, reply).finding == finding


def test_offline_access_is_judged_by_what_is_known_of_the_provider() -> None:
    def offline(provider: Provider, *scopes: str) -> str:
        connection = Connection(
            environment_id="e", id="c", name="a", owner_kind="user", provider_slug="a", method="oauth",
            callback_key="k", created_at=0, updated_at=0,
        )  # fmt: skip
        return scope_checks(provider, connection, scopes)[0].finding

    needs = _provider(scope_help={"offline_access": "Stay connected"})
    assert offline(needs, "read") == "bad"
    assert offline(needs, "read", "offline_access") == "good"
    dialect = needs.oauth2
    assert dialect is not None
    sends = replace(needs, scope_help={}, oauth2=replace(dialect, authorize_params={"access_type": "offline"}))
    assert offline(sends) == "good"
    assert offline(_provider()) == "unknown"


@pytest.mark.node
async def test_at_emulators_of_real_vendors_a_wrong_secret_is_told_from_a_good_one(
    tmp_path: Path, emulators: Emulators
) -> None:
    async with desk_on(tmp_path, provider_origins=emulators.provider_origins()) as desk:
        for slug in ("github", "google"):
            good = emulators[slug]
            pairs: tuple[tuple[OwnerKind, str], ...] = (("user", good.client_secret), ("organization", "wrong"))
            for kind, secret in pairs:
                connection = await desk.holdfast.connections.create(
                    desk.holdfast.environment.id,
                    NewConnection(
                        provider_slug=slug,
                        owner_kind=kind,
                        client_supply="custom",
                        client=ClientInput(good.client_id, Secret(secret)),
                        enabled=True,
                    ),
                    Actor.system(),
                )
                found = await _checked(desk, connection)
                assert found["Client id and secret"].finding == ("good" if kind == "user" else "bad")
                assert found["Redirect URI"].finding == "unknown"  # they ask to sign in first
                assert found["Offline access"].finding == "good"

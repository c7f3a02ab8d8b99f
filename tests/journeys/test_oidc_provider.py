"""Journeys at a certified OpenID provider that rotates strictly: a refresh token used twice ends the whole grant, so
that a second request, of whichever caller or process, could not go unnoticed."""

import asyncio
from collections.abc import Callable

import httpx2
import pytest
from workos import WorkOSError

from tests.journeys.journey import FAILED, RETURN_TO, Journey, new, query
from tests.parts.oidc_provider import OidcProvider
from tests.parts.server import HoldfastProcess

pytestmark = pytest.mark.node

Begin = Callable[..., Journey]
LIFE = 2
"""Seconds that a token lives which is to be seen to end."""


def whoami(provider: OidcProvider, access_token: str) -> str | None:
    """Ask the provider itself whose token this is; None if it does not take it."""
    reply = httpx2.get(provider.userinfo_url, headers={"authorization": f"Bearer {access_token}"})
    return str(reply.json()["sub"]) if reply.status_code == 200 else None


async def connected_to_expire(
    journey: Journey, oidc_provider: OidcProvider, provider: dict[str, str]
) -> tuple[str, str]:
    """Connect a user whose first token ends at once and whose next ones do not. Return slug and user id."""
    slug, user = await journey.define(**provider), new("user")
    oidc_provider.set_access_ttl(LIFE)
    assert "error" not in await journey.connect(slug, user)
    oidc_provider.set_access_ttl(3600)
    await asyncio.sleep(LIFE + 0.2)
    return slug, user


async def test_an_account_lives_from_consent_to_disconnection(
    journey_on: Begin, any_server: HoldfastProcess, oidc_provider: OidcProvider, provider: dict[str, str]
) -> None:
    journey = journey_on(any_server)
    slug, user = await journey.define(**provider), new("user")
    oidc_provider.set_access_ttl(LIFE)
    assert (await journey.connect(slug, user)).keys() == {"state"}
    first = await journey.token(slug, user)
    assert whoami(oidc_provider, first) == "ada"

    seen = [first]
    for life in (LIFE, 3600):  # a second refresh works only if the first one's new refresh token was kept
        await asyncio.sleep(LIFE + 0.2)
        oidc_provider.set_access_ttl(life)
        before = oidc_provider.refreshes()
        seen.append(await journey.token(slug, user))
        assert oidc_provider.refreshes() - before == 1
        assert whoami(oidc_provider, seen[-1]) == "ada"
    assert len(set(seen)) == 3
    before = oidc_provider.refreshes()
    assert await journey.token(slug, user) == seen[-1]
    assert oidc_provider.refreshes() == before, "a token that lives is not refreshed"

    await journey.sdk.pipes.delete_user_connected_account(user, slug)
    assert await journey.refused(slug, user) == "not_installed"
    assert await journey.events(user) == ["connected", "disconnected"]


async def test_an_owner_who_takes_the_consent_back_is_asked_again(
    journey_on: Begin, sqlite_server: HoldfastProcess, oidc_provider: OidcProvider, provider: dict[str, str]
) -> None:
    journey = journey_on(sqlite_server)
    slug, user = await connected_to_expire(journey, oidc_provider, provider)
    account = await journey.sdk.pipes.get_user_connected_account(user, slug)
    assert oidc_provider.revoke_all() >= 1
    before = oidc_provider.refreshes()
    assert await journey.refused(slug, user) == "needs_reauthorization"
    assert await journey.state(slug, user) == "needs_reauthorization"
    asked = oidc_provider.refreshes() - before
    assert await journey.refused(slug, user) == "needs_reauthorization"
    assert oidc_provider.refreshes() - before == asked, "a dead grant is left in peace"
    assert await journey.events(user) == ["connected", "reauthorization_needed"]

    assert "error" not in await journey.connect(slug, user)
    assert whoami(oidc_provider, await journey.token(slug, user)) == "ada"
    again = await journey.sdk.pipes.get_user_connected_account(user, slug)
    assert (again.id, await journey.state(slug, user)) == (account.id, "connected")
    assert await journey.events(user) == ["connected", "reauthorization_needed", "connected"]


async def test_fifty_readers_of_an_expired_token_cause_one_refresh(
    journey_on: Begin, any_server: HoldfastProcess, oidc_provider: OidcProvider, provider: dict[str, str]
) -> None:
    journey = journey_on(any_server)
    slug, user = await connected_to_expire(journey, oidc_provider, provider)
    before = oidc_provider.refreshes()
    tokens = await asyncio.gather(*(journey.token(slug, user) for _ in range(50)))
    assert oidc_provider.refreshes() - before == 1
    assert len(set(tokens)) == 1
    assert whoami(oidc_provider, tokens[0]) == "ada"


async def test_two_servers_on_one_database_cause_one_refresh(
    journey_on: Begin,
    postgres_servers: tuple[HoldfastProcess, HoldfastProcess],
    oidc_provider: OidcProvider,
    provider: dict[str, str],
) -> None:
    one = journey_on(postgres_servers[0])
    other = journey_on(postgres_servers[1], api_key=postgres_servers[0].api_key)
    slug, user = await connected_to_expire(one, oidc_provider, provider)
    before = oidc_provider.refreshes()
    tokens = await asyncio.gather(*(journey.token(slug, user) for _ in range(25) for journey in (one, other)))
    assert oidc_provider.refreshes() - before == 1
    assert len(set(tokens)) == 1
    assert whoami(oidc_provider, tokens[0]) == "ada"
    assert await other.events(user) == ["connected"]


async def test_a_session_bound_account_is_stored_when_its_app_finishes(
    journey_on: Begin, any_server: HoldfastProcess, oidc_provider: OidcProvider, provider: dict[str, str]
) -> None:
    journey = journey_on(any_server)
    slug, user = await journey.define(**provider), new("user")
    known = await journey.sdk.user_management.list_redirect_uris()
    if all(item.uri != RETURN_TO for item in known.data):
        await journey.sdk.user_management.create_redirect_uri(uri=RETURN_TO)
    verifier, challenge = journey.new_verifier()
    link = await journey.sdk.pipes.authorize_data_integration(
        slug, user_id=user, return_to=RETURN_TO, code_challenge=challenge, code_challenge_method="S256"
    )
    landed = query(await journey.browser.walk_async(link.url, stop_at=RETURN_TO))
    assert landed.keys() == {"connect_code", "state"}
    assert landed["state"] == link.state
    assert await journey.refused(slug, user) == "not_installed"

    done = await journey.sdk.pipes.finish_connection(connect_code=landed["connect_code"], code_verifier=verifier)
    assert done.connected_account.user_id == user
    assert whoami(oidc_provider, await journey.token(slug, user)) == "ada"
    with pytest.raises(WorkOSError) as refused:
        await journey.sdk.pipes.finish_connection(connect_code=landed["connect_code"], code_verifier=verifier)
    assert refused.value.code == "invalid_connect_code"


async def test_an_owner_who_says_no_is_brought_back_with_the_reason(
    journey_on: Begin, sqlite_server: HoldfastProcess, oidc_provider: OidcProvider, provider: dict[str, str]
) -> None:
    journey = journey_on(sqlite_server)
    slug, user = await journey.define(**provider), new("user")
    oidc_provider.set_deny(True)
    landed = await journey.connect(slug, user)
    assert (landed["error"], landed["error_description"]) == ("access_denied", "The user said no.")
    assert await journey.refused(slug, user) == "not_installed"
    assert await journey.events(user, [FAILED]) == ["connection_failed"]


async def test_the_client_secret_may_go_in_the_body(
    journey_on: Begin, sqlite_server: HoldfastProcess, oidc_provider: OidcProvider, provider: dict[str, str]
) -> None:
    journey = journey_on(sqlite_server)
    slug, user = await journey.define(**provider, basic=False), new("user")
    before = oidc_provider.counts()
    oidc_provider.set_access_ttl(LIFE)
    assert "error" not in await journey.connect(slug, user)
    await asyncio.sleep(LIFE + 0.2)
    assert whoami(oidc_provider, await journey.token(slug, user)) == "ada"
    after = oidc_provider.counts()
    asked = {kind: after[kind] - before.get(kind, 0) for kind in ("authorization_code", "refresh_token")}
    assert asked == {"authorization_code": 1, "refresh_token": 1}, "nothing was tried twice"


async def test_a_wrong_client_secret_is_told_and_can_be_put_right(
    journey_on: Begin, sqlite_server: HoldfastProcess, oidc_provider: OidcProvider, provider: dict[str, str]
) -> None:
    journey = journey_on(sqlite_server)
    slug, user = await journey.define(**{**provider, "client_secret": "another+secret"}), new("user")
    landed = await journey.connect(slug, user)
    assert landed["error"] == "invalid_client_id"
    assert await journey.refused(slug, user) == "not_installed"

    right = journey.credentials(provider["client_id"], provider["client_secret"])
    await journey.sdk.pipes.update_data_integration(slug, credentials=right)
    assert "error" not in await journey.connect(slug, user)
    assert whoami(oidc_provider, await journey.token(slug, user)) == "ada"

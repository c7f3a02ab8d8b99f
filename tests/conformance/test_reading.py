"""Reading credentials: live tokens, refreshed on the way, and what is said where there is none."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from workos import AuthorizationError, NotFoundError, UnprocessableEntityError
from workos.common.models import (
    ApiKeyDataIntegrationVendedCredential,
    ClientCredentialsDataIntegrationVendedCredential,
    OAuthDataIntegrationVendedCredential,
)

from tests.conformance.app import ALL_SCOPES, App
from tests.conformance.report import proves
from tests.conformance.sdk import Sdk, value


@proves("pipes.get_access_token")
async def test_a_token_is_live_at_the_provider_and_says_until_when(app: App, sdk: Sdk) -> None:
    slug, user = await app.sandbox_integration(), app.new("user")
    await app.connect(slug, user_id=user)

    reply = await sdk.pipes.get_access_token(slug, user_id=user)

    assert reply.active is True
    assert reply.error is None
    token = reply.access_token
    assert token.object == "access_token"
    assert (set(token.scopes), token.missing_scopes) == (set(ALL_SCOPES), [])
    admitted = app.sandbox.admits(token.access_token)
    assert admitted is not None
    assert set(admitted["scopes"]) == set(ALL_SCOPES)
    assert isinstance(token.expires_at, datetime)
    assert abs(token.expires_at - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=2)


@proves("pipes.get_access_token")
async def test_an_expired_token_is_refreshed_before_it_is_returned(app: App, sdk: Sdk) -> None:
    slug, user = await app.sandbox_integration(), app.new("user")
    with app.sandbox.switched(access_lifetime=1):
        await app.connect(slug, user_id=user)
        first = await sdk.pipes.get_access_token(slug, user_id=user)
    await asyncio.sleep(1.1)
    assert app.sandbox.admits(first.access_token.access_token) is None

    before = app.sandbox.requests("refresh_token")
    second = await sdk.pipes.get_access_token(slug, user_id=user)
    third = await sdk.pipes.get_access_token(slug, user_id=user)

    assert app.sandbox.admits(second.access_token.access_token) is not None
    assert third.access_token.access_token == second.access_token.access_token
    assert app.sandbox.requests("refresh_token") - before == 1


@proves("pipes.get_access_token")
async def test_a_withdrawn_grant_is_inactive_and_says_so(app: App, sdk: Sdk) -> None:
    slug, user = await app.sandbox_integration(), app.new("user")
    with app.sandbox.switched(access_lifetime=1):
        await app.connect(slug, user_id=user)
    app.sandbox.revoke_all()
    await asyncio.sleep(1.1)

    reply = await sdk.pipes.get_access_token(slug, user_id=user)

    assert not reply.active
    assert (value(reply.error), reply.access_token) == ("needs_reauthorization", None)
    assert value((await sdk.pipes.get_user_connected_account(user, slug)).state) == "needs_reauthorization"
    vended = await sdk.pipes.create_data_integration_credential(slug, user_id=user)
    assert (vended.active, value(vended.error), vended.credential) == (False, "needs_reauthorization", None)


@proves("pipes.get_access_token")
async def test_organizations_are_separate_scopes_and_null_is_none_of_them(app: App, sdk: Sdk) -> None:
    slug, organization = await app.integration(), app.new("org")
    user = (await app.member(organization)).user_id
    await sdk.pipes.create_user_connected_account(user, slug, access_token="outside")

    omitted = await sdk.pipes.get_access_token(slug, user_id=user)
    null = await sdk.pipes.get_access_token(slug, user_id=user, organization_id=None)
    assert omitted.access_token.access_token == null.access_token.access_token == "outside"
    within = await sdk.pipes.get_access_token(slug, user_id=user, organization_id=organization)
    assert value(within.error) == "not_installed"

    await sdk.pipes.create_user_connected_account(user, slug, access_token="within", organization_id=organization)
    within = await sdk.pipes.get_access_token(slug, user_id=user, organization_id=organization)
    again = await sdk.pipes.get_access_token(slug, user_id=user, organization_id=None)
    assert within.access_token.access_token == "within"
    assert again.access_token.access_token == "outside"


@proves("pipes.get_access_token")
async def test_an_organizations_token_is_for_its_active_members(app: App, sdk: Sdk) -> None:
    slug, organization = await app.integration(ownership="organization"), app.new("org")
    admin, colleague = await app.member(organization), await app.member(organization)
    await sdk.pipes.create_organization_connected_account(
        organization, slug, user_id=admin.user_id, access_token="shared"
    )

    asked = {"organization_id": organization, "connection_owner": "organization"}
    reply = await sdk.pipes.get_access_token(slug, user_id=colleague.user_id, **asked)
    assert reply.access_token.access_token == "shared"
    with pytest.raises(AuthorizationError) as stranger:
        await sdk.pipes.get_access_token(slug, user_id=app.new("user"), **asked)
    assert stranger.value.code == "policy_denied"
    await sdk.organization_membership.deactivate_organization_membership(colleague.id)
    with pytest.raises(AuthorizationError):
        await sdk.pipes.get_access_token(slug, user_id=colleague.user_id, **asked)
    with pytest.raises(UnprocessableEntityError):
        await sdk.pipes.get_access_token(slug, user_id=admin.user_id, connection_owner="organization")


@proves("pipes.get_access_token")
async def test_the_token_call_is_for_oauth_and_for_accounts_that_exist(app: App, sdk: Sdk) -> None:
    slug, keyed, user = await app.integration(), await app.keyed("api_key"), app.new("user")

    assert value((await sdk.pipes.get_access_token(slug, user_id=user)).error) == "not_installed"
    with pytest.raises(NotFoundError) as unknown:
        await sdk.pipes.get_access_token(
            slug, user_id=user, connected_account_id="data_installation_01ARZ3NDEKTSV4RRFFQ69G5FAV"
        )
    assert unknown.value.code == "connected_account_not_found"
    with pytest.raises(NotFoundError):
        await sdk.pipes.get_access_token("no-such-slug", user_id=user)
    with pytest.raises(UnprocessableEntityError) as mismatched:
        await sdk.pipes.get_access_token(keyed, user_id=user)
    assert mismatched.value.code == "auth_method_mismatch"


@proves("pipes.create_data_integration_credential")
async def test_an_oauth_credential_comes_with_scopes_expiry_and_metadata(app: App, sdk: Sdk) -> None:
    slug, user = await app.sandbox_integration(), app.new("user")
    await app.connect(slug, user_id=user, untick=("write",))

    vended = (await sdk.pipes.create_data_integration_credential(slug, user_id=user)).credential

    assert isinstance(vended, OAuthDataIntegrationVendedCredential)
    assert value(vended.auth_method) == "oauth"
    assert app.sandbox.admits(vended.value) is not None
    assert (set(vended.scopes), vended.missing_scopes) == ({"read", "offline", "profile"}, ["write"])
    # Here the SDK hands the text on, unlike in the token call.
    assert datetime.fromisoformat(vended.expires_at) > datetime.now(UTC)
    assert (vended.metadata, vended.config) == ({}, {})
    assert vended.value == (await sdk.pipes.get_access_token(slug, user_id=user)).access_token.access_token


@proves("pipes.create_data_integration_credential")
async def test_an_api_key_is_vended_as_it_was_stored(app: App, sdk: Sdk) -> None:
    slug, user = await app.keyed("api_key"), app.new("user")
    assert value((await sdk.pipes.create_data_integration_credential(slug, user_id=user)).error) == "not_installed"
    await sdk.pipes.update_data_integration_api_key(slug, user_id=user, secret="key/+=ü-1234")

    vended = (await sdk.pipes.create_data_integration_credential(slug, user_id=user)).credential

    assert isinstance(vended, ApiKeyDataIntegrationVendedCredential)
    assert (value(vended.auth_method), vended.value, vended.config) == ("api_key", "key/+=ü-1234", {})


@proves("pipes.create_data_integration_credential")
async def test_client_credentials_are_minted_at_the_provider_and_kept_while_they_live(app: App, sdk: Sdk) -> None:
    slug, user, client = await app.keyed("client_credentials", scopes=["read"]), app.new("user"), app.new("client")
    app.sandbox.add_client(client, "tenant+secret/=&%:")
    await sdk.pipes.update_data_integration_client_credentials(
        slug, user_id=user, client_id=client, client_secret="tenant+secret/=&%:"
    )

    before = app.sandbox.requests("client_credentials")
    first = (await sdk.pipes.create_data_integration_credential(slug, user_id=user)).credential
    second = (await sdk.pipes.create_data_integration_credential(slug, user_id=user)).credential

    assert isinstance(first, ClientCredentialsDataIntegrationVendedCredential)
    assert value(first.auth_method) == "client_credentials"
    assert app.sandbox.admits(first.value) is not None
    assert (first.scopes, first.missing_scopes) == (["read"], [])
    assert datetime.fromisoformat(first.expires_at) > datetime.now(UTC)
    assert second.value == first.value
    assert app.sandbox.requests("client_credentials") - before == 1
    with pytest.raises(UnprocessableEntityError) as mismatched:
        await sdk.pipes.get_access_token(slug, user_id=user)
    assert mismatched.value.code == "auth_method_mismatch"


@proves("pipes.create_data_integration_credential")
async def test_one_of_several_accounts_is_named_by_its_id(app: App, sdk: Sdk) -> None:
    slug, user = await app.keyed("api_key"), app.new("user")
    made = [
        await sdk.pipes.create_data_integration_api_key(slug, user_id=user, secret=secret, connection_intent="add")
        for secret in ("key-one", "key-two")
    ]

    values = [
        (await sdk.pipes.create_data_integration_credential(slug, user_id=user, connected_account_id=account.id))
        for account in made
    ]

    assert [reply.credential.value for reply in values] == ["key-one", "key-two"]
    assert (await sdk.pipes.create_data_integration_credential(slug, user_id=user)).credential.value == "key-one"

"""What an owner can connect and has connected; and what an organization changes for its own people."""

from typing import Any

import pytest
from workos import BadRequestError, NotFoundError, UnprocessableEntityError
from workos.common.models import DataIntegrationCredentialType
from workos.pipes.models import DataIntegrationCredentialsInput

from tests.conformance.app import App
from tests.conformance.report import proves
from tests.conformance.sdk import Sdk, value


def _find(reply: Any, slug: str) -> Any:
    """Return the one entry of that slug in a list without pages, None if there is none."""
    found = [item for item in reply.data if item.slug == slug]
    assert len(found) <= 1
    return found[0] if found else None


@proves("pipes.list_user_data_providers")
async def test_a_user_sees_what_is_enabled_with_the_accounts_of_one_scope(app: App, sdk: Sdk) -> None:
    slug, disabled = await app.integration(description="Your calendar", scopes=["read"]), app.new("acme")
    await app.integration(provider=disabled, enabled=False)
    organization = app.new("org")
    user = (await app.member(organization)).user_id
    account = await sdk.pipes.create_user_connected_account(user, slug, access_token="one", account_display_name="Me")

    mine = await sdk.pipes.list_user_data_providers(user)
    provider = _find(mine, slug)
    assert _find(mine, disabled) is None
    assert provider.id == (await sdk.pipes.get_data_integration(slug)).id
    assert (provider.name, provider.description, provider.integration_type) == ("Acme", "Your calendar", slug)
    assert (provider.scopes, value(provider.connection_owner), provider.credentials_type) == (
        ["read"],
        "user",
        "custom",
    )
    assert [value(method) for method in provider.auth_methods] == ["oauth"]
    assert value(provider.ownership) == "userland_user"
    assert (provider.connected_account.id, provider.connected_account.account_display_name) == (account.id, "Me")
    assert [item.id for item in provider.connected_accounts] == [account.id]

    within = _find(await sdk.pipes.list_user_data_providers(user, organization_id=organization), slug)
    assert (within.connected_account, within.connected_accounts) == (None, [])


@proves("pipes.list_user_data_providers")
async def test_all_accounts_are_listed_for_callers_who_know_of_several(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(), app.new("user")
    first = await sdk.pipes.create_user_connected_account(user, slug, access_token="one")
    second = await sdk.pipes.create_user_connected_account(user, slug, access_token="two", connection_intent="add")

    single = _find(await sdk.pipes.list_user_data_providers(user), slug)
    several = _find(await sdk.pipes.list_user_data_providers(user, supports_multiple_connections=True), slug)

    assert [item.id for item in single.connected_accounts] == [first.id]
    assert [item.id for item in several.connected_accounts] == [first.id, second.id]
    assert several.connected_account.id == first.id


@proves("pipes.list_organization_data_providers")
async def test_an_organization_sees_what_organizations_connect(app: App, sdk: Sdk) -> None:
    users, shared, organization = (
        await app.integration(),
        await app.integration(ownership="organization"),
        app.new("org"),
    )
    member = (await app.member(organization)).user_id
    made = [
        await sdk.pipes.create_organization_connected_account(
            organization, shared, user_id=member, access_token=token, connection_intent="add"
        )
        for token in ("one", "two")
    ]

    listed = await sdk.pipes.list_organization_data_providers(organization)
    assert _find(listed, users) is None
    provider = _find(listed, shared)
    assert (value(provider.connection_owner), value(provider.ownership)) == ("organization", "organization")
    assert [item.id for item in provider.connected_accounts] == [made[0].id]
    assert (provider.connected_account.user_id, provider.connected_account.organization_id) == (None, organization)
    several = await sdk.pipes.list_organization_data_providers(organization, supports_multiple_connections=True)
    assert [item.id for item in _find(several, shared).connected_accounts] == [item.id for item in made]
    other = _find(await sdk.pipes.list_organization_data_providers(app.new("org")), shared)
    assert (other.connected_account, other.connected_accounts) == (None, [])


@proves(
    "pipes_provider.list_organization_data_integration_configurations",
    "pipes_provider.update_organization_data_integration_configuration",
)
async def test_an_organization_switches_an_integration_off_for_its_people_alone(app: App, sdk: Sdk) -> None:
    slug, organization, other = await app.integration(scopes=["read", "write"]), app.new("org"), app.new("org")
    user = (await app.member(organization)).user_id
    await app.member(other, user)

    async def stands(whose: str) -> Any:
        listed = await sdk.pipes_provider.list_organization_data_integration_configurations(whose)
        return _find(listed, slug)

    before = await stands(organization)
    assert (before.organization_id, before.name, before.enabled) == (organization, "Acme", True)
    assert (before.scopes, before.config, before.credentials) == (["read", "write"], {}, None)
    assert before.id == (await sdk.pipes.get_data_integration(slug)).id

    changed = await sdk.pipes_provider.update_organization_data_integration_configuration(
        organization, slug, enabled=False
    )
    assert (changed.id, changed.slug, changed.enabled, changed.scopes) == (before.id, slug, False, ["read", "write"])
    assert await stands(organization) == changed
    assert (await stands(other)).enabled is True
    with pytest.raises(BadRequestError) as off:
        await sdk.pipes.authorize_data_integration(slug, user_id=user, organization_id=organization)
    assert off.value.code == "invalid_data_integration"
    assert (await sdk.pipes.authorize_data_integration(slug, user_id=user, organization_id=other)).url
    assert _find(await sdk.pipes.list_user_data_providers(user, organization_id=organization), slug) is None

    back = await sdk.pipes_provider.update_organization_data_integration_configuration(organization, slug, enabled=True)
    assert back.enabled is True


@proves("pipes_provider.update_organization_data_integration_configuration")
async def test_an_organization_narrows_the_scopes_and_null_inherits_again(app: App, sdk: Sdk) -> None:
    slug, organization = await app.integration(scopes=["read", "write", "offline"]), app.new("org")
    user = (await app.member(organization)).user_id
    configure = sdk.pipes_provider.update_organization_data_integration_configuration

    assert (await configure(organization, slug, scopes=["read", "offline"])).scopes == ["read", "offline"]
    account = await app.connect(slug, user_id=user, organization_id=organization)
    assert set(account.scopes) == {"read", "offline"}
    with pytest.raises(UnprocessableEntityError) as failed:
        await configure(organization, slug, scopes=["read", "profile"])
    assert failed.value.errors == [{"field": "scopes", "code": "scope_not_configured"}]
    assert (await configure(organization, slug, scopes=None)).scopes == ["read", "write", "offline"]


@proves("pipes_provider.update_organization_data_integration_configuration")
async def test_an_organizations_own_credentials_are_stored_and_not_shown(app: App, sdk: Sdk) -> None:
    supplied = DataIntegrationCredentialsInput(type=DataIntegrationCredentialType("organization"))
    slug, organization = await app.integration(credentials=supplied), app.new("org")
    configure = sdk.pipes_provider.update_organization_data_integration_configuration
    listed = await sdk.pipes_provider.list_organization_data_integration_configurations(organization)
    before = _find(listed, slug).credentials
    assert (value(before.credentials_type), before.has_credentials, before.client_id) == ("organization", False, None)

    after = (await configure(organization, slug, client_id="theirs", client_secret="their-secret-4321")).credentials

    assert (value(after.credentials_type), after.has_credentials) == ("organization", True)
    assert (after.client_id, after.client_secret_last_four) == ("theirs", "4321")
    assert after.redirect_uri == (await sdk.pipes.get_data_integration(slug)).redirect_uri
    for wrong in ({"client_id": "theirs"}, {}):
        with pytest.raises(BadRequestError):
            await configure(organization, slug, **wrong)
    with pytest.raises(BadRequestError):
        await configure(organization, await app.integration(), client_id="x", client_secret="y")
    with pytest.raises(NotFoundError):
        await configure(organization, "no-such-slug", enabled=True)

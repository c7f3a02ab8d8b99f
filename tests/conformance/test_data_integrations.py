"""Data integrations: both roots of a slug, custom providers, pages."""

from datetime import UTC, datetime, timedelta

import pytest
from workos import ConflictError, NotFoundError
from workos.common.models import DataIntegrationCredentialType
from workos.pipes.models import ApiKeyInstallation, DataIntegrationCredentialsInput, UpdateCustomProviderDefinition

from tests.conformance.app import App, query
from tests.conformance.report import proves
from tests.conformance.sdk import Sdk, everything, value


@proves("pipes.list_data_integrations")
async def test_the_list_goes_on_over_pages_newest_first_and_either_way(app: App, sdk: Sdk) -> None:
    slugs = [await app.integration() for _ in range(5)]

    page = await sdk.pipes.list_data_integrations(limit=2)
    assert [item.slug for item in page.data] == [slugs[4], slugs[3]]
    assert page.has_more()
    assert [item.slug for item in await everything(page, most=5)] == slugs[::-1]

    second = await sdk.pipes.list_data_integrations(limit=2, after=page.after)
    back = await sdk.pipes.list_data_integrations(limit=2, before=second.before)
    assert [item.slug for item in back.data] == [slugs[4], slugs[3]]

    rising = await everything(await sdk.pipes.list_data_integrations(limit=100, order="asc"))
    assert [item.slug for item in rising][-5:] == slugs
    assert len({item.id for item in rising}) == len(rising)


@proves("pipes.list_data_integrations")
async def test_the_list_tells_user_owned_from_organization_owned_integrations(app: App, sdk: Sdk) -> None:
    mine, theirs = await app.integration(), await app.integration(ownership="organization")

    users = await sdk.pipes.list_data_integrations(limit=1, ownership="user")
    assert [item.slug for item in users.data] == [mine]
    organizations = await everything(await sdk.pipes.list_data_integrations(limit=1, ownership="organization"))
    assert organizations[0].slug == theirs
    assert {value(item.ownership) for item in organizations} == {"organization"}


@proves("pipes.create_data_integration")
async def test_a_custom_provider_comes_back_as_it_was_defined(app: App, sdk: Sdk) -> None:
    slug = app.new("acme")
    definition = app.definition(
        "Acme Calendar",
        refresh_token_url=app.sandbox.token_url,
        pkce_enabled=False,
        request_scope_separator=",",
        scopes_required=True,
        additional_authorization_parameters={"prompt": "consent"},
        token_body_content_type="application/json",
    )

    made = await sdk.pipes.create_data_integration(
        provider=slug,
        description="Calendars of Acme",
        enabled=True,
        scopes=["read"],
        credentials=app.credentials("acme-client", "acme-secret-9876"),
        custom_provider=definition,
    )

    assert made.id.startswith("data_integration_")
    assert (made.slug, made.integration_type, value(made.ownership)) == (slug, slug, "user")
    assert (made.description, made.enabled, value(made.state), made.scopes) == (
        "Calendars of Acme",
        True,
        "valid",
        ["read"],
    )
    assert [value(method) for method in made.auth_methods] == ["oauth"]
    assert value(made.credentials.type) == "custom"
    assert (made.credentials.client_id, made.credentials.redacted_client_secret) == ("acme-client", "9876")
    assert made.redirect_uri.startswith(f"{sdk.client.base_url}data-integrations/{slug}/dik_")
    assert (made.installation, made.config) == (None, {})
    custom = made.custom_provider
    assert (custom.name, custom.authorization_url, custom.token_url, custom.refresh_token_url) == (
        "Acme Calendar",
        app.sandbox.authorize_url,
        app.sandbox.token_url,
        app.sandbox.token_url,
    )
    assert (custom.pkce_enabled, custom.request_scope_separator, custom.scopes_required) == (False, ",", True)
    assert (custom.client_secret_required, custom.additional_authorization_parameters) == (True, {"prompt": "consent"})
    assert custom.token_body_content_type == "application/json"
    assert value(custom.authenticate_via) == "basic_auth_header"


@proves("pipes.create_data_integration")
async def test_what_is_left_out_of_a_new_integration_has_its_documented_default(app: App, sdk: Sdk) -> None:
    made = await sdk.pipes.create_data_integration(
        provider=app.new("acme"), credentials=app.credentials(), custom_provider=app.definition("Acme")
    )

    assert (made.enabled, made.description, made.scopes) == (False, None, None)
    custom = made.custom_provider
    assert (custom.pkce_enabled, custom.request_scope_separator, custom.scopes_required) == (True, " ", False)
    assert (custom.client_secret_required, custom.refresh_token_url) == (True, None)
    assert custom.additional_authorization_parameters == {}


@proves("pipes.create_data_integration")
async def test_a_slug_has_one_integration_per_ownership(app: App, sdk: Sdk) -> None:
    slug = await app.integration()

    with pytest.raises(ConflictError):
        await sdk.pipes.create_data_integration(provider=slug, credentials=app.credentials())

    other = await sdk.pipes.create_data_integration(
        provider=slug, ownership="organization", credentials=app.credentials()
    )
    assert value(other.ownership) == "organization"
    assert other.custom_provider.name == "Acme"


@proves("pipes.create_data_integration")
async def test_an_api_key_that_comes_with_a_new_integration_is_its_first_account(app: App, sdk: Sdk) -> None:
    slug, user = app.new("keys"), app.new("user")
    made = await sdk.pipes.create_data_integration(
        provider=slug,
        enabled=True,
        auth_methods=["api_key"],
        api_key=ApiKeyInstallation(secret="key-of-a-tenant-4321", user_id=user),
        custom_provider=app.definition("Keys", authorization_url=None, token_url=None, authenticate_via=None),
    )

    assert (made.redirect_uri, made.credentials) == ("", None)
    assert (made.custom_provider.name, made.custom_provider.token_url) == ("Keys", None)
    assert [value(method) for method in made.auth_methods] == ["api_key"]
    assert (made.installation.user_id, made.installation.api_key_last_4) == (user, "4321")
    vended = await sdk.pipes.create_data_integration_credential(slug, user_id=user)
    assert vended.credential.value == "key-of-a-tenant-4321"


@proves("pipes.get_data_integration")
async def test_an_integration_is_found_by_its_slug(app: App, sdk: Sdk) -> None:
    slug = app.new("acme")
    made = await sdk.pipes.create_data_integration(
        provider=slug, scopes=["read"], credentials=app.credentials(), custom_provider=app.definition("Acme")
    )

    found = await sdk.pipes.get_data_integration(slug)

    assert found == made
    assert abs(_time(found.created_at) - datetime.now(UTC)) < timedelta(minutes=1)
    assert _time(found.updated_at) == _time(found.created_at)


@proves("pipes.get_data_integration")
async def test_a_slug_is_one_segment_whatever_is_in_it(app: App, sdk: Sdk) -> None:
    slug = await app.integration(ownership="organization")

    # Sent as %2F: this asks for a slug of that name, and not for the organization-owned root of another.
    with pytest.raises(NotFoundError) as failed:
        await sdk.pipes.get_data_integration(f"{slug}/organization")
    assert failed.value.code == "entity_not_found"
    assert f"'{slug}/organization'" in failed.value.message
    with pytest.raises(NotFoundError):
        await sdk.pipes.delete_data_integration(f"{slug}/organization")
    assert (await sdk.pipes.list_data_integration_organization(slug)).slug == slug


@proves("pipes.update_data_integration")
async def test_an_update_changes_what_it_names_and_null_resets(app: App, sdk: Sdk) -> None:
    slug = await app.integration(description="first", scopes=["read"])

    renamed = await sdk.pipes.update_data_integration(slug, description="second")
    assert (renamed.description, renamed.scopes, renamed.enabled) == ("second", ["read"], True)

    disabled = await sdk.pipes.update_data_integration(slug, enabled=False, scopes=["read", "write"])
    assert (disabled.description, disabled.scopes, disabled.enabled) == ("second", ["read", "write"], False)

    reset = await sdk.pipes.update_data_integration(slug, description=None, scopes=None)
    assert (reset.description, reset.scopes) == (None, None)
    assert await sdk.pipes.get_data_integration(slug) == reset
    assert _time(reset.updated_at) > _time(reset.created_at)


@proves("pipes.update_data_integration")
async def test_a_changed_secret_and_definition_are_used_from_then_on(app: App, sdk: Sdk) -> None:
    slug = await app.integration(credentials=app.credentials("old-client", "old-secret-1111"))

    rotated = await sdk.pipes.update_data_integration(slug, credentials=app.credentials())
    assert rotated.credentials.client_id == app.sandbox.client_id
    assert rotated.credentials.redacted_client_secret == app.sandbox.client_secret[-4:]
    assert (await app.connect(slug, user_id=app.new("user"))).scopes

    renamed = await sdk.pipes.update_data_integration(
        slug,
        custom_provider=UpdateCustomProviderDefinition(
            name="Acme II", additional_authorization_parameters={"prompt": "login"}
        ),
    )
    assert renamed.custom_provider.name == "Acme II"
    assert renamed.custom_provider.token_url == app.sandbox.token_url
    link = await sdk.pipes.authorize_data_integration(slug, user_id=app.new("user"))
    confirm = app.browser.get(link.url)
    assert "Acme II" in confirm.text
    onward = app.browser.submit(confirm, follow=False).redirect
    assert onward is not None
    assert query(onward)["prompt"] == "login"


@proves("pipes.update_data_integration")
async def test_an_api_key_in_an_update_replaces_its_tenants(app: App, sdk: Sdk) -> None:
    slug, user = await app.keyed("api_key"), app.new("user")
    await sdk.pipes.update_data_integration(slug, api_key=ApiKeyInstallation(secret="first-key-1111", user_id=user))
    await sdk.pipes.update_data_integration(slug, api_key=ApiKeyInstallation(secret="second-key-2222", user_id=user))

    vended = await sdk.pipes.create_data_integration_credential(slug, user_id=user)
    assert vended.credential.value == "second-key-2222"


@proves("pipes.delete_data_integration")
async def test_a_deleted_integration_takes_its_accounts_along(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(), app.new("user")
    await sdk.pipes.create_user_connected_account(user, slug, access_token="token")

    assert await sdk.pipes.delete_data_integration(slug) is None

    with pytest.raises(NotFoundError):
        await sdk.pipes.get_data_integration(slug)
    with pytest.raises(NotFoundError):
        await sdk.pipes.get_access_token(slug, user_id=user)
    await app.integration(provider=slug)
    assert value((await sdk.pipes.get_access_token(slug, user_id=user)).error) == "not_installed"


@proves(
    "pipes.list_data_integration_organization",
    "pipes.update_data_integration_organization",
    "pipes.delete_data_integration_organization",
)
async def test_the_organization_owned_root_is_another_than_the_user_owned(app: App, sdk: Sdk) -> None:
    slug = await app.integration(description="for users")
    with pytest.raises(NotFoundError):
        await sdk.pipes.list_data_integration_organization(slug)
    await sdk.pipes.create_data_integration(
        provider=slug, ownership="organization", description="for organizations", credentials=app.credentials()
    )

    found = await sdk.pipes.list_data_integration_organization(slug)
    assert (found.description, value(found.ownership)) == ("for organizations", "organization")
    assert found.redirect_uri != (await sdk.pipes.get_data_integration(slug)).redirect_uri

    changed = await sdk.pipes.update_data_integration_organization(
        slug, description=None, enabled=True, scopes=["read"]
    )
    assert (changed.description, changed.enabled, changed.scopes) == (None, True, ["read"])
    assert (await sdk.pipes.get_data_integration(slug)).description == "for users"

    assert await sdk.pipes.delete_data_integration_organization(slug) is None
    with pytest.raises(NotFoundError):
        await sdk.pipes.list_data_integration_organization(slug)
    # The definition is shared: it stays for as long as one of the roots does.
    assert (await sdk.pipes.get_data_integration(slug)).custom_provider.name == "Acme"


@proves("pipes.create_data_integration", "pipes.update_data_integration")
async def test_organizations_may_be_the_ones_to_supply_credentials(app: App, sdk: Sdk) -> None:
    supplied = DataIntegrationCredentialsInput(type=DataIntegrationCredentialType("organization"))
    slug = await app.integration(credentials=supplied)

    found = await sdk.pipes.update_data_integration(slug, description="bring your own app")
    assert value(found.credentials.type) == "organization"
    assert (found.credentials.client_id, found.credentials.redacted_client_secret) == (None, None)


def _time(text: str | datetime) -> datetime:
    return text if isinstance(text, datetime) else datetime.fromisoformat(text)

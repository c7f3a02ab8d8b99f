"""API keys and client credentials: putting them in, replacing them, several of them, repeated requests."""

import pytest
from workos import (
    AuthorizationError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)

from tests.conformance.app import App
from tests.conformance.report import proves
from tests.conformance.sdk import Sdk, value


@proves("pipes.create_data_integration_api_key")
async def test_an_added_api_key_shows_its_labels_and_its_last_four(app: App, sdk: Sdk) -> None:
    slug, user = await app.keyed("api_key"), app.new("user")

    first = await sdk.pipes.create_data_integration_api_key(
        slug,
        user_id=user,
        secret="key-of-the-first-1111",
        connection_intent="add",
        account_display_name="Billing",
        account_identifier="acct_1",
    )
    second = await sdk.pipes.create_data_integration_api_key(
        slug, user_id=user, secret="key-of-the-second-2222", connection_intent="add", account_display_name="Billing"
    )

    assert (first.api_key_last_4, first.account_display_name, first.account_identifier) == ("1111", "Billing", "acct_1")
    assert (value(first.state), value(first.auth_method), first.user_id) == ("connected", "api_key", user)
    assert (first.client_id, first.client_secret_last_4, first.warnings) == (None, None, None)
    assert [value(account.connection_role) for account in (first, second)] == ["compatibility", "standard"]
    assert [warning.code for warning in second.warnings] == ["duplicate_account_display_name"]
    assert second.warnings[0].message
    read = await sdk.pipes.get_user_connected_account(user, slug, connected_account_id=second.id)
    assert (read.id, read.account_display_name, read.warnings) == (second.id, "Billing", None)


@proves("pipes.create_data_integration_api_key", "pipes.create_data_integration_client_credential")
async def test_a_repeated_request_with_the_same_key_makes_one_account(app: App, sdk: Sdk) -> None:
    keyed, client = await app.keyed("api_key"), await app.keyed("client_credentials")
    user, key = app.new("user"), app.new("idempotency")

    async def add_key(secret: str) -> str:
        made = await sdk.pipes.create_data_integration_api_key(
            keyed, user_id=user, secret=secret, connection_intent="add", idempotency_key=key
        )
        return str(made.id)

    async def add_client(secret: str) -> str:
        made = await sdk.pipes.create_data_integration_client_credential(
            client,
            user_id=user,
            client_id="tenant",
            client_secret=secret,
            connection_intent="add",
            idempotency_key=f"{key}-client",
        )
        return str(made.id)

    for slug, add in ((keyed, add_key), (client, add_client)):
        assert await add("the-same") == await add("the-same")
        with pytest.raises(ConflictError) as failed:
            await add("another")
        assert failed.value.code == "idempotency_key_conflict"
        listed = await sdk.pipes.list_user_data_providers(user, supports_multiple_connections=True)
        provider = next(item for item in listed.data if item.slug == slug)
        assert len(provider.connected_accounts) == 1


@proves("pipes.update_data_integration_api_key")
async def test_a_put_api_key_makes_the_account_and_then_replaces_its_key(app: App, sdk: Sdk) -> None:
    slug, user = await app.keyed("api_key"), app.new("user")

    made = await sdk.pipes.update_data_integration_api_key(
        slug, user_id=user, secret="first-1111", account_display_name="Main", account_identifier="acct_1"
    )
    kept = await sdk.pipes.update_data_integration_api_key(slug, user_id=user, secret="second-2222")
    assert (kept.id, kept.api_key_last_4) == (made.id, "2222")
    assert (kept.account_display_name, kept.account_identifier) == ("Main", "acct_1")
    cleared = await sdk.pipes.update_data_integration_api_key(
        slug, user_id=user, secret="third-3333", account_display_name=None, account_identifier=None
    )
    assert (cleared.account_display_name, cleared.account_identifier) == (None, None)

    other = await sdk.pipes.create_data_integration_api_key(
        slug, user_id=user, secret="other-4444", connection_intent="add"
    )
    await sdk.pipes.update_data_integration_api_key(
        slug, user_id=user, secret="other-5555", connection_intent="reauthorize", connected_account_id=other.id
    )
    vended = await sdk.pipes.create_data_integration_credential(slug, user_id=user, connected_account_id=other.id)
    assert vended.credential.value == "other-5555"
    assert (await sdk.pipes.get_user_connected_account(user, slug)).api_key_last_4 == "3333"


@proves("pipes.create_data_integration_api_key", "pipes.update_data_integration_api_key")
async def test_an_organizations_api_key_is_put_in_by_a_member(app: App, sdk: Sdk) -> None:
    slug, organization = await app.keyed("api_key", ownership="organization"), app.new("org")
    member = (await app.member(organization)).user_id
    asked = {"organization_id": organization, "connection_owner": "organization"}

    with pytest.raises(AuthorizationError):
        await sdk.pipes.create_data_integration_api_key(
            slug, user_id=app.new("user"), secret="stolen", connection_intent="add", **asked
        )
    made = await sdk.pipes.create_data_integration_api_key(
        slug, user_id=member, secret="shared-1111", connection_intent="add", **asked
    )
    assert (made.user_id, made.organization_id, made.established_by_user_id) == (None, organization, member)

    with pytest.raises(AuthorizationError):
        await sdk.pipes.update_data_integration_api_key(slug, user_id=app.new("user"), secret="stolen", **asked)
    kept = await sdk.pipes.update_data_integration_api_key(slug, user_id=member, secret="shared-2222", **asked)
    assert (kept.id, kept.api_key_last_4) == (made.id, "2222")


@proves("pipes.create_data_integration_client_credential")
async def test_added_client_credentials_are_a_tenants_own(app: App, sdk: Sdk) -> None:
    slug, user = await app.keyed("client_credentials", scopes=["read"]), app.new("user")
    names = [app.new("client"), app.new("client")]
    for name in names:
        app.sandbox.add_client(name, f"secret-of-{name}")

    made = [
        await sdk.pipes.create_data_integration_client_credential(
            slug,
            user_id=user,
            client_id=name,
            client_secret=f"secret-of-{name}",
            connection_intent="add",
            account_display_name=name,
        )
        for name in names
    ]

    for name, account in zip(names, made, strict=True):
        assert (account.client_id, account.client_secret_last_4) == (name, name[-4:])
        assert (value(account.auth_method), account.account_display_name) == ("client_credentials", name)
        assert account.api_key_last_4 is None
        vended = await sdk.pipes.create_data_integration_credential(slug, user_id=user, connected_account_id=account.id)
        assert app.sandbox.admits(vended.credential.value) is not None
    assert [value(account.connection_role) for account in made] == ["compatibility", "standard"]


@proves("pipes.update_data_integration_client_credentials")
async def test_put_client_credentials_replace_the_old_and_mint_anew(app: App, sdk: Sdk) -> None:
    slug, user = await app.keyed("client_credentials", scopes=["read"]), app.new("user")
    old, new = app.new("client"), app.new("client")
    app.sandbox.add_client(old, "old-secret-1111")
    app.sandbox.add_client(new, "new-secret-2222")

    made = await sdk.pipes.update_data_integration_client_credentials(
        slug, user_id=user, client_id=old, client_secret="old-secret-1111"
    )
    first = await sdk.pipes.create_data_integration_credential(slug, user_id=user)
    kept = await sdk.pipes.update_data_integration_client_credentials(
        slug, user_id=user, client_id=new, client_secret="new-secret-2222", account_display_name="New"
    )
    second = await sdk.pipes.create_data_integration_credential(slug, user_id=user)

    assert (kept.id, kept.client_id, kept.client_secret_last_4) == (made.id, new, "2222")
    assert kept.account_display_name == "New"
    assert second.credential.value != first.credential.value
    assert app.sandbox.admits(second.credential.value) is not None


@proves("pipes.update_data_integration_client_credentials", "pipes.update_data_integration_api_key")
async def test_a_credential_of_the_wrong_kind_or_place_is_refused(app: App, sdk: Sdk) -> None:
    keyed, client, user = await app.keyed("api_key"), await app.keyed("client_credentials"), app.new("user")
    unknown = "data_installation_01ARZ3NDEKTSV4RRFFQ69G5FAV"

    with pytest.raises(UnprocessableEntityError) as mismatched:
        await sdk.pipes.update_data_integration_api_key(client, user_id=user, secret="key")
    assert mismatched.value.code == "auth_method_mismatch"
    with pytest.raises(UnprocessableEntityError) as mismatched:
        await sdk.pipes.update_data_integration_client_credentials(
            keyed, user_id=user, client_id="tenant", client_secret="secret"
        )
    assert mismatched.value.code == "auth_method_mismatch"
    with pytest.raises(NotFoundError):
        await sdk.pipes.update_data_integration_api_key(
            keyed, user_id=user, secret="key", connection_intent="reauthorize", connected_account_id=unknown
        )
    with pytest.raises(NotFoundError):
        await sdk.pipes.update_data_integration_client_credentials(
            client, user_id=user, client_id="t", client_secret="s", connected_account_id=unknown
        )
    assert value((await sdk.pipes.create_data_integration_credential(keyed, user_id=user)).error) == "not_installed"

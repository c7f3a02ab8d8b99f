"""A user's connected accounts: seen, imported, replaced, deleted; and what each combination of tokens comes to."""

from datetime import UTC, datetime, timedelta

import pytest
from workos import ConflictError, NotFoundError, UnprocessableEntityError

from tests.conformance.app import App
from tests.conformance.report import proves
from tests.conformance.sdk import Sdk, value

UNKNOWN = "data_installation_01ARZ3NDEKTSV4RRFFQ69G5FAV"


@proves("pipes.get_user_connected_account")
async def test_an_account_is_found_by_owner_scope_and_id(app: App, sdk: Sdk) -> None:
    slug, organization = await app.integration(), app.new("org")
    user = (await app.member(organization)).user_id
    with pytest.raises(NotFoundError):
        await sdk.pipes.get_user_connected_account(user, slug)

    outside = await sdk.pipes.create_user_connected_account(user, slug, access_token="outside")
    with pytest.raises(NotFoundError):
        await sdk.pipes.get_user_connected_account(user, slug, organization_id=organization)
    within = await sdk.pipes.create_user_connected_account(
        user, slug, access_token="within", organization_id=organization
    )

    assert await sdk.pipes.get_user_connected_account(user, slug) == outside
    found = await sdk.pipes.get_user_connected_account(user, slug, organization_id=organization)
    assert (found.id, found.user_id, found.organization_id) == (within.id, user, organization)
    for other in (within.id, UNKNOWN):
        with pytest.raises(NotFoundError) as failed:
            await sdk.pipes.get_user_connected_account(user, slug, connected_account_id=other)
        assert failed.value.code == "connected_account_not_found"
    for text in (found.created_at, found.updated_at):
        assert abs(datetime.fromisoformat(text) - datetime.now(UTC)) < timedelta(minutes=1)


@proves("pipes.get_user_connected_account")
async def test_callers_who_know_of_several_accounts_are_asked_which(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(), app.new("user")
    first = await sdk.pipes.create_user_connected_account(user, slug, access_token="one")
    assert await sdk.pipes.get_user_connected_account(user, slug, supports_multiple_connections=True) == first
    second = await sdk.pipes.create_user_connected_account(user, slug, access_token="two", connection_intent="add")

    with pytest.raises(ConflictError) as failed:
        await sdk.pipes.get_user_connected_account(user, slug, supports_multiple_connections=True)
    assert failed.value.code == "account_selection_required"
    assert (await sdk.pipes.get_user_connected_account(user, slug)).id == first.id
    named = await sdk.pipes.get_user_connected_account(user, slug, connected_account_id=second.id)
    assert (named.id, value(named.connection_role)) == (second.id, "standard")


@proves("pipes.create_user_connected_account")
async def test_imported_tokens_come_back_as_they_went_in(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(scopes=["read", "write"]), app.new("user")
    ends = datetime.now(UTC).replace(microsecond=123000) + timedelta(hours=2)

    made = await sdk.pipes.create_user_connected_account(
        user,
        slug,
        access_token="token/+=ü",
        refresh_token="refresh",
        expires_at=ends,
        scopes=["read"],
        account_display_name="Work",
        account_identifier="ada@example.com",
    )

    assert (made.user_id, made.organization_id, made.scopes) == (user, None, ["read"])
    assert (made.account_display_name, made.account_identifier) == ("Work", "ada@example.com")
    assert (value(made.state), value(made.auth_method), made.state_reason) == ("connected", "oauth", None)
    assert (value(made.connection_role), made.config) == ("compatibility", {})
    token = (await sdk.pipes.get_access_token(slug, user_id=user)).access_token
    assert (token.access_token, token.expires_at) == ("token/+=ü", ends)
    assert (token.scopes, token.missing_scopes) == (["read"], ["write"])


@proves("pipes.create_user_connected_account")
async def test_what_tokens_are_there_decides_the_state(app: App, sdk: Sdk) -> None:
    slug, soon = await app.integration(), datetime.now(UTC) + timedelta(hours=1)

    async def create(**given: object) -> str:
        return str(value((await sdk.pipes.create_user_connected_account(app.new("user"), slug, **given)).state))

    assert await create() == "needs_reauthorization"
    assert await create(access_token="a") == "connected"
    assert await create(access_token="a", refresh_token="r") == "connected"
    assert await create(access_token="a", refresh_token="r", expires_at=soon) == "connected"
    assert await create(access_token="a", state="needs_reauthorization") == "needs_reauthorization"
    for wrong in ({"access_token": "a", "expires_at": soon}, {"expires_at": soon}):
        with pytest.raises(UnprocessableEntityError) as failed:
            await create(**wrong)
        assert failed.value.code == "invalid_token_combination"


@proves("pipes.create_user_connected_account")
async def test_an_imported_refresh_token_is_tried_at_once(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(), app.new("user")
    brought = app.sandbox.grant("read", "offline")

    made = await sdk.pipes.create_user_connected_account(user, slug, refresh_token=brought.refresh)

    assert (value(made.state), set(made.scopes)) == ("connected", {"read", "offline"})
    token = (await sdk.pipes.get_access_token(slug, user_id=user)).access_token
    assert token.access_token != brought.access
    assert app.sandbox.admits(token.access_token) is not None
    with pytest.raises(UnprocessableEntityError) as failed:
        await sdk.pipes.create_user_connected_account(app.new("user"), slug, refresh_token="never-issued")
    assert failed.value.code == "invalid_refresh_token"


@proves("pipes.create_user_connected_account")
async def test_a_second_import_is_a_conflict_unless_it_is_to_be_added(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(), app.new("user")
    await sdk.pipes.create_user_connected_account(user, slug, access_token="one", account_display_name="Mail")

    with pytest.raises(ConflictError):
        await sdk.pipes.create_user_connected_account(user, slug, access_token="two")
    added = await sdk.pipes.create_user_connected_account(
        user, slug, access_token="two", account_display_name="Mail", connection_intent="add"
    )

    assert value(added.connection_role) == "standard"
    assert [warning.code for warning in added.warnings] == ["duplicate_account_display_name"]
    assert (await sdk.pipes.get_access_token(slug, user_id=user)).access_token.access_token == "one"


@proves("pipes.create_user_connected_account")
async def test_a_repeated_import_is_one_import(app: App, sdk: Sdk) -> None:
    slug, user, key = await app.integration(), app.new("user"), app.new("idempotency")

    first = await sdk.pipes.create_user_connected_account(user, slug, access_token="one", idempotency_key=key)
    again = await sdk.pipes.create_user_connected_account(user, slug, access_token="one", idempotency_key=key)

    assert again == first
    for other in ({"access_token": "two"}, {"access_token": "one", "scopes": ["read"]}):
        with pytest.raises(ConflictError) as failed:
            await sdk.pipes.create_user_connected_account(user, slug, **other, idempotency_key=key)
        assert failed.value.code == "idempotency_key_conflict"


@proves("pipes.update_user_connected_account")
async def test_an_update_replaces_what_it_names(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(scopes=["read", "write"]), app.new("user")
    ends = datetime.now(UTC) + timedelta(hours=2)
    made = await sdk.pipes.create_user_connected_account(
        user,
        slug,
        access_token="one",
        refresh_token="r",
        expires_at=ends,
        scopes=["read"],
        account_display_name="Work",
        account_identifier="ada@example.com",
    )

    scoped = await sdk.pipes.update_user_connected_account(user, slug, scopes=["read", "write"])
    assert (scoped.id, scoped.scopes, value(scoped.state)) == (made.id, ["read", "write"], "connected")
    assert (scoped.account_display_name, scoped.account_identifier) == ("Work", "ada@example.com")
    cleared = await sdk.pipes.update_user_connected_account(
        user, slug, account_display_name=None, account_identifier=None
    )
    assert (cleared.account_display_name, cleared.account_identifier) == (None, None)
    # A new access token that comes without an expiry does not expire.
    await sdk.pipes.update_user_connected_account(user, slug, access_token="two")
    token = (await sdk.pipes.get_access_token(slug, user_id=user)).access_token
    assert (token.access_token, token.expires_at, token.scopes) == ("two", None, ["read", "write"])
    assert (await sdk.pipes.get_user_connected_account(user, slug)).id == made.id


@proves("pipes.update_user_connected_account")
async def test_the_app_may_state_that_an_account_needs_its_owner(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(), app.new("user")
    await sdk.pipes.create_user_connected_account(user, slug, access_token="one")

    stated = await sdk.pipes.update_user_connected_account(user, slug, state="needs_reauthorization")
    assert value(stated.state) == "needs_reauthorization"
    assert value((await sdk.pipes.get_access_token(slug, user_id=user)).error) == "needs_reauthorization"

    back = await sdk.pipes.update_user_connected_account(user, slug, access_token="two")
    assert value(back.state) == "connected"
    assert (await sdk.pipes.get_access_token(slug, user_id=user)).access_token.access_token == "two"


@proves("pipes.update_user_connected_account")
async def test_one_of_several_accounts_is_updated_by_its_id(app: App, sdk: Sdk) -> None:
    slug, organization = await app.integration(), app.new("org")
    user = (await app.member(organization)).user_id
    scope = {"organization_id": organization}
    first = await sdk.pipes.create_user_connected_account(user, slug, access_token="one", **scope)
    second = await sdk.pipes.create_user_connected_account(
        user, slug, access_token="two", connection_intent="add", **scope
    )

    changed = await sdk.pipes.update_user_connected_account(
        user, slug, access_token="two-2", connected_account_id=second.id, connection_intent="reauthorize", **scope
    )
    # Whether the caller knows of several has no bearing on which one is meant: without an id it is the first.
    default = await sdk.pipes.update_user_connected_account(
        user, slug, account_display_name="First", supports_multiple_connections=True, **scope
    )

    assert (changed.id, default.id, default.account_display_name) == (second.id, first.id, "First")
    tokens = [
        (await sdk.pipes.get_access_token(slug, user_id=user, connected_account_id=account.id, **scope)).access_token
        for account in (first, second)
    ]
    assert [token.access_token for token in tokens] == ["one", "two-2"]
    with pytest.raises(NotFoundError):
        await sdk.pipes.update_user_connected_account(user, slug, access_token="x", connected_account_id=second.id)


@proves("pipes.delete_user_connected_account")
async def test_a_deleted_account_is_gone_and_the_others_stay(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(), app.new("user")
    first = await sdk.pipes.create_user_connected_account(user, slug, access_token="one")
    second = await sdk.pipes.create_user_connected_account(user, slug, access_token="two", connection_intent="add")
    with pytest.raises(ConflictError) as unclear:
        await sdk.pipes.delete_user_connected_account(user, slug, supports_multiple_connections=True)
    assert unclear.value.code == "account_selection_required"

    assert await sdk.pipes.delete_user_connected_account(user, slug) is None  # the one that such callers know of

    with pytest.raises(NotFoundError):
        await sdk.pipes.get_user_connected_account(user, slug, connected_account_id=first.id)
    assert value((await sdk.pipes.get_access_token(slug, user_id=user)).error) == "not_installed"
    listed = await sdk.pipes.list_user_data_providers(user, supports_multiple_connections=True)
    provider = next(item for item in listed.data if item.slug == slug)
    assert provider.connected_account is None
    assert [account.id for account in provider.connected_accounts] == [second.id]

    await sdk.pipes.delete_user_connected_account(user, slug, connected_account_id=second.id)
    with pytest.raises(NotFoundError):
        await sdk.pipes.delete_user_connected_account(user, slug, connected_account_id=second.id)

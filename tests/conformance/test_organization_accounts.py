"""Accounts that an organization owns: a member acts for it, and when that member leaves the credential goes."""

from datetime import UTC, datetime, timedelta

import pytest
from workos import AuthorizationError, ConflictError, NotFoundError, UnprocessableEntityError

from tests.conformance.app import App
from tests.conformance.report import proves
from tests.conformance.sdk import Sdk, value


async def _organization(app: App) -> tuple[str, str, str]:
    """Return the slug of an organization-owned integration, an organization and an active member of it."""
    slug, organization = await app.integration(ownership="organization"), app.new("org")
    return slug, organization, (await app.member(organization)).user_id


@proves("pipes.create_organization_connected_account", "pipes.get_organization_connected_account")
async def test_an_imported_account_is_the_organizations_and_names_who_brought_it(app: App, sdk: Sdk) -> None:
    slug, organization, member = await _organization(app)
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)

    made = await sdk.pipes.create_organization_connected_account(
        organization,
        slug,
        user_id=member,
        access_token="shared",
        refresh_token="refresh",
        expires_at=ends,
        scopes=["read"],
        account_display_name="Everyone's",
        account_identifier="team@example.com",
    )

    assert (made.user_id, made.organization_id, made.established_by_user_id) == (None, organization, member)
    assert (made.account_display_name, made.account_identifier) == ("Everyone's", "team@example.com")
    assert (value(made.state), made.scopes, made.state_reason) == ("connected", ["read"], None)
    assert await sdk.pipes.get_organization_connected_account(organization, slug) == made
    with pytest.raises(NotFoundError):
        await sdk.pipes.get_organization_connected_account(app.new("org"), slug)
    reply = await sdk.pipes.get_access_token(
        slug, user_id=member, organization_id=organization, connection_owner="organization"
    )
    assert (reply.access_token.access_token, reply.access_token.expires_at) == ("shared", ends)


@proves("pipes.create_organization_connected_account")
async def test_the_import_rules_hold_for_organizations_too(app: App, sdk: Sdk) -> None:
    slug, organization, member = await _organization(app)
    soon, key = datetime.now(UTC) + timedelta(hours=1), app.new("idempotency")

    with pytest.raises(UnprocessableEntityError) as failed:
        await sdk.pipes.create_organization_connected_account(
            organization, slug, user_id=member, access_token="a", expires_at=soon
        )
    assert failed.value.code == "invalid_token_combination"
    with pytest.raises(AuthorizationError) as stranger:
        await sdk.pipes.create_organization_connected_account(
            organization, slug, user_id=app.new("user"), access_token="a"
        )
    assert stranger.value.code == "policy_denied"
    empty = await sdk.pipes.create_organization_connected_account(
        organization, slug, user_id=member, idempotency_key=key
    )
    assert value(empty.state) == "needs_reauthorization"
    again = await sdk.pipes.create_organization_connected_account(
        organization, slug, user_id=member, idempotency_key=key
    )
    assert again.id == empty.id
    with pytest.raises(ConflictError):
        await sdk.pipes.create_organization_connected_account(organization, slug, user_id=member, access_token="a")
    added = await sdk.pipes.create_organization_connected_account(
        organization, slug, user_id=member, access_token="a", connection_intent="add"
    )
    assert (value(added.connection_role), value(added.state)) == ("standard", "connected")


@proves("pipes.update_organization_connected_account")
async def test_a_member_replaces_the_organizations_tokens(app: App, sdk: Sdk) -> None:
    slug, organization, member = await _organization(app)
    other = (await app.member(organization)).user_id
    made = await sdk.pipes.create_organization_connected_account(
        organization, slug, user_id=member, access_token="one", account_display_name="Everyone's"
    )

    with pytest.raises(AuthorizationError):
        await sdk.pipes.update_organization_connected_account(
            organization, slug, user_id=app.new("user"), access_token="stolen"
        )
    changed = await sdk.pipes.update_organization_connected_account(
        organization, slug, user_id=other, access_token="two", account_display_name=None, scopes=["read"]
    )

    assert (changed.id, changed.established_by_user_id) == (made.id, other)
    assert (changed.account_display_name, changed.scopes) == (None, ["read"])
    reply = await sdk.pipes.get_access_token(
        slug, user_id=member, organization_id=organization, connection_owner="organization"
    )
    assert reply.access_token.access_token == "two"
    added = await sdk.pipes.create_organization_connected_account(
        organization, slug, user_id=member, access_token="three", connection_intent="add"
    )
    stated = await sdk.pipes.update_organization_connected_account(
        organization,
        slug,
        user_id=member,
        state="needs_reauthorization",
        connected_account_id=added.id,
        connection_intent="reauthorize",
        supports_multiple_connections=True,
    )
    assert (stated.id, value(stated.state)) == (added.id, "needs_reauthorization")
    assert value((await sdk.pipes.get_organization_connected_account(organization, slug)).state) == "connected"


@proves("pipes.delete_organization_connected_account", "pipes.get_organization_connected_account")
async def test_an_organizations_account_is_deleted_by_its_id(app: App, sdk: Sdk) -> None:
    slug, organization, member = await _organization(app)
    first, second = [
        await sdk.pipes.create_organization_connected_account(
            organization, slug, user_id=member, access_token=token, connection_intent="add"
        )
        for token in ("one", "two")
    ]
    for call in (sdk.pipes.get_organization_connected_account, sdk.pipes.delete_organization_connected_account):
        with pytest.raises(ConflictError) as unclear:
            await call(organization, slug, supports_multiple_connections=True)
        assert unclear.value.code == "account_selection_required"

    assert (
        await sdk.pipes.delete_organization_connected_account(organization, slug, connected_account_id=second.id)
        is None
    )
    with pytest.raises(NotFoundError):
        await sdk.pipes.get_organization_connected_account(organization, slug, connected_account_id=second.id)
    left = await sdk.pipes.get_organization_connected_account(organization, slug, supports_multiple_connections=True)
    assert left.id == first.id
    await sdk.pipes.delete_organization_connected_account(organization, slug)
    with pytest.raises(NotFoundError):
        await sdk.pipes.get_organization_connected_account(organization, slug)


@proves("pipes.authorize_data_integration", "pipes.finish_connection")
async def test_a_member_connects_the_organizations_account_in_the_browser(app: App, sdk: Sdk) -> None:
    slug, organization, member = await _organization(app)
    asked = {"organization_id": organization, "connection_owner": "organization"}
    with pytest.raises(AuthorizationError):
        await sdk.pipes.authorize_data_integration(slug, user_id=app.new("user"), **asked)

    account = await app.connect(slug, user_id=member, **asked)

    assert (account.user_id, account.organization_id, account.established_by_user_id) == (None, organization, member)
    assert await sdk.pipes.get_organization_connected_account(organization, slug) == account
    # It is nobody's own: the user-owned root of the slug does not even exist.
    with pytest.raises(NotFoundError):
        await sdk.pipes.get_user_connected_account(member, slug)


@proves(
    "organization_membership.deactivate_organization_membership",
    "organization_membership.delete_organization_membership",
)
async def test_when_the_establishing_member_leaves_the_credential_goes(app: App, sdk: Sdk) -> None:
    slug, organization = await app.integration(ownership="organization"), app.new("org")
    asked = {"organization_id": organization, "connection_owner": "organization"}
    stays = (await app.member(organization)).user_id

    for leave in (
        sdk.organization_membership.deactivate_organization_membership,
        sdk.organization_membership.delete_organization_membership,
    ):
        leaver = await app.member(organization)
        account = await app.connect(slug, user_id=leaver.user_id, **asked)
        assert (await sdk.pipes.get_access_token(slug, user_id=stays, **asked)).active is True

        await leave(leaver.id)

        left = await sdk.pipes.get_organization_connected_account(organization, slug)
        assert (left.id, value(left.state)) == (account.id, "needs_reauthorization")
        assert (value(left.state_reason), left.established_by_user_id) == (
            "establishing_member_membership_ended",
            None,
        )
        assert value((await sdk.pipes.get_access_token(slug, user_id=stays, **asked)).error) == "needs_reauthorization"

    again = await app.connect(slug, user_id=stays, **asked)
    assert (value(again.state), again.state_reason, again.established_by_user_id) == ("connected", None, stays)

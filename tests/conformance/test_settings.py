"""What surrounds the accounts: webhook endpoints, redirect URIs, organization memberships."""

from datetime import UTC, datetime, timedelta

import pytest
from workos import ConflictError, NotFoundError, UnprocessableEntityError
from workos.organization_membership._resource import RoleMultiple, RoleSingle

from tests.conformance.app import App
from tests.conformance.report import proves
from tests.conformance.sdk import Sdk, everything, value

CONNECTED = "pipes.connected_account.connected"
DISCONNECTED = "pipes.connected_account.disconnected"


@proves("webhooks.create_webhook_endpoint", "webhooks.update_webhook_endpoint", "webhooks.delete_webhook_endpoint")
async def test_a_webhook_endpoint_is_made_changed_and_deleted(app: App, sdk: Sdk) -> None:
    url = f"https://hooks.example/{app.new('hook')}"

    made = await sdk.webhooks.create_webhook_endpoint(endpoint_url=url, events=[CONNECTED])
    assert made.id.startswith("we_")
    assert made.secret.startswith("whsec_")
    assert (made.endpoint_url, value(made.status), made.events) == (url, "enabled", [CONNECTED])
    assert abs(made.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    with pytest.raises(ConflictError) as duplicate:
        await sdk.webhooks.create_webhook_endpoint(endpoint_url=url, events=[CONNECTED])
    assert duplicate.value.code == "duplicate_endpoint"
    with pytest.raises(UnprocessableEntityError) as invalid:
        await sdk.webhooks.create_webhook_endpoint(endpoint_url="ftp://hooks.example/", events=[CONNECTED])
    assert invalid.value.code == "invalid_url"

    changed = await sdk.webhooks.update_webhook_endpoint(
        made.id, endpoint_url=f"{url}/2", status="disabled", events=[CONNECTED, DISCONNECTED]
    )
    assert (changed.id, changed.secret) == (made.id, made.secret)
    assert (changed.endpoint_url, value(changed.status)) == (f"{url}/2", "disabled")
    assert changed.events == [CONNECTED, DISCONNECTED]
    partly = await sdk.webhooks.update_webhook_endpoint(made.id, status="enabled")
    assert (value(partly.status), partly.endpoint_url, partly.events) == ("enabled", f"{url}/2", changed.events)

    assert await sdk.webhooks.delete_webhook_endpoint(made.id) is None
    with pytest.raises(NotFoundError):
        await sdk.webhooks.update_webhook_endpoint(made.id, status="enabled")
    with pytest.raises(NotFoundError):
        await sdk.webhooks.delete_webhook_endpoint(made.id)


@proves("webhooks.list_webhook_endpoints")
async def test_webhook_endpoints_are_listed_over_pages(app: App, sdk: Sdk) -> None:
    made = [
        await sdk.webhooks.create_webhook_endpoint(
            endpoint_url=f"https://hooks.example/{app.new('hook')}", events=[CONNECTED]
        )
        for _ in range(5)
    ]

    page = await sdk.webhooks.list_webhook_endpoints(limit=2)
    assert page.has_more()
    assert await everything(page, most=5) == made[::-1]
    rising = await everything(await sdk.webhooks.list_webhook_endpoints(limit=2, order="asc"))
    assert rising[-5:] == made

    for endpoint in made:
        await sdk.webhooks.delete_webhook_endpoint(endpoint.id)
    left = await everything(await sdk.webhooks.list_webhook_endpoints())
    assert not {endpoint.id for endpoint in left} & {endpoint.id for endpoint in made}


@proves(
    "user_management.list_redirect_uris",
    "user_management.create_redirect_uri",
    "user_management.delete_redirect_uris",
)
async def test_redirect_uris_are_registered_listed_over_pages_and_forgotten(app: App, sdk: Sdk) -> None:
    made = [
        await sdk.user_management.create_redirect_uri(uri=f"https://app.example/{app.new('callback')}")
        for _ in range(5)
    ]
    assert all(item.id and item.uri.startswith("https://app.example/") for item in made)
    for wrong in (made[0].uri, "http://app.example/plain", "https://app.example/#fragment"):
        with pytest.raises(UnprocessableEntityError) as failed:
            await sdk.user_management.create_redirect_uri(uri=wrong)
        assert failed.value.errors[0]["field"] == "uri"

    page = await sdk.user_management.list_redirect_uris(limit=2)
    assert page.has_more()
    assert [item.uri for item in await everything(page, most=5)] == [item.uri for item in made[::-1]]
    listed = await everything(await sdk.user_management.list_redirect_uris(limit=2, order="asc"))
    assert [item.default for item in listed] == [True] + [False] * (len(listed) - 1)

    for item in made:
        assert await sdk.user_management.delete_redirect_uris(item.id) is None
    with pytest.raises(NotFoundError):
        await sdk.user_management.delete_redirect_uris(made[0].id)
    left = await everything(await sdk.user_management.list_redirect_uris(limit=100))
    assert not {item.id for item in left} & {item.id for item in made}


@proves(
    "organization_membership.create_organization_membership",
    "organization_membership.get_organization_membership",
    "organization_membership.update_organization_membership",
)
async def test_a_membership_is_recorded_and_its_role_changed(app: App, sdk: Sdk) -> None:
    organization, user = app.new("org"), app.new("user")

    made = await sdk.organization_membership.create_organization_membership(
        user_id=user, organization_id=organization, role=RoleSingle(role_slug="admin")
    )
    assert made.id.startswith("om_")
    assert (made.user_id, made.organization_id) == (user, organization)
    assert (value(made.status), made.role.slug) == ("active", "admin")
    with pytest.raises(UnprocessableEntityError):
        await sdk.organization_membership.create_organization_membership(user_id=user, organization_id=organization)

    found = await sdk.organization_membership.get_organization_membership(made.id)
    assert (found.id, found.user.id, found.role.slug) == (made.id, user, "admin")
    changed = await sdk.organization_membership.update_organization_membership(
        made.id, role=RoleMultiple(role_slugs=["auditor"])
    )
    assert (changed.id, changed.role.slug) == (made.id, "auditor")
    default = await sdk.organization_membership.create_organization_membership(
        user_id=app.new("user"), organization_id=organization
    )
    assert default.role.slug == "member"
    with pytest.raises(NotFoundError):
        await sdk.organization_membership.get_organization_membership("om_01ARZ3NDEKTSV4RRFFQ69G5FAV")


@proves(
    "organization_membership.deactivate_organization_membership",
    "organization_membership.reactivate_organization_membership",
    "organization_membership.delete_organization_membership",
)
async def test_a_membership_is_deactivated_reactivated_and_deleted(app: App, sdk: Sdk) -> None:
    made = await app.member(app.new("org"))

    off = await sdk.organization_membership.deactivate_organization_membership(made.id)
    assert (off.id, value(off.status)) == (made.id, "inactive")
    assert value((await sdk.organization_membership.get_organization_membership(made.id)).status) == "inactive"
    on = await sdk.organization_membership.reactivate_organization_membership(made.id)
    assert (on.id, value(on.status)) == (made.id, "active")

    assert await sdk.organization_membership.delete_organization_membership(made.id) is None
    with pytest.raises(NotFoundError):
        await sdk.organization_membership.get_organization_membership(made.id)


@proves("organization_membership.list_organization_memberships")
async def test_memberships_are_listed_by_user_organization_and_status(app: App, sdk: Sdk) -> None:
    organization, user = app.new("org"), app.new("user")
    made = [await app.member(organization) for _ in range(4)]
    mine = [await app.member(app.new("org"), user) for _ in range(2)]
    await sdk.organization_membership.deactivate_organization_membership(made[0].id)

    async def listed(**asked: object) -> list[str]:
        page = await sdk.organization_membership.list_organization_memberships(limit=2, **asked)
        return [item.id for item in await everything(page)]

    ids = [item.id for item in made]
    assert await listed(organization_id=organization) == ids[:0:-1]
    assert await listed(organization_id=organization, order="asc") == ids[1:]
    assert await listed(organization_id=organization, statuses=["inactive"]) == ids[:1]
    assert await listed(organization_id=organization, statuses=["active", "inactive"]) == ids[::-1]
    assert await listed(user_id=user) == [mine[1].id, mine[0].id]
    assert await listed(user_id=user, organization_id=mine[0].organization_id) == [mine[0].id]
    with pytest.raises(UnprocessableEntityError):
        await listed()

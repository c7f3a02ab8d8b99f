"""The events list: the log under the SDK's names, typed by the SDK."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from workos import UnprocessableEntityError
from workos.common.models import (
    PipesAccountConnectionAddFailed,
    PipesAccountConnectionConnected,
    PipesAccountConnectionConnectionFailed,
    PipesConnectedAccountConnected,
    PipesConnectedAccountConnectionFailed,
    PipesConnectedAccountDisconnected,
    PipesConnectedAccountReauthorizationNeeded,
)

from tests.conformance.app import RETURN_TO, App
from tests.conformance.report import proves
from tests.conformance.sdk import Sdk, everything, value
from tests.webhooks.receiver import Receiver, verify_workos

COMPATIBILITY = [
    "pipes.connected_account.connected",
    "pipes.connected_account.reauthorization_needed",
    "pipes.connected_account.disconnected",
    "pipes.connected_account.connection_failed",
]
FAILURES = [
    "pipes.connected_account.connection_failed",
    "pipes.account_connection.connection_failed",
    "pipes.account_connection.add_failed",
]
STANDARD = ["pipes.account_connection.connected", "pipes.account_connection.add_failed"]


@proves("events.list_events")
async def test_an_accounts_life_is_in_the_log_as_typed_events(app: App, sdk: Sdk) -> None:
    slug, organization = await app.integration(), app.new("org")
    user = (await app.member(organization)).user_id
    scope = {"organization_id": organization}
    account = await sdk.pipes.create_user_connected_account(user, slug, access_token="one", scopes=["read"], **scope)
    await sdk.pipes.update_user_connected_account(user, slug, state="needs_reauthorization", **scope)
    await sdk.pipes.delete_user_connected_account(user, slug, **scope)

    found = await everything(await sdk.events.list_events(events=COMPATIBILITY, **scope))

    assert [type(event) for event in found] == [
        PipesConnectedAccountConnected,
        PipesConnectedAccountReauthorizationNeeded,
        PipesConnectedAccountDisconnected,
    ]
    assert [value(event.data.state) for event in found] == ["connected", "needs_reauthorization", "disconnected"]
    integration = await sdk.pipes.get_data_integration(slug)
    for event in found:
        assert event.id.startswith("event_")
        assert (event.data.id, event.data.provider_slug) == (account.id, slug)
        assert event.data.data_integration_id == integration.id
        assert (event.data.user_id, event.data.organization_id) == (user, organization)
        assert value(event.context.actor.source) == "api"
        assert abs(event.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert found[0].data.scopes == ["read"]
    assert found[0].data.created_at == datetime.fromisoformat(account.created_at)


@proves("events.list_events")
async def test_events_page_oldest_first_and_are_polled_by_the_last_id(app: App, sdk: Sdk) -> None:
    slug, organization = await app.integration(), app.new("org")
    made = [await _import(app, sdk, slug, organization) for _ in range(5)]
    asked = {"events": COMPATIBILITY, "organization_id": organization}

    page = await sdk.events.list_events(limit=2, **asked)
    assert page.has_more()
    found = await everything(page)
    assert [event.data.id for event in found] == made

    later = await sdk.events.list_events(after=found[-1].id, **asked)
    assert (later.data, later.after) == ([], None)
    made.append(await _import(app, sdk, slug, organization))
    later = await sdk.events.list_events(after=found[-1].id, **asked)
    assert [event.data.id for event in later.data] == made[-1:]
    newest = await sdk.events.list_events(order="desc", limit=1, **asked)
    assert [event.data.id for event in newest.data] == made[-1:]
    earlier = await sdk.events.list_events(before=found[1].id, **asked)
    assert [event.id for event in earlier.data] == [found[0].id]


@proves("events.list_events")
async def test_events_are_filtered_by_name_organization_and_time(app: App, sdk: Sdk) -> None:
    slug, organization, other = await app.integration(), app.new("org"), app.new("org")
    first, _ = await _import(app, sdk, slug, organization), await _import(app, sdk, slug, other)
    user = (await app.member(organization)).user_id
    for _ in range(2):
        await sdk.pipes.create_user_connected_account(
            user, slug, access_token="t", organization_id=organization, connection_intent="add"
        )

    async def listed(events: list[str], **asked: Any) -> list[Any]:
        return await everything(await sdk.events.list_events(events=events, organization_id=organization, **asked))

    compatibility, standard = await listed(COMPATIBILITY), await listed(STANDARD)
    assert (len(compatibility), compatibility[0].data.id) == (2, first)
    assert [type(event) for event in standard] == [PipesAccountConnectionConnected]
    assert [event.id for event in await listed(COMPATIBILITY + STANDARD)] == [
        *(event.id for event in compatibility),
        standard[0].id,
    ]
    now = datetime.now(UTC)
    assert await listed(COMPATIBILITY, range_start=now + timedelta(minutes=5)) == []
    assert await listed(COMPATIBILITY, range_end=now - timedelta(minutes=5)) == []
    assert len(await listed(COMPATIBILITY, range_start=now - timedelta(minutes=5), range_end=now)) == 2


@proves("events.list_events")
async def test_a_failed_connection_is_an_event_with_its_reason(app: App, sdk: Sdk) -> None:
    slug, organization = await app.integration(), app.new("org")
    user = (await app.member(organization)).user_id
    link = await sdk.pipes.authorize_data_integration(
        slug, user_id=user, organization_id=organization, return_to=RETURN_TO
    )
    with app.sandbox.switched(deny_next=1):
        await app.browser.walk_async(link.url, stop_at=RETURN_TO)

    (event,) = (await sdk.events.list_events(events=COMPATIBILITY, organization_id=organization)).data

    assert isinstance(event, PipesConnectedAccountConnectionFailed)
    assert (event.data.provider_slug, event.data.user_id, event.data.organization_id) == (slug, user, organization)
    assert (event.data.error_code, event.data.provider_error) == ("provider_error", "access_denied")
    assert event.data.error_reason
    assert event.data.created_at <= datetime.now(UTC)


@proves("events.list_events")
async def test_what_fails_beside_the_compatibility_account_is_told_as_account_connection(app: App, sdk: Sdk) -> None:
    slug, organization = await app.integration(), app.new("org")
    user = (await app.member(organization)).user_id
    scope = {"organization_id": organization}
    receiver = await Receiver((verify_workos,)).start()
    hook = await sdk.webhooks.create_webhook_endpoint(endpoint_url=receiver.url, events=FAILURES)
    receiver.secret = hook.secret
    try:
        first = await sdk.pipes.create_user_connected_account(
            user, slug, access_token="one", account_identifier="ada@example.com", **scope
        )
        second = await sdk.pipes.create_user_connected_account(
            user,
            slug,
            access_token="two",
            connection_intent="add",
            account_identifier="work@example.com",
            **scope,
        )
        assert (value(first.connection_role), value(second.connection_role)) == ("compatibility", "standard")
        for asked in (
            {"connection_intent": "reauthorize", "connected_account_id": second.id},
            {"connection_intent": "reauthorize", "connected_account_id": first.id},
            {"connection_intent": "add"},
        ):
            link = await sdk.pipes.authorize_data_integration(slug, user_id=user, return_to=RETURN_TO, **scope, **asked)
            with app.sandbox.switched(deny_next=1):
                await app.browser.walk_async(link.url, stop_at=RETURN_TO)

        found = await everything(await sdk.events.list_events(events=FAILURES, **scope))
        async with asyncio.timeout(60):
            while len(receiver.taken) < 3:
                await asyncio.sleep(0.05)
    finally:
        await sdk.webhooks.delete_webhook_endpoint(hook.id)
        await receiver.stop()

    assert [type(event) for event in found] == [
        PipesAccountConnectionConnectionFailed,
        PipesConnectedAccountConnectionFailed,
        PipesAccountConnectionAddFailed,
    ]
    assert [event.data.account_identifier for event in found] == ["work@example.com", "ada@example.com", None]
    assert {event.data.provider_error for event in found} == {"access_denied"}
    for name, event in zip([FAILURES[1], FAILURES[0], FAILURES[2]], found, strict=True):
        (alone,) = (await sdk.events.list_events(events=[name], **scope)).data
        assert alone.id == event.id, name
    assert sorted((told["id"], told["event"]) for told in receiver.taken) == sorted(
        (event.id, event.event) for event in found
    )
    assert receiver.refused == []


@proves("events.list_events")
async def test_a_name_that_no_event_has_is_refused(sdk: Sdk) -> None:
    with pytest.raises(UnprocessableEntityError) as failed:
        await sdk.events.list_events(events=["pipes.connected_account.connnected"])
    assert failed.value.errors == [{"field": "events", "code": "invalid"}]


@proves("events.list_events")
async def test_an_app_that_polls_for_other_products_too_gets_our_part(sdk: Sdk) -> None:
    listed = await sdk.events.list_events(events=["user.created", "pipes.connected_account.disconnected"])
    assert all(event.event == "pipes.connected_account.disconnected" for event in listed.data)


async def _import(app: App, sdk: Sdk, slug: str, organization: str) -> str:
    """Give a new member an account; return its id."""
    user = (await app.member(organization)).user_id
    made = await sdk.pipes.create_user_connected_account(user, slug, access_token="t", organization_id=organization)
    return str(made.id)

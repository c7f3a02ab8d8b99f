"""Each error class of the SDK, with everything it carries."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from workos import (
    AuthenticationError,
    AuthorizationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    RateLimitExceededError,
    ServerError,
    UnprocessableEntityError,
)
from workos._errors import APIError

from tests.conformance.app import App, Verifier
from tests.conformance.report import proves
from tests.conformance.sdk import CLIENTS, Sdk, value
from tests.parts.server import HoldfastProcess


def _check(error: APIError, status: int, code: str) -> None:
    """Check what every error carries. `error` stays empty: Node's SDK would take it for an OAuth error."""
    assert (error.status_code, error.code, error.error) == (status, code, None)
    assert error.message
    assert error.message[0] not in "{<"
    assert error.request_id is not None
    assert error.request_id.startswith("req_")


@proves("errors.BadRequestError")
async def test_a_request_against_the_rules_is_a_bad_request(sdk: Sdk) -> None:
    with pytest.raises(BadRequestError) as failed:
        await sdk.pipes.finish_connection(connect_code="unknown", code_verifier=Verifier().text)
    _check(failed.value, 400, "invalid_connect_code")


@proves("errors.AuthenticationError")
@pytest.mark.parametrize("key", ["sk_wrong", "sk_test_0000000000000000000000000000000000000000", "x"])
async def test_a_wrong_key_is_not_authenticated(sdk: Sdk, server: HoldfastProcess, key: str) -> None:
    stranger = type(sdk.client)(api_key=key, client_id="client", base_url=server.base_url, max_retries=0)
    with pytest.raises(AuthenticationError) as failed:
        await Sdk(stranger).pipes.list_data_integrations()
    _check(failed.value, 401, "unauthenticated")


@proves("errors.AuthorizationError")
async def test_what_a_stranger_may_not_do_is_forbidden(app: App, sdk: Sdk) -> None:
    slug, organization = await app.integration(ownership="organization"), app.new("org")
    await app.member(organization)
    with pytest.raises(AuthorizationError) as failed:
        await sdk.pipes.get_access_token(
            slug, user_id=app.new("user"), organization_id=organization, connection_owner="organization"
        )
    assert type(failed.value) is AuthorizationError  # and none of its subclasses for sign-in flows
    _check(failed.value, 403, "policy_denied")


@proves("errors.NotFoundError")
async def test_what_is_not_there_is_not_found(sdk: Sdk) -> None:
    with pytest.raises(NotFoundError) as failed:
        await sdk.pipes.get_data_integration("no-such-slug")
    _check(failed.value, 404, "entity_not_found")


@proves("errors.ConflictError")
async def test_what_is_there_already_is_a_conflict(app: App, sdk: Sdk) -> None:
    slug = await app.integration()
    with pytest.raises(ConflictError) as failed:
        await sdk.pipes.create_data_integration(provider=slug, credentials=app.credentials())
    _check(failed.value, 409, "conflict")


@proves("errors.UnprocessableEntityError")
async def test_a_field_that_does_not_fit_is_named(sdk: Sdk) -> None:
    with pytest.raises(UnprocessableEntityError) as failed:
        await sdk.pipes.list_data_integrations(limit=101)
    _check(failed.value, 422, "invalid_request_parameters")
    assert failed.value.errors == [{"field": "limit", "code": "invalid"}]


@proves("errors.ServerError")
async def test_a_provider_that_is_down_is_a_server_error_once_the_token_has_ended(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(), app.new("user")
    brought, ended = app.sandbox.grant("read", "offline"), datetime.now(UTC) - timedelta(minutes=5)
    await sdk.pipes.create_user_connected_account(
        user, slug, access_token=brought.access, refresh_token=brought.refresh, expires_at=ended
    )

    with app.sandbox.switched(fail_next={"status": 500, "count": 20}):
        with pytest.raises(ServerError) as failed:
            await sdk.pipes.get_access_token(slug, user_id=user)

    _check(failed.value, 503, "provider_unavailable")
    assert value((await sdk.pipes.get_user_connected_account(user, slug)).state) == "connected"


@pytest.fixture
async def slowed(sdk: Sdk, tmp_path: Path) -> AsyncIterator[Sdk]:
    """A server that takes five requests a minute from one key, through a client of the same class."""
    server = HoldfastProcess(tmp_path, env={"HOLDFAST_REQUESTS_PER_MINUTE": "5"})
    client = CLIENTS[type(sdk.client).__name__](
        api_key=server.api_key, client_id="client", base_url=server.base_url, max_retries=0
    )
    yield Sdk(client)
    closed = client.close()
    if closed is not None:
        await closed
    server.stop()


@proves("errors.RateLimitExceededError")
async def test_too_many_requests_say_when_to_come_back(slowed: Sdk) -> None:
    for _ in range(5):
        await slowed.pipes.list_data_integrations()
    with pytest.raises(RateLimitExceededError) as failed:
        await slowed.pipes.list_data_integrations()
    _check(failed.value, 429, "rate_limit_exceeded")
    assert failed.value.retry_after is not None
    assert 1 <= failed.value.retry_after <= 12
    assert failed.value.response_json is not None
    assert failed.value.response_json["retry_after"] == failed.value.retry_after

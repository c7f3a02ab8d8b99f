"""Connecting by consent: the plain flow and the one bound to the app's session, with a scripted user at the sandbox."""

import pytest
from workos import BadRequestError, ConflictError, NotFoundError, UnprocessableEntityError
from workos.common.models import DataIntegrationCredentialType
from workos.pipes.models import DataIntegrationCredentialsInput

from tests.conformance.app import ALL_SCOPES, RETURN_TO, App, Verifier, query
from tests.conformance.report import proves
from tests.conformance.sdk import Sdk, value
from tests.parts.browser import Browser


@proves("pipes.authorize_data_integration")
async def test_a_plain_link_asks_whose_account_it_is_and_comes_back_to_the_app(app: App, sdk: Sdk) -> None:
    slug, user = await app.sandbox_integration(), app.new("user")

    link = await sdk.pipes.authorize_data_integration(slug, user_id=user, return_to=f"{RETURN_TO}?tab=2")
    assert link.completion is None
    assert link.url.startswith(f"{sdk.client.base_url}data-integrations/")
    confirm = app.browser.get(link.url)
    assert user in confirm.text
    landed = await app.browser.walk_async(link.url, stop_at=RETURN_TO, choose="grace@sandbox.test")

    assert query(landed) == {"tab": "2", "state": link.state}
    account = await sdk.pipes.get_user_connected_account(user, slug)
    assert (value(account.state), account.account_identifier) == ("connected", "grace@sandbox.test")
    assert (account.user_id, account.organization_id, account.established_by_user_id) == (user, None, user)
    assert set(account.scopes) == set(ALL_SCOPES)


@proves("pipes.authorize_data_integration")
async def test_a_denied_consent_comes_back_with_the_error_and_stores_nothing(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(), app.new("user")

    link = await sdk.pipes.authorize_data_integration(slug, user_id=user, return_to=RETURN_TO)
    provider = app.browser.submit(app.browser.get(link.url))  # the confirmation; then the provider's page
    landed = app.browser.submit(provider, deny=True, follow=False)
    assert landed.redirect is not None
    told = query(app.browser.get(landed.redirect, follow=False).redirect or "")

    assert (told["error"], told["state"]) == ("access_denied", link.state)
    assert told["error_description"]
    assert value((await sdk.pipes.get_access_token(slug, user_id=user)).error) == "not_installed"


@proves("pipes.authorize_data_integration", "pipes.finish_connection")
async def test_a_session_bound_connection_is_stored_once_the_app_finishes_it(app: App, sdk: Sdk) -> None:
    slug, user, verifier = await app.sandbox_integration(), app.new("user"), Verifier()

    link = await sdk.pipes.authorize_data_integration(
        slug,
        user_id=user,
        return_to=await app.registered(),
        account_display_name="Work",
        code_challenge=verifier.challenge,
        code_challenge_method="S256",
    )
    assert value(link.completion) == "finish_required"
    told = query(await app.browser.walk_async(link.url, stop_at=RETURN_TO))
    assert (told.keys(), told["state"]) == ({"connect_code", "state"}, link.state)
    assert value((await sdk.pipes.get_access_token(slug, user_id=user)).error) == "not_installed"

    done = await sdk.pipes.finish_connection(
        connect_code=told["connect_code"], code_verifier=verifier.text, state=told["state"]
    )
    account = done.connected_account
    assert account.id.startswith("data_installation_")
    assert (account.user_id, account.account_display_name) == (user, "Work")
    assert (value(account.state), value(account.auth_method)) == ("connected", "oauth")
    assert value(account.connection_role) == "compatibility"
    assert await sdk.pipes.get_user_connected_account(user, slug) == account

    with pytest.raises(BadRequestError) as replayed:
        await sdk.pipes.finish_connection(connect_code=told["connect_code"], code_verifier=verifier.text)
    assert replayed.value.code == "invalid_connect_code"


@proves("pipes.finish_connection")
async def test_a_wrong_verifier_uses_the_connect_code_up(app: App, sdk: Sdk) -> None:
    slug, user, verifier = await app.integration(), app.new("user"), Verifier()
    link = await sdk.pipes.authorize_data_integration(
        slug,
        user_id=user,
        return_to=await app.registered(),
        code_challenge=verifier.challenge,
        code_challenge_method="S256",
    )
    code = query(await app.browser.walk_async(link.url, stop_at=RETURN_TO))["connect_code"]

    for attempt in (Verifier(), verifier):
        with pytest.raises(BadRequestError) as failed:
            await sdk.pipes.finish_connection(connect_code=code, code_verifier=attempt.text)
        assert failed.value.code == "invalid_connect_code"
    assert value((await sdk.pipes.get_access_token(slug, user_id=user)).error) == "not_installed"


@proves("pipes.authorize_data_integration")
async def test_where_a_browser_may_be_sent_back_to_is_checked_first(app: App, sdk: Sdk) -> None:
    slug, user, challenge = await app.integration(), app.new("user"), Verifier().challenge

    for return_to in ("https://evil.test/", "//evil.test", "javascript:alert(1)", "https://localhost@evil.test/"):
        with pytest.raises(BadRequestError) as failed:
            await sdk.pipes.authorize_data_integration(slug, user_id=user, return_to=return_to)
        assert failed.value.code == "invalid_return_to", return_to
    await app.registered()
    for return_to in (f"{RETURN_TO}/elsewhere", f"{RETURN_TO}?next=1"):
        with pytest.raises(BadRequestError) as failed:
            await sdk.pipes.authorize_data_integration(
                slug, user_id=user, return_to=return_to, code_challenge=challenge, code_challenge_method="S256"
            )
        assert failed.value.code == "return_to_requires_exact_match", return_to


@proves("pipes.authorize_data_integration")
async def test_a_user_adds_accounts_and_reauthorizes_one_of_them_by_its_id(app: App, sdk: Sdk) -> None:
    slug, user = await app.sandbox_integration(), app.new("user")
    first = await app.connect(slug, user_id=user, person="ada@sandbox.test")
    second = await app.connect(slug, user_id=user, person="grace@sandbox.test", connection_intent="add")
    assert [value(account.connection_role) for account in (first, second)] == ["compatibility", "standard"]

    with pytest.raises(ConflictError) as unclear:
        await sdk.pipes.get_access_token(slug, user_id=user, supports_multiple_connections=True)
    assert unclear.value.code == "account_selection_required"
    single = await sdk.pipes.get_access_token(slug, user_id=user)
    named = await sdk.pipes.get_access_token(slug, user_id=user, connected_account_id=second.id)
    assert _subject(app, single) == "usr_ada"
    assert _subject(app, named) == "usr_grace"

    again = await app.connect(
        slug,
        user_id=user,
        person="grace@sandbox.test",
        untick=("write",),
        connection_intent="reauthorize",
        connected_account_id=second.id,
    )
    assert (again.id, "write" in again.scopes) == (second.id, False)
    renamed = await sdk.pipes.get_access_token(slug, user_id=user, connected_account_id=second.id)
    assert renamed.access_token.access_token != named.access_token.access_token
    assert renamed.access_token.missing_scopes == ["write"]


@proves("pipes.authorize_data_integration")
async def test_reauthorizing_as_somebody_else_at_the_provider_is_refused(app: App, sdk: Sdk, browser: Browser) -> None:
    slug, user, verifier = await app.sandbox_integration(), app.new("user"), Verifier()
    account = await app.connect(slug, user_id=user, person="ada@sandbox.test")

    link = await sdk.pipes.authorize_data_integration(
        slug,
        user_id=user,
        return_to=await app.registered(),
        code_challenge=verifier.challenge,
        code_challenge_method="S256",
        connection_intent="reauthorize",
        connected_account_id=account.id,
    )
    told = query(await browser.walk_async(link.url, stop_at=RETURN_TO, choose="linus@sandbox.test"))

    assert (told["error"], told["state"]) == ("account_mismatch", link.state)
    assert _subject(app, await sdk.pipes.get_access_token(slug, user_id=user)) == "usr_ada"


@proves("pipes.authorize_data_integration")
async def test_intent_and_account_id_must_go_together(app: App, sdk: Sdk) -> None:
    slug, user = await app.integration(), app.new("user")
    unknown = "data_installation_01ARZ3NDEKTSV4RRFFQ69G5FAV"

    with pytest.raises(BadRequestError):
        await sdk.pipes.authorize_data_integration(slug, user_id=user, connection_intent="reauthorize")
    with pytest.raises(BadRequestError):
        await sdk.pipes.authorize_data_integration(slug, user_id=user, connected_account_id=unknown)
    with pytest.raises(NotFoundError) as failed:
        await sdk.pipes.authorize_data_integration(
            slug, user_id=user, connection_intent="reauthorize", connected_account_id=unknown
        )
    assert failed.value.code == "connected_account_not_found"


@proves("pipes.authorize_data_integration")
async def test_what_cannot_be_connected_by_consent_has_no_link(app: App, sdk: Sdk) -> None:
    disabled, keyed = await app.integration(enabled=False), await app.keyed("api_key")

    with pytest.raises(NotFoundError):
        await sdk.pipes.authorize_data_integration("no-such-slug", user_id=app.new("user"))
    with pytest.raises(BadRequestError) as failed:
        await sdk.pipes.authorize_data_integration(disabled, user_id=app.new("user"))
    assert failed.value.code == "invalid_data_integration"
    with pytest.raises(UnprocessableEntityError) as mismatched:
        await sdk.pipes.authorize_data_integration(keyed, user_id=app.new("user"))
    assert mismatched.value.code == "auth_method_mismatch"


@proves("pipes.authorize_data_integration")
async def test_an_organization_connects_with_credentials_it_supplied_itself(app: App, sdk: Sdk) -> None:
    supplied = DataIntegrationCredentialsInput(type=DataIntegrationCredentialType("organization"))
    slug, organization = await app.integration(credentials=supplied), app.new("org")
    user = (await app.member(organization)).user_id

    with pytest.raises(BadRequestError) as early:
        await sdk.pipes.authorize_data_integration(slug, user_id=user, organization_id=organization)
    assert early.value.code == "invalid_data_integration"
    await sdk.pipes_provider.update_organization_data_integration_configuration(
        organization, slug, client_id=app.sandbox.client_id, client_secret=app.sandbox.client_secret
    )

    account = await app.connect(slug, user_id=user, organization_id=organization)
    assert (account.user_id, account.organization_id) == (user, organization)
    with pytest.raises(BadRequestError):
        await sdk.pipes.authorize_data_integration(slug, user_id=user)


def _subject(app: App, reply: object) -> str:
    """Return whose token was vended, in the provider's own words."""
    admitted = app.sandbox.admits(reply.access_token.access_token)  # type: ignore[attr-defined]
    assert admitted is not None
    return str(admitted["subject"])

"""Settings, keys, SDK clients, scopes, custom providers: what is saved, what is refused and where that is said."""

import re

import pytest

from holdfast.access import store as access_store
from holdfast.access.administrators import Role
from holdfast.access.principal import CleanUpPolicy
from holdfast.authorization import store as attempt_store
from holdfast.connections import store as connection_store
from holdfast.errors import Unauthenticated
from holdfast.events import Action
from holdfast.providers import store as provider_store
from holdfast.secret import Secret
from tests.dashboard.desk import Desk, desk, words
from tests.parts.browser import Page

__all__ = ["desk"]


async def test_the_environments_settings_are_saved_and_on_record(desk: Desk) -> None:
    page = await desk.get("settings")
    page = await desk.send(page, "settings/verification", user_verification="custom")
    assert "Saved." in words(page)
    page = await desk.send(page, "settings/clean-up", go="save", unused_days="90", expired_days="")
    environment = await desk.holdfast.database.transact(
        lambda tx: access_store.environment(tx, desk.holdfast.environment.id)
    )
    assert environment is not None
    assert environment.user_verification == "custom"
    assert environment.clean_up == CleanUpPolicy(90, None)
    assert (await desk.entries(Action.ENVIRONMENT_CHANGED))[-1].actor.kind == "administrator"
    await desk.send(page, "settings/verification", user_verification="none")
    await desk.send(page, "settings/clean-up", go="save", unused_days="", expired_days="")


async def test_a_look_at_the_clean_up_takes_and_saves_nothing(desk: Desk) -> None:
    page = await desk.get("settings")
    page = await desk.send(page, "settings/clean-up", go="look", unused_days="1", expired_days="1")
    assert "No account would be deleted now" in words(page)
    assert 'value="1"' in page.text
    environment = await desk.holdfast.database.transact(
        lambda tx: access_store.environment(tx, desk.holdfast.environment.id)
    )
    assert environment is not None
    assert environment.clean_up == CleanUpPolicy()


async def test_days_that_are_none_are_refused_beside_their_field(desk: Desk) -> None:
    page = await desk.get("settings")
    for wrong in ("0", "-1", "many", "99999", "1.5", "٣"):
        answer = await desk.send(page, "settings/clean-up", go="save", unused_days=wrong, expired_days="")
        assert answer.status == 422, wrong
        assert 'id="unused_days-problem"' in answer.text
        assert f'value="{wrong}"' in answer.text


async def test_redirect_uris_are_registered_once_and_forgotten(desk: Desk) -> None:
    page = await desk.get("settings")
    page = await desk.send(page, "settings/redirect-uris", uri="https://app.example.com/back")
    assert "https://app.example.com/back" in words(page)
    for wrong in ("https://app.example.com/back", "http://app.example.com", "javascript:alert(1)", "https://a b"):
        answer = await desk.send(page, "settings/redirect-uris", uri=wrong)
        assert answer.status == 422, wrong
        assert 'id="uri-problem"' in answer.text
    [ref] = re.findall(r"settings/redirect-uris/(\w+)/delete", page.text)
    page = await desk.send(page, f"settings/redirect-uris/{ref}/delete")
    assert "https://app.example.com/back" not in words(page)
    told = [entry.data for entry in await desk.entries(Action.REDIRECT_URI_CHANGED)]
    assert {one["what"] for one in told} == {"created", "deleted"}
    assert {one["uri"] for one in told} == {"https://app.example.com/back"}


async def test_the_widgets_origins_are_registered_once_and_forgotten(desk: Desk) -> None:
    page = await desk.get("settings")
    page = await desk.send(page, "settings/origins", origin="https://App.example.com:443")
    assert "https://app.example.com" in words(page)
    assert await desk.holdfast.origins.allows("https://app.example.com", desk.holdfast.environment.id)
    for wrong, status in (
        ("https://app.example.com", 409),
        ("https://app.example.com/path", 422),
        ("http://app.example.com", 422),
        ("javascript:alert(1)", 422),
        ("", 422),
    ):
        answer = await desk.send(page, "settings/origins", origin=wrong)
        assert answer.status == status, wrong
        assert 'id="origin-problem"' in answer.text
        assert f'value="{wrong}"' in answer.text
    [ref] = re.findall(r"settings/origins/(\w+)/delete", page.text)
    viewer = await desk.as_role(Role.VIEWER)
    seen = await viewer.get("settings")
    assert "https://app.example.com" in words(seen)
    assert "settings/origins" not in seen.text
    assert (await viewer.send(seen, f"settings/origins/{ref}/delete")).status == 403
    assert (await viewer.send(seen, "settings/origins", origin="https://evil.example")).status == 403
    page = await desk.send(page, f"settings/origins/{ref}/delete")
    assert "https://app.example.com" not in words(page).replace("https://app.example.com/", "")
    assert not await desk.holdfast.origins.allows("https://app.example.com", desk.holdfast.environment.id)
    assert (await desk.send(page, f"settings/origins/{ref}/delete")).status == 404
    told = [(entry.data["what"], entry.data["origin"]) for entry in await desk.entries(Action.CORS_ORIGIN_CHANGED)]
    assert sorted(told) == [("created", "https://app.example.com"), ("deleted", "https://app.example.com")]


async def test_what_the_server_runs_with_is_shown_without_its_secrets(desk: Desk) -> None:
    page = await desk.get("settings")
    assert "HOLDFAST_SWEEP_INTERVAL" in words(page)
    viewer = await desk.as_role(Role.VIEWER)
    page = await viewer.get("settings")
    assert page.status == 200
    assert "Save" not in words(page)
    assert (await viewer.send(page, "settings/verification", user_verification="custom")).status == 403


async def test_an_sdk_client_is_shown_once_signs_in_and_ends_when_revoked(desk: Desk) -> None:
    page = await desk.get("keys")
    page = await desk.send(page, "keys/clients", client_name="agent")
    [secret] = set(re.findall(r"scs_\w{20,}", page.text))
    [given] = set(re.findall(r"<code>(skc_\w+)</code>", page.text))
    again = await desk.get("keys")
    assert secret not in again.text
    assert given in again.text
    clients = desk.holdfast.clients
    assert (await clients.authenticate(given, Secret(secret))).name == "agent"
    ref = next(
        ref
        for ref, row in re.findall(r"keys/clients/(\w+)/revoke(.*?)</tr>", again.text, re.DOTALL)
        if ref.lower() in given.lower()
    )
    await desk.send(again, f"keys/clients/{ref}/revoke")
    with pytest.raises(Unauthenticated):
        await clients.authenticate(given, Secret(secret))
    page = await desk.send(again, "keys/clients", client_name=" ")
    assert 'id="client_name-problem"' in page.text


async def test_a_scope_is_off_asked_or_required(desk: Desk) -> None:
    page = await desk.get("connections/new/sandbox")
    sandbox = desk.holdfast.sandbox
    assert sandbox is not None
    typed = {
        "method": "oauth",
        "client_supply": "custom",
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret.reveal(),
        "scope__read": "required",
        "scope__offline": "asked",
        "scope__write": "off",
        "more_scopes": "extra, more",
    }
    page = await desk.send(page, "connections/new/sandbox", **typed)
    made = page.url.rpartition("/")[2].partition("?")[0]
    connection = await desk.holdfast.database.transact(
        lambda tx: connection_store.by_id(tx, desk.holdfast.environment.id, made)
    )
    assert connection is not None
    assert set(connection.scopes or ()) == {"read", "offline", "extra", "more"}
    assert connection.required_scopes == ("read",)
    assert page.text.count('name="scope:read"') == 1
    assert re.search(r'name="scope:read">.*?value="required" selected', page.text, re.DOTALL)
    refused = await desk.send(page, "connections/new/sandbox", **{**typed, "client_id": "", "scope__write": "required"})
    assert refused.status == 422
    assert re.search(r'name="scope:write">.*?value="required" selected', refused.text, re.DOTALL)


DETAILS = {"name": "Acme CRM", "auth": "oauth2", "slug": "", "docs": ""}
ENDPOINTS = {"authorization_url": "https://acme.example/auth", "token_url": "https://acme.example/token"}


def _carried(text: str) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text))


async def _step(desk: Desk, page: Page, at: str, step: str, go: str = "next", **typed: str) -> Page:
    carried = {name: value for name, value in _carried(page.text).items() if name not in ("csrf", "step")}
    return await desk.send(page, at, **{**carried, "step": step, "go": go, **typed})


async def test_a_custom_provider_is_made_step_by_step_changed_and_deleted(desk: Desk) -> None:
    at = "providers/custom/new"
    page = await desk.get(at)
    page = await _step(desk, page, at, "details", **DETAILS)
    assert 'name="token_url"' in page.text
    wrong = await _step(desk, page, at, "endpoints", **{**ENDPOINTS, "token_url": "https://acme.example/{tenant}"})
    assert wrong.status == 422
    assert 'id="token_url-problem"' in wrong.text
    assert "{tenant}" in wrong.text
    back = await _step(desk, wrong, at, "endpoints", "back", **ENDPOINTS)
    assert 'value="Acme CRM"' in back.text
    page = await _step(desk, back, at, "details", **DETAILS)
    assert 'value="https://acme.example/auth"' in page.text
    page = await _step(desk, page, at, "endpoints", **ENDPOINTS, api_base_url="https://api.acme.example/v1")
    page = await _step(desk, page, at, "client", client_auth="client_secret_basic", pkce="required", separator="comma")
    page = await _step(desk, page, at, "scopes", scopes="read write", scope_help="read = See\nwrite = Change")
    assert page.url.endswith("providers/acme-crm?did=made"), page.shown()

    provider = await desk.holdfast.database.transact(
        lambda tx: provider_store.get(tx, desk.holdfast.environment.id, "acme-crm")
    )
    assert provider is not None
    assert provider.oauth2 is not None
    assert (provider.oauth2.client_auth, provider.oauth2.scope_separator) == ("client_secret_basic", ",")
    assert provider.scope_help == {"read": "See", "write": "Change"}
    assert provider.api is not None
    assert provider.api.base_url == "https://api.acme.example/v1"

    at = "providers/custom/acme-crm/edit"
    page = await desk.get(at)
    page = await _step(desk, page, at, "details", name="Acme", docs="")
    page = await _step(desk, page, at, "endpoints", **ENDPOINTS, api_base_url="https://api.acme.example/v1")
    page = await _step(desk, page, at, "client", client_auth="client_secret_basic", pkce="required", separator="comma")
    page = await _step(desk, page, at, "scopes", scopes="read", scope_help="")
    assert "Acme" in words(page)
    page = await desk.send(page, "providers/custom/acme-crm/delete")
    assert (await desk.get("providers/acme-crm")).status == 404


async def test_a_provider_that_takes_a_key_has_fields_of_its_own(desk: Desk) -> None:
    at = "providers/custom/new"
    page = await desk.get(at)
    page = await _step(desk, page, at, "details", name="Keyed", auth="api_key", slug="keyed", docs="")
    page = await _step(desk, page, at, "endpoints", api_base_url="https://api.keyed.example")
    assert 'name="label_1"' in page.text
    typed = {"label_1": "Key", "secret_1": "1", "label_2": "Account", "where": "header", "place": "X Key"}
    wrong = await _step(desk, page, at, "fields", **typed)
    assert 'id="place-problem"' in wrong.text
    page = await _step(desk, wrong, at, "fields", **{**typed, "place": "X-Key"})
    provider = await desk.holdfast.database.transact(
        lambda tx: provider_store.get(tx, desk.holdfast.environment.id, "keyed")
    )
    assert provider is not None
    assert [(name, item.is_secret) for name, item in provider.credential.items()] == [("key", True), ("account", False)]
    assert provider.api is not None
    assert provider.api.credential.name == "X-Key"
    assert provider.oauth2 is None


async def test_a_built_in_name_is_not_taken_over_and_an_api_in_use_stays_on_its_host(desk: Desk) -> None:
    at = "providers/custom/new"
    page = await desk.get(at)
    taken = await _step(desk, page, at, "details", **{**DETAILS, "slug": "sandbox"})
    assert taken.status == 409
    assert 'id="slug-problem"' in taken.text
    page = await _step(desk, page, at, "details", name="Moved", auth="api_key", slug="moved", docs="")
    page = await _step(desk, page, at, "endpoints", api_base_url="https://api.moved.example")
    page = await _step(desk, page, at, "fields", label_1="Key", secret_1="1", where="bearer")
    form = await desk.get("connections/new/moved")
    made = await desk.send(form, "connections/new/moved", enabled="1")
    assert "made" in made.url, made.shown()
    at = "providers/custom/moved/edit"
    page = await desk.get(at)
    page = await _step(desk, page, at, "details", name="Moved", docs="")
    page = await _step(desk, page, at, "endpoints", api_base_url="https://thief.example")
    page = await _step(desk, page, at, "fields", label_1="Key", secret_1="1", where="bearer")
    assert page.status == 409
    assert 'id="api_base_url-problem"' in page.text
    assert (await desk.send(page, "providers/custom/moved/delete")).status == 409


async def test_where_users_are_confirmed_a_link_says_where(desk: Desk) -> None:
    h = desk.holdfast
    page = await desk.get("settings")
    await desk.send(page, "settings/verification", user_verification="custom")
    try:
        connection = await desk.sandbox_connection(name="confirming")
        at = f"accounts/new/{connection.id}"
        page = await desk.get(at)
        assert 'name="user_verify_url"' in page.text
        for wrong in ("", "javascript:alert(1)", "http://app.example.com\\x"):
            answer = await desk.send(page, at, identifier="user_confirmed", user_verify_url=wrong)
            assert answer.status == 422, wrong
            assert 'id="user_verify_url-problem"' in answer.text
            assert 'value="user_confirmed"' in answer.text
        listed = await desk.get("accounts?q=user_confirmed")
        assert "accounts/0" not in listed.text  # none was made by what was refused
        confirm = "https://app.example.com/confirm"
        made = await desk.send(page, at, identifier="user_confirmed", user_verify_url=confirm)
        assert "/connect/links/" in made.text
        listed = await desk.get("accounts?q=user_confirmed")
        [account] = set(re.findall(r"/accounts/(0\w{25})", listed.text))
        page = await desk.get(f"accounts/{account}")
        asked = await desk.send(page, f"accounts/{account}/link")
        assert asked.status == 200
        assert "/connect/links/" not in asked.text
        assert 'id="user_verify_url-problem"' not in asked.text
        answer = await desk.send(asked, f"accounts/{account}/link", user_verify_url="")
        assert answer.status == 422
        assert 'id="user_verify_url-problem"' in answer.text
        made = await desk.send(asked, f"accounts/{account}/link", user_verify_url=confirm)
        [link] = set(re.findall(r"http[^\"<]+/connect/links/[\w-]+", made.text))
        token = link.rpartition("/")[2]
        hashed = h.vault.lookup_hash("link", token)
        attempt = await h.database.transact(lambda tx: attempt_store.by_link(tx, hashed))
        assert attempt is not None
        assert attempt.user_verify_url == confirm
    finally:
        await desk.send(await desk.get("settings"), "settings/verification", user_verification="none")
    page = await desk.get(f"accounts/new/{connection.id}")
    assert "user_verify_url" not in page.text

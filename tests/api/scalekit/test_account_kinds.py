"""Credentials of every kind, in and out, and accounts that an organization shares."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.connections.changes import Changes
from holdfast.events import Actor
from holdfast.ids import opaque
from holdfast.providers.entry import ConfigField, CredentialField
from tests.api.scalekit.rest import ACCOUNTS, Rest, calling
from tests.authorization.links import typed_connection
from tests.storage.engines import database_url  # noqa: F401
from tests.tokens.house import House, built_house, house  # noqa: F401

FIELDS = {
    "username": CredentialField(label="User name"),
    "password": CredentialField(label="Password", input="password"),
}


@pytest.fixture
async def rest(house: House) -> AsyncIterator[Rest]:  # noqa: F811
    async with calling(house) as calls:
        yield calls


def _user() -> str:
    return "user_" + opaque(12)


@pytest.mark.parametrize(
    ("method", "given", "kind"),
    [
        ("delegated", {"google_dwd": {"subject": "ada@acme.test"}}, "GOOGLE_DWD"),
        ("trusted_idp", {"trusted_idp": {"db_user": "analyst"}}, "TRUSTED_IDP"),
    ],
)
async def test_a_principal_without_a_secret_is_kept_and_shown_to_its_app(
    rest: Rest, method: Any, given: dict[str, Any], kind: str
) -> None:
    name, user = (await typed_connection(rest.house, {}, method=method)).name, _user()
    waiting = await rest.create(name, user)
    assert (waiting["status"], waiting["authorization_type"]) == ("PENDING_AUTH", kind)
    changed = await rest.update(name, user, authorization_details=given)
    assert (changed["status"], _told(changed)) == ("ACTIVE", given)
    assert _told(await rest.read(name, user)) == given
    assert "authorization_details" not in await rest.read(name, user, "details")
    refused = await rest.link(name, user, status=400)
    assert "nothing to connect in a browser" in refused["message"]
    await rest.create(name, _user(), authorization_details={"static_auth": {"details": {"api_key": "k"}}}, status=400)


async def test_fields_are_those_of_the_providers_entry(rest: Rest) -> None:
    name, user = (await typed_connection(rest.house, FIELDS)).name, _user()
    one = {"static_auth": {"details": {"username": "ada"}}}
    refused = await rest.create(name, user, authorization_details=one, status=400)
    [broken] = refused["details"][0]["validation_error_info"]["field_violations"]
    assert broken["field"] == "connected_account.authorization_details.static_auth.details.password"
    both = {"static_auth": {"details": {"username": "ada", "password": "p"}}}
    assert _told(await rest.create(name, user, authorization_details=both)) == both
    assert _told(await rest.read(name, user)) == both
    shown = await rest("GET", ACCOUNTS, params={"connector": name})
    assert "password" not in str(shown)


async def test_what_a_provider_needs_besides_is_asked_for_once_there_is_a_credential(rest: Rest) -> None:
    needed = {
        "tenant": ConfigField(label="Tenant", required=True),
        "region": ConfigField(label="Region", required=True),
    }
    name = (await typed_connection(rest.house, FIELDS, config=needed)).name
    both = {"username": "ada", "password": "p"}

    waiting = _user()
    assert (await rest.create(name, waiting))["status"] == "PENDING_AUTH", "its owner is asked for it later"
    refused = await rest.update(name, waiting, authorization_details={"static_auth": {"details": both}}, status=400)
    assert "Tenant" in refused["message"] and "Region" in refused["message"]
    await rest.update(name, waiting, api_config={"tenant": "acme"})
    half = {"static_auth": {"details": {**both, "region": "eu"}}}  # the rest of the wire's fields, as they are declared
    made = await rest.update(name, waiting, authorization_details=half)
    assert (made["status"], _told(made)) == ("ACTIVE", {"static_auth": {"details": both}})
    assert made["api_config"] == {"tenant": "acme", "region": "eu"}

    mixed = _user()
    made = await rest.create(name, mixed, authorization_details=half, api_config={"tenant": "acme"})
    assert made["api_config"] == {"tenant": "acme", "region": "eu"}
    assert (await rest.create(name, _user(), authorization_details=half, status=400))["code"] == 3


async def test_what_the_connection_fixes_no_credential_says_otherwise(rest: Rest) -> None:
    """Neither in api_config nor among the fields of the credential: it may be the host that this one goes to."""
    domain = {"domain": ConfigField(label="Domain", required=True, pattern="[a-z.]+")}
    connection = await typed_connection(rest.house, FIELDS, config=domain)
    here, name, user = rest.house.environment_id, connection.name, _user()
    changes = Changes(config={"domain": "acme.com"})
    await rest.house.connections.update(here, name, "user", changes, Actor.system())
    details = {"username": "ada", "password": "p"}
    fields = {"static_auth": {"details": {**details, "domain": "evil.com"}}}
    refused = await rest.create(name, user, authorization_details=fields, status=400)
    assert "fixed for every account" in refused["message"]
    fields = {"static_auth": {"details": {**details, "domain": "acme.com"}}}
    assert (await rest.create(name, user, authorization_details=fields))["status"] == "ACTIVE"


async def test_an_accounts_own_client_mints_its_tokens(rest: Rest) -> None:
    name, user = (await typed_connection(rest.house, {}, method="client_credentials")).name, _user()
    half = {"static_auth": {"details": {"client_id": "id"}}}
    refused = await rest.create(name, user, authorization_details=half, status=400)
    assert "client_secret is needed" in refused["message"]
    given = {
        "client_id": rest.house.sandbox.client_id,
        "client_secret": rest.house.sandbox.client_secret.reveal(),
    }
    made = await rest.create(name, user, authorization_details={"static_auth": {"details": given}})
    assert (made["authorization_type"], "authorization_details" in made) == ("OAUTH_M2M", False)
    read = await rest.read(name, user)
    assert read["authorization_details"]["oauth_token"]["access_token"]
    assert given["client_secret"] not in str(read)


async def test_scopes_are_not_the_apps_to_change(rest: Rest) -> None:
    connection, user = await rest.house.connection(), _user()
    token = {"oauth_token": {"access_token": "at", "scopes": ["read"]}}
    await rest.create(connection.name, user, authorization_details=token)
    body = {
        "connector": connection.name,
        "identifier": user,
        "connected_account": {},
        "scope_selection": {"scopes": ["read", "write"]},
    }
    refused = await rest("PUT", ACCOUNTS, json=body, status=400)
    assert refused["code"] == 9 and "send a new link" in refused["message"]
    assert (await rest.read(connection.name, user))["authorization_details"]["oauth_token"]["scopes"] == ["read"]
    replaced = {"oauth_token": {"access_token": "at_2"}}
    changed = await rest.update(connection.name, user, authorization_details=replaced)
    assert _told(changed) == {"oauth_token": {"access_token": "at_2", "scopes": ["read"]}}


async def test_one_credential_serves_everybody_of_a_connection_that_organizations_own(rest: Rest) -> None:
    connection = await typed_connection(rest.house, FIELDS, owner_kind="organization")
    where = f"{ACCOUNTS}/org_wide/authorize"
    asked: dict[str, Any] = {"connection_id": f"conn_{connection.id}"}
    begun = await rest("POST", where, json=asked)
    assert begun["status"] == "PENDING_AUTH" and "/connect/links/" in begun["link"] and begun["expiry"]
    both = {"static_auth": {"details": {"username": "acme", "password": "p"}}}
    done = await rest("POST", where, json={**asked, "authorization_details": both})
    assert (done["status"], done["connected_account_id"]) == ("ACTIVE", begun["connected_account_id"])
    assert "link" not in done
    for anybody in (_user(), _user()):
        read = await rest.read(connection.name, anybody)
        assert (_told(read), read["is_org_wide_credential"]) == (both, True)
    listed = await rest("GET", ACCOUNTS, params={"is_org_wide_credential": "true"})
    assert done["connected_account_id"] in [item["id"] for item in listed["connected_accounts"]]
    mine = await rest.house.connection()
    refused = await rest("POST", where, json={"connection_id": f"conn_{mine.id}"}, status=400)
    assert refused["code"] == 9


def _told(account: dict[str, Any]) -> Any:
    """Return the credential as shown, without what is empty."""
    return {
        kind: {name: value for name, value in fields.items() if value not in ("", [])}
        for kind, fields in account["authorization_details"].items()
    }

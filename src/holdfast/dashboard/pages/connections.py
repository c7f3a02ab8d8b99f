"""Connections: our clients at providers. Choose a provider, register the redirect URI there, enter id and secret."""

import re
from typing import Any, Literal

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from holdfast.access.administrators import Right
from holdfast.accounts.removal import Removal
from holdfast.connections import Connection, Connections, store
from holdfast.connections.changes import Changes, NewConnection
from holdfast.connections.checkup import CheckUp
from holdfast.connections.clients import ClientInput
from holdfast.connections.connection import REVOKES, Client, ClientSupply, Effective, Revokes, redirect_uri
from holdfast.connections.oauth_settings import UNSET, OAuthSettings, merged, methods
from holdfast.dashboard.frame import Frame, Visit
from holdfast.errors import Conflict, HoldfastError, Invalid, NotFound, Unprocessable
from holdfast.providers.custom import RESERVED
from holdfast.providers.entry import Method, Provider
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

PAGE = 50
_HIDDEN = {"client_secret"}
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
"""RFC 6749 section 3.3."""


class ConnectionPages:
    def __init__(
        self, frame: Frame, database: Database, connections: Connections, removal: Removal, check_up: CheckUp
    ) -> None:
        self._frame, self._database, self._connections, self._removal = frame, database, connections, removal
        self._check_up = check_up

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            frame.get("connections", self.all),
            frame.get("connections/new/{slug}", self.new, Right.CONFIGURE),
            frame.post("connections/new/{slug}", self.create, Right.CONFIGURE),
            frame.get("connections/{id}", self.one),
            frame.post("connections/{id}", self.change, Right.CONFIGURE),
            frame.post("connections/{id}/check", self.check, Right.CONFIGURE),
            frame.post("connections/{id}/enable", self.enable, Right.CONFIGURE),
            frame.post("connections/{id}/disable", self.disable, Right.CONFIGURE),
            frame.get("connections/{id}/delete", self.ask_delete, Right.CONFIGURE),
            frame.post("connections/{id}/delete", self.delete, Right.CONFIGURE),
        ]

    async def all(self, visit: Visit) -> Response:
        after, before = visit.query("after") or None, visit.query("before") or None

        def work(tx: Tx) -> tuple[list[tuple[Connection, Provider]], bool]:
            found = store.list_connections(
                tx, visit.environment_id, limit=PAGE + 1, after=after, before=before, newest_first=True
            )
            more = len(found) > PAGE
            found = found[-PAGE:] if before and not after else found[:PAGE]
            return [
                (item, self._connections.provider(tx, visit.environment_id, item.provider_slug)) for item in found
            ], more

        rows, more = await self._database.transact(work)
        return self._frame.page(visit, "connections.html", rows=rows, more=more, after=after, before=before)

    async def new(self, visit: Visit) -> Response:
        return self._frame.page(visit, "connection_new.html", provider=await self._provider(visit))

    async def create(self, visit: Visit) -> Response:
        provider = await self._provider(visit)
        try:
            method = _method(visit.text("method"), provider)
            supply: ClientSupply = "organization" if visit.text("client_supply") == "organization" else "custom"
            client = _client(visit) if method == "oauth" and supply == "custom" else None
            if client is not None and client.client_secret is None and _takes_secret(provider):
                raise _wrong("client_secret", "the secret that the provider gave you with the id")
            if supply == "organization" and (visit.text("client_id") or visit.secret("client_secret")):
                raise _wrong("client_id", "leave id and secret empty: each organization supplies its own")
            made = await self._connections.create(
                visit.environment_id,
                NewConnection(
                    provider_slug=provider.slug,
                    name=_name(visit),
                    owner_kind="organization" if visit.text("owner_kind") == "organization" else "user",
                    method=method,
                    client_supply=supply if method == "oauth" else None,
                    client=client,
                    scopes=_scopes(visit) if method == "oauth" else None,
                    required_scopes=_scopes(visit, "required") if method == "oauth" else (),
                    enabled=bool(visit.text("enabled")),
                    description=visit.text("description") or None,
                    config={
                        name: visit.text(f"config.{name}")
                        for name, item in provider.config.items()
                        if visit.text(f"config.{name}")
                    },
                ),
                visit.signed_in.administrator.actor(),
            )
        except HoldfastError as error:
            if isinstance(error, Conflict):
                message = "there is a connection of this name for such accounts already: give this one another"
                error.fields = ({"field": "name", "message": message},)
            return self._frame.mistakes(
                visit,
                "connection_new.html",
                _at_fields(error),
                hidden=_HIDDEN,
                provider=provider,
            )
        return self._frame.done(visit, f"connections/{made.id}", "connection-made")

    async def one(self, visit: Visit) -> Response:
        return self._frame.page(visit, "connection.html", **await self._facts(visit))

    async def change(self, visit: Visit) -> Response:
        connection, effective, before = await self._database.transact(lambda tx: self._find(tx, visit))
        entry = await self._entry(visit, connection)
        try:
            client = _changed_client(visit, before) if connection.client_supply == "custom" else None
            await self._connections.update(
                visit.environment_id,
                connection.name,
                connection.owner_kind,
                Changes(
                    description=visit.text("description") or None,
                    scopes=_scopes(visit) if connection.method == "oauth" else None,
                    required_scopes=_scopes(visit, "required") if connection.method == "oauth" else None,
                    client=client,
                    revokes=next((one for one in REVOKES if one == visit.text("revokes")), None),
                    proxy_rules=_rules(visit, "proxy_rules"),
                    approval_rules=_rules(visit, "approval_rules"),
                    oauth_settings=_oauth_settings(visit, effective, entry),
                ),
                visit.signed_in.administrator.actor(),
            )
        except HoldfastError as error:
            return self._frame.mistakes(
                visit, "connection.html", _at_fields(error), hidden=_HIDDEN, **await self._facts(visit)
            )
        return self._frame.done(visit, f"connections/{connection.id}", "saved")

    async def check(self, visit: Visit) -> Response:
        """Ask the provider about the connection, and show what came of it."""
        _, effective, client = await self._database.transact(lambda tx: self._find(tx, visit))
        checks = await self._check_up.run(effective, client)
        return self._frame.page(visit, "connection.html", **{**await self._facts(visit), "checks": checks})

    async def enable(self, visit: Visit) -> Response:
        return await self._switch(visit, True)

    async def disable(self, visit: Visit) -> Response:
        return await self._switch(visit, False)

    async def _switch(self, visit: Visit, enabled: bool) -> Response:
        connection, *_ = await self._database.transact(lambda tx: self._find(tx, visit))
        await self._connections.update(
            visit.environment_id,
            connection.name,
            connection.owner_kind,
            Changes(enabled=enabled),
            visit.signed_in.administrator.actor(),
        )
        return self._frame.done(visit, f"connections/{connection.id}", "enabled" if enabled else "disabled")

    async def ask_delete(self, visit: Visit) -> Response:
        return self._frame.page(visit, "connection_delete.html", **await self._facts(visit))

    async def delete(self, visit: Visit) -> Response:
        facts = await self._facts(visit)
        connection: Connection = facts["connection"]
        if visit.text("name") != connection.name:
            error = Unprocessable(
                "type the connection's name", fields=[{"field": "name", "message": f"type {connection.name}"}]
            )
            return self._frame.mistakes(visit, "connection_delete.html", error, **facts)
        await self._removal.delete_connection(
            visit.environment_id, connection.name, connection.owner_kind, visit.signed_in.administrator.actor()
        )
        return RedirectResponse(visit.url("connections") + "?did=deleted", 303)

    async def _provider(self, visit: Visit) -> Provider:
        slug = visit.path["slug"]
        return await self._database.transact(lambda tx: self._connections.provider(tx, visit.environment_id, slug))

    async def _entry(self, visit: Visit, connection: Connection) -> Provider:
        """Return the provider as its entry says, without what the connection sets for itself."""
        slug = connection.provider_slug
        return await self._database.transact(lambda tx: self._connections.provider(tx, visit.environment_id, slug))

    def _find(self, tx: Tx, visit: Visit) -> tuple[Connection, Effective, Client | None]:
        connection = store.by_id(tx, visit.environment_id, visit.path["id"])
        if connection is None:
            raise NotFound("there is no such connection")
        ref = connection.client_ref
        client = store.client(tx, visit.environment_id, ref) if ref else None
        return connection, self._connections.effective(tx, connection), client

    async def _facts(self, visit: Visit) -> dict[str, Any]:
        connection, effective, client = await self._database.transact(lambda tx: self._find(tx, visit))
        provider, entry = effective.provider, await self._entry(visit, connection)
        offered = dict.fromkeys(
            [*provider.scope_help, *(provider.oauth2.scopes if provider.oauth2 else ()), *effective.scopes]
        )
        return {
            "connection": connection,
            "provider": provider,
            "effective": effective,
            "client": client,
            "redirect_uri": redirect_uri(self._frame.base_url, connection),
            "offered": list(offered),
            "revoking": _revoking(provider),
            "proofs": _proofs(entry),
            "checks": None,
        }


def _revoking(provider: Provider) -> list[tuple[Revokes, str]]:
    """Return the choices of what the provider is told when an account is disconnected; none where there is no way."""
    if provider.revoke is None:
        return []
    usual = {
        "token": "Yes, except through the WorkOS API",
        "grant": "Yes, except through the WorkOS API",
        "install": "No: it would uninstall your app for everybody there",
        "all_user_sessions": "No: it would sign the person out everywhere",
    }[provider.revoke.kills]
    return [("usual", f"{usual} (usual)"), ("always", "Yes, always"), ("never", "No")]


def _proofs(provider: Provider) -> list[tuple[str, str]]:
    """Return the ways of the client to prove itself that may be chosen; none where there is no choice."""
    allowed = methods(provider.oauth2) if provider.oauth2 is not None else ()
    words = {
        "client_secret_basic": "Its secret in the Authorization header (client_secret_basic)",
        "client_secret_post": "Its secret in the request's body (client_secret_post)",
        "client_secret_jwt": "Assertions signed with its secret (client_secret_jwt)",
        "secret_as_basic_user": "Its secret as the user name (Basic)",
        "none": "It has no secret (none)",
    }
    return [(one, words.get(one, one)) for one in allowed] if len(allowed) > 1 else []


def _method(text: str, provider: Provider) -> Method:
    methods = provider.connect_methods()
    return next((method for method in methods if method == text), methods[0])


def _client(visit: Visit) -> ClientInput:
    client_id, secret = visit.text("client_id"), visit.secret("client_secret").strip()
    if not client_id:
        raise _wrong("client_id", "the client id that the provider gave you")
    return ClientInput(client_id, Secret(secret) if secret else None)


def _changed_client(visit: Visit, before: Client | None) -> ClientInput | None:
    """Return what was entered, None for a form without these fields. Another id is another client: its secret is not
    the one that is kept. Raises Unprocessable naming the field."""
    if "client_id" not in visit.form and not visit.secret("client_secret"):
        return None
    client = _client(visit)
    moved = before is not None and before.secret is not None and before.client_id != client.client_id
    if moved and client.client_secret is None:
        raise _wrong("client_secret", "another client id has another secret: enter it too")
    return client


def _takes_secret(provider: Provider) -> bool:
    dialect = provider.oauth2
    return dialect is None or (dialect.client_secret_required and dialect.client_auth != "none")


def _name(visit: Visit) -> str | None:
    name = visit.text("name")
    if name and (_NAME.fullmatch(name) is None or name in RESERVED):
        raise _wrong("name", "1 to 64 lower-case letters, digits, - or _, and no word that an address has")
    return name or None


def _scopes(visit: Visit, least: Literal["asked", "required"] = "asked") -> list[str]:
    """Return the scopes that were chosen and those that were typed, each once, in order; or the required ones."""
    levels = {"asked": ("asked", "required"), "required": ("required",)}[least]
    chosen = [name.removeprefix("scope:") for name in visit.form if name.startswith("scope:")]
    picked = [scope for scope in chosen if visit.text(f"scope:{scope}") in levels]
    typed = visit.text("more_scopes").replace(",", " ").split() if least == "asked" else []
    strange = next((scope for scope in typed if _SCOPE.fullmatch(scope) is None), None)
    if strange is not None:
        raise _wrong("more_scopes", f"{strange[:40]} is no scope: letters, digits and signs but quotes and backslashes")
    return list(dict.fromkeys([*picked, *typed]))


def _rules(visit: Visit, field: str) -> list[str] | None:
    """Return the rules that were typed, one a line; None for a form without them."""
    if field not in visit.form:
        return None
    return [line for line in visit.text(field).splitlines() if line.strip()]


def _oauth_settings(visit: Visit, effective: Effective, entry: Provider) -> OAuthSettings:
    """Return what the form sets, of which the parameters are all there are; nothing for a form without them. Raises
    Unprocessable naming the field."""
    dialect = effective.provider.oauth2
    if "authorize_params" not in visit.form or dialect is None or entry.oauth2 is None:
        return UNSET
    params = dict.fromkeys(dialect.authorize_params, "")
    for line in visit.text("authorize_params").splitlines():
        name, sign, value = line.strip().partition("=")
        if name and not (sign and value):
            raise _wrong("authorize_params", f"{name[:40]}: one a line, as name=value")
        if name:
            params[name.strip()] = value.strip()
    method = next((one for one in methods(entry.oauth2) if one == visit.text("token_endpoint_auth_method")), None)
    change = OAuthSettings(params=params, pkce={"on": True, "off": False}.get(visit.text("pkce")), client_auth=method)
    try:
        merged(effective.connection.oauth_settings, change, entry)
    except Invalid as error:
        fault = error.fields[0]
        places = {"pkce_enabled": "pkce", "token_endpoint_auth_method": "token_endpoint_auth_method"}
        raise _wrong(places.get(fault["field"], "authorize_params"), fault["message"]) from None
    return change


_FIELDS = {
    "credentials.client_secret": "client_secret",
    "credentials.client_id": "client_id",
    "credentials": "client_id",
}


def _wrong(field: str, message: str) -> Unprocessable:
    return Unprocessable(message, fields=[{"field": field, "message": message}])


def _at_fields(error: HoldfastError) -> HoldfastError:
    """Put an error that names a member of the wire beside the field of the form that stands for it."""
    fields = [
        {"field": _FIELDS.get(item["field"], item["field"]), "message": item.get("message", error.message)}
        for item in error.fields
        if "field" in item
    ]
    error.fields = tuple(fields)
    return error

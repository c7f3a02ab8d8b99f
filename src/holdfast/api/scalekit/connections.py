"""ConnectionService: an environment's connections: the WorkOS door's data integrations. `key_id` is the name."""

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.api.scalekit import connection_config
from holdfast.api.scalekit.connection_rendering import connection_shown, listed_connection
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.fault_fields import bad
from holdfast.api.scalekit.faults import Exists, FailedPrecondition
from holdfast.api.scalekit.inputs import texts_in
from holdfast.api.scalekit.naming import CONNECTION, bare
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rpc import Call, Handler
from holdfast.connections import Client, Connection
from holdfast.connections import store as connection_store
from holdfast.connections.changes import Changes, NewConnection, OverrideChanges
from holdfast.errors import Conflict, NotFound
from holdfast.providers.entry import Provider
from holdfast.storage import Connection as Tx

DEFAULT_PAGE, MOST_ON_A_PAGE = 10, 30
_SPARE = string.ascii_lowercase + string.digits
_SPARE_LENGTH = 8


@dataclass(frozen=True, slots=True)
class _Whole:
    connection: Connection
    provider: Provider
    client: Client | None


@dataclass(frozen=True)
class ConnectionRpcs:
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {
            "ConnectionService.CreateEnvironmentConnection": self.create,
            "ConnectionService.GetEnvironmentConnection": self.get,
            "ConnectionService.UpdateEnvironmentConnection": self.update,
            "ConnectionService.DeleteEnvironmentConnection": self.delete,
            "ConnectionService.EnableEnvironmentConnection": self.enable,
            "ConnectionService.DisableEnvironmentConnection": self.disable,
            "ConnectionService.ListAppConnections": self.list_app,
            "ConnectionService.GetConnectionContext": self.get_context,
            "ConnectionService.UpdateConnectionContext": self.update_context,
        }

    async def create(self, call: Call) -> Message:
        """Make a connection. It has no client yet: until UpdateEnvironmentConnection gives one nobody can connect."""
        asked = call.request.connection
        if call.request.flags.is_login:
            raise bad("flags.is_login", "there are no connections for signing in here", "in")
        key = connection_config.provider_asked(asked)
        name = connection_config.name_in(asked.key_id)
        provider = await self.parts.database.transact(
            lambda tx: self.parts.provider_keys.find(tx, call.environment_id, key)
        )
        method = connection_config.method_in(asked.type, provider)
        if method == "oauth" and provider.oauth2 is None:
            raise FailedPrecondition(
                f"'{provider.name}' has no OAuth endpoints: set authorize_uri and token_uri in its oauth_config",
                code="endpoints_unknown",
            )
        new = NewConnection(
            provider_slug=provider.slug,
            name=name,
            spare_name=f"{provider.slug}-{''.join(secrets.choice(_SPARE) for _ in range(_SPARE_LENGTH))}",
            owner_kind=connection_config.owner_kind_in(asked.auth_mode),
            method=method,
            client_supply="custom" if method == "oauth" else None,
            draft=True,
            callback_by_id=True,
            enabled=True,
            config=texts_in(asked.context),
        )
        try:
            made = await self.parts.connections.create(call.environment_id, new, call.actor())
        except Conflict as error:
            raise Exists(error.message, code=error.code) from None
        return call.reply(connection=await self._shown(call, made.id))

    async def get(self, call: Call) -> Message:
        return call.reply(connection=await self._shown(call, self._id(call)))

    async def update(self, call: Call) -> Message:
        whole = await self._find(call, self._id(call))
        changes = connection_config.changes_in(
            call.request.connection, whole.connection, whole.provider, whole.client, self.parts.base_url
        )
        await self._change(call, whole.connection, changes)
        return call.reply(connection=await self._shown(call, whole.connection.id))

    async def delete(self, call: Call) -> Message:
        """Delete a connection with its accounts. A custom provider stays, whichever door defined it: on this wire
        providers end by DeleteCustomProvider alone."""
        found = (await self._find(call, self._id(call))).connection
        await self.parts.removal.delete_connection(
            call.environment_id, found.name, found.owner_kind, call.actor(), with_definition=False
        )
        return call.reply()

    async def enable(self, call: Call) -> Message:
        return await self._toggle(call, enabled=True)

    async def disable(self, call: Call) -> Message:
        return await self._toggle(call, enabled=False)

    async def list_app(self, call: Call) -> Message:
        """List connections, newest first."""
        request, pages = call.request, self.parts.pages
        provider, text = call.given("provider"), call.given("query")
        what = (provider or "", text or "")
        size = min(request.page_size or DEFAULT_PAGE, MOST_ON_A_PAGE)
        start = pages.start(call, request.page_token, *what)

        def work(tx: Tx) -> tuple[list[tuple[Connection, Provider]], int]:
            slugs = None
            if provider is not None:
                slugs = self.parts.provider_keys.slugs(tx, call.environment_id, [provider])
            found = connection_store.list_connections(
                tx,
                call.environment_id,
                limit=size + 1,
                after=start.after,
                before=start.before,
                newest_first=True,
                providers=slugs,
                text=text,
            )
            total = connection_store.count_connections(tx, call.environment_id, providers=slugs, text=text)
            return [(row, self._provider(tx, row)) for row in found], total

        found, total = await self.parts.database.transact(work)
        rows, more_after, more_before = start.cut(found, size)
        return call.reply(
            connections=[listed_connection(*row) for row in rows],
            total_size=total,
            next_page_token=pages.after(call, rows[-1][0].id, *what) if more_after else None,
            prev_page_token=pages.before(call, rows[0][0].id, *what) if more_before else None,
        )

    async def get_context(self, call: Call) -> Message:
        """Return the values that the provider's addresses and parameters need. Secret ones are left out."""
        whole = await self._find(call, self._id(call))
        organization = call.given("organization_id") or ""
        effective = await self.parts.database.transact(
            lambda tx: self.parts.connections.effective(tx, whole.connection, organization)
        )
        declared = whole.provider.config
        hidden = {name for name, field in declared.items() if field.secret}
        shown = {name: value for name, value in effective.config.items() if name not in hidden}
        return call.reply(context=shown)

    async def update_context(self, call: Call) -> Message:
        """Replace those values, for everybody or for one organization.

        An organization's are for what the connection leaves open: it cannot differ from what is set for everybody.
        """
        found = (await self._find(call, self._id(call))).connection
        values, organization = texts_in(call.request.context), call.given("organization_id")
        if organization:
            changes = OverrideChanges(context=values)
            await self.parts.connections.override(call.environment_id, organization, found.name, changes, call.actor())
        else:
            await self._change(call, found, Changes(config=values))
        return call.reply()

    async def _toggle(self, call: Call, *, enabled: bool) -> Message:
        found = (await self._find(call, self._id(call))).connection
        changed = await self._change(call, found, Changes(enabled=enabled))
        return call.reply(enabled=changed.enabled)

    async def _change(self, call: Call, found: Connection, changes: Changes) -> Connection:
        return await self.parts.connections.update(
            call.environment_id, found.name, found.owner_kind, changes, call.actor()
        )

    def _id(self, call: Call) -> str:
        return bare(CONNECTION, call.request.connection_id, "connection")

    def _provider(self, tx: Tx, found: Connection) -> Provider:
        return self.parts.connections.provider(tx, found.environment_id, found.provider_slug)

    async def _shown(self, call: Call, connection_id: str) -> Message:
        whole = await self._find(call, connection_id)
        return connection_shown(whole.connection, whole.provider, whole.client, self.parts.base_url)

    async def _find(self, call: Call, connection_id: str) -> _Whole:
        def work(tx: Tx) -> _Whole:
            found = connection_store.by_id(tx, call.environment_id, connection_id)
            if found is None:
                raise NotFound("there is no such connection", code="connection_not_found")
            provider = self._provider(tx, found)
            ref = found.client_ref
            return _Whole(found, provider, connection_store.client(tx, call.environment_id, ref) if ref else None)

        return await self.parts.database.transact(work)

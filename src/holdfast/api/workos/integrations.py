"""Data integrations: operations 1 to 8. The paths ending in /organization are the organization-owned roots."""

from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from holdfast.accounts import Account, ApiKey, Connecting, Owner
from holdfast.accounts import store as account_store
from holdfast.api.operations import Call, Nothing, Operation
from holdfast.api.workos.inputs import (
    ApiKeyInstallationIn,
    CreateDataIntegration,
    CredentialsIn,
    CustomProviderIn,
    IntegrationsQuery,
    UpdateDataIntegration,
)
from holdfast.api.workos.naming import INTEGRATION, Cursor
from holdfast.api.workos.outputs import DataIntegration, DataIntegrationList
from holdfast.api.workos.parts import Parts
from holdfast.api.workos.rendering import data_integration
from holdfast.connections import Connection
from holdfast.connections import store as connection_store
from holdfast.connections.changes import Changes, NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.connections.connection import OwnerKind
from holdfast.errors import Conflict, Invalid, Unprocessable
from holdfast.oauth2.dialect import Dialect, ReplyDialect
from holdfast.providers.entry import Provider
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx

TAG = "Data integrations"


@dataclass(frozen=True)
class IntegrationOperations:
    parts: Parts

    def operations(self) -> list[Operation]:
        listed = Operation(
            method="GET",
            path="/data-integrations",
            id="list_data_integrations",
            summary="List data integrations",
            handler=self.page,
            query=IntegrationsQuery,
            reply=DataIntegrationList,
            tag=TAG,
        )
        created = Operation(
            method="POST",
            path="/data-integrations",
            id="create_data_integration",
            summary="Create a data integration for a built-in or a new custom provider",
            handler=self.create,
            body=CreateDataIntegration,
            reply=DataIntegration,
            status=201,
            errors=(404, 409),
            tag=TAG,
        )
        return [listed, created, *self._root("", "user"), *self._root("/organization", "organization")]

    def _root(self, suffix: str, owner_kind: OwnerKind) -> list[Operation]:
        path, name = "/data-integrations/{slug}" + suffix, f"{owner_kind}_owned_data_integration"

        async def get(call: Call[Nothing, None]) -> DataIntegration:
            return await self._shown(call.environment_id, call.path["slug"], owner_kind)

        async def update(call: Call[Nothing, UpdateDataIntegration]) -> DataIntegration:
            return await self._update(call, owner_kind)

        async def delete(call: Call[Nothing, None]) -> None:
            await self.parts.removal.delete_connection(
                call.environment_id, call.path["slug"], owner_kind, call.principal.actor(), revokes=False
            )

        kind = f"the {owner_kind}-owned data integration of a slug"
        return [
            Operation(
                method="GET",
                path=path,
                id=f"get_{name}",
                summary=f"Get {kind}",
                handler=get,
                reply=DataIntegration,
                errors=(404,),
                tag=TAG,
            ),
            Operation(
                method="PUT",
                path=path,
                id=f"update_{name}",
                summary=f"Change {kind}",
                handler=update,
                body=UpdateDataIntegration,
                reply=DataIntegration,
                errors=(404, 409),
                tag=TAG,
            ),
            Operation(
                method="DELETE",
                path=path,
                id=f"delete_{name}",
                summary=f"Delete {kind}, with all its connected accounts",
                handler=delete,
                errors=(404,),
                tag=TAG,
            ),
        ]

    async def page(self, call: Call[IntegrationsQuery, None]) -> DataIntegrationList:
        query = call.query
        cursor = Cursor(INTEGRATION, limit=query.limit, after=query.after, before=query.before, order=query.order)

        def work(tx: Tx) -> DataIntegrationList:
            found = connection_store.list_connections(
                tx,
                call.environment_id,
                limit=cursor.limit + 1,
                after=cursor.after,
                before=cursor.before,
                newest_first=cursor.newest_first,
                owner_kind=query.ownership,
            )
            rows, metadata = cursor.page(found, lambda connection: connection.id)
            return DataIntegrationList(data=[self._render(tx, row) for row in rows], list_metadata=metadata)

        return await self.parts.database.transact(work)

    async def create(self, call: Call[Nothing, CreateDataIntegration]) -> DataIntegration:
        body = call.body
        method = (body.auth_methods or ["oauth"])[0]
        if body.api_key is not None and method != "api_key":
            raise Invalid("api_key is for integrations with auth_methods ['api_key']")
        connection = await self.parts.connections.create(
            call.environment_id,
            NewConnection(
                provider_slug=body.provider,
                owner_kind=body.ownership,
                method=method,
                client_supply=body.credentials.type if body.credentials else None,
                client=_client(body.credentials),
                scopes=body.scopes,
                enabled=body.enabled,
                description=body.description,
                config=body.config or {},
                definition=None
                if body.custom_provider is None
                else defined(body.provider, body.custom_provider, method),
            ),
            call.principal.actor(),
        )
        account = None
        if body.api_key is not None:
            account = await self._install(call, connection, body.api_key)
        return await self._shown(call.environment_id, connection.name, connection.owner_kind, account)

    async def _update(self, call: Call[Nothing, UpdateDataIntegration], owner_kind: OwnerKind) -> DataIntegration:
        body, environment_id, slug = call.body, call.environment_id, call.path["slug"]
        if body.credentials is not None and body.api_key is not None:
            raise Invalid("credentials and api_key cannot be changed in one request")
        if body.credentials is not None and body.credentials.type == "organization":
            raise Invalid("credentials of type organization are supplied by each organization")
        current, provider = await self.parts.database.transact(
            lambda tx: self._with_provider(tx, environment_id, slug, owner_kind)
        )
        if body.api_key is not None and current.method != "api_key":
            raise Unprocessable("api_key is for API key integrations", code="auth_method_mismatch")
        definition = None
        if body.custom_provider is not None:
            if not provider.custom:
                raise Invalid("custom_provider can be changed on custom providers only")
            definition = redefined(provider, body.custom_provider)
        connection = await self.parts.connections.update(
            environment_id,
            slug,
            owner_kind,
            Changes(
                description=body.description,
                enabled=body.enabled,
                scopes=body.scopes,
                required_scopes=body.required_scopes,
                client=_client(body.credentials),
                definition=definition,
            ),
            call.principal.actor(),
        )
        account = None
        if body.api_key is not None:
            account = await self._install(call, connection, body.api_key)
        return await self._shown(environment_id, slug, owner_kind, account)

    def _with_provider(
        self, tx: Tx, environment_id: str, slug: str, owner_kind: OwnerKind
    ) -> tuple[Connection, Provider]:
        connection = self.parts.connections.find(tx, environment_id, slug, owner_kind)
        return connection, self.parts.connections.provider(tx, environment_id, connection.provider_slug)

    async def _install(
        self, call: Call[Nothing, msgspec.Struct], connection: Connection, given: ApiKeyInstallationIn
    ) -> Account:
        """Store a tenant's API key. Several accounts of that tenant make it unclear which one is meant."""
        owner = (
            Owner.user(given.user_id, given.organization_id)
            if connection.owner_kind == "user"
            else Owner.organization(_needed(given.organization_id))
        )

        def look(tx: Tx) -> Connecting:
            mine = account_store.of_owner(tx, call.environment_id, connection.id, owner)
            if len(mine) > 1:
                raise Conflict(
                    "this tenant has several accounts here: use PUT /data-integrations/{slug}/api-key",
                    code="account_selection_required",
                )
            return Connecting(
                effective=self.parts.connections.effective(tx, connection, owner.organization_id),
                owner=owner,
                credential=ApiKey(Secret(given.secret)),
                intent="reauthorize" if mine else "add",
                account_id=mine[0].id if mine else None,
                actor=call.principal.actor(),
                established_by=given.user_id,
                request_id=call.request_id,
            )

        return await self.parts.accounts.connect(await self.parts.database.transact(look))

    async def _shown(
        self, environment_id: str, slug: str, owner_kind: OwnerKind, account: Account | None = None
    ) -> DataIntegration:
        return await self.parts.database.transact(
            lambda tx: self._render(tx, self.parts.connections.find(tx, environment_id, slug, owner_kind), account)
        )

    def _render(self, tx: Tx, connection: Connection, account: Account | None = None) -> DataIntegration:
        provider = self.parts.connections.provider(tx, connection.environment_id, connection.provider_slug)
        ref = connection.client_ref
        client = connection_store.client(tx, connection.environment_id, ref) if ref else None
        return data_integration(connection, provider, client, self.parts.base_url, account)


def _needed(organization_id: str | None) -> str:
    if organization_id is None:
        raise Unprocessable(
            "an organization-owned integration needs api_key.organization_id",
            fields=[{"field": "api_key.organization_id", "code": "required"}],
        )
    return organization_id


def _client(given: CredentialsIn | None) -> ClientInput | None:
    if given is None or (given.client_id is None and given.client_secret is None):
        return None
    if given.client_id is None:
        raise Invalid(
            "client_id and client_secret come together",
            fields=[{"field": "credentials.client_id", "code": "required"}],
        )
    return ClientInput(given.client_id, Secret(given.client_secret) if given.client_secret else None)


def defined(slug: str, given: CustomProviderIn, method: str) -> Provider:
    """Return a new custom provider's entry."""
    if isinstance(given.name, UnsetType):
        raise Unprocessable(
            "custom_provider.name is required", fields=[{"field": "custom_provider.name", "code": "required"}]
        )
    blank = Provider(
        slug=slug,
        name=given.name,
        auth="oauth2" if method == "oauth" else "oauth2_client_credentials" if method != "api_key" else "api_key",
        oauth2=None
        if method == "api_key"
        else Dialect(pkce="supported", response=ReplyDialect(errors_with_http_200=True)),
        client_credentials=method == "client_credentials",
        custom=True,
    )
    return redefined(blank, given)


def redefined(before: Provider, given: CustomProviderIn) -> Provider:
    """Return a custom provider's entry with what was given changed."""
    name = before.name if isinstance(given.name, UnsetType) else given.name
    if before.oauth2 is None:
        return msgspec.structs.replace(before, name=name)
    changes: dict[str, object] = {}
    plain = {
        "authorize_url": given.authorization_url,
        "token_url": given.token_url,
        "refresh_url": given.refresh_token_url,
        "scope_separator": given.request_scope_separator,
        "scopes_required": given.scopes_required,
        "client_secret_required": given.client_secret_required,
        "authorize_params": given.additional_authorization_parameters,
    }
    changes.update({key: value for key, value in plain.items() if value is not UNSET})
    if not isinstance(given.pkce_enabled, UnsetType):
        changes["pkce"] = "supported" if given.pkce_enabled else "omit"
    if not isinstance(given.token_body_content_type, UnsetType):
        changes["body"] = "json" if given.token_body_content_type == "application/json" else "form"  # noqa: S105
    if not isinstance(given.authenticate_via, UnsetType):
        basic = given.authenticate_via == "basic_auth_header"
        changes["client_auth"] = "client_secret_basic" if basic else "client_secret_post"
    return msgspec.structs.replace(before, name=name, oauth2=msgspec.structs.replace(before.oauth2, **changes))

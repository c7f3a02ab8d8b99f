"""What one organization changes of a data integration: operations 27 and 28."""

from dataclasses import dataclass

from msgspec import UnsetType

from holdfast.api.operations import Call, Nothing, Operation
from holdfast.api.workos.inputs import Configure
from holdfast.api.workos.outputs import Configuration, ConfigurationList
from holdfast.api.workos.parts import Parts
from holdfast.api.workos.rendering import configuration
from holdfast.connections import effective
from holdfast.connections import store as connection_store
from holdfast.connections.changes import OverrideChanges
from holdfast.connections.clients import ClientInput
from holdfast.errors import Invalid, Unprocessable
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx

TAG = "Organization configurations"
_PATH = "/organizations/{organization_id}/data_integration_configurations"


@dataclass(frozen=True)
class ConfigurationOperations:
    parts: Parts

    def operations(self) -> list[Operation]:
        return [
            Operation(
                method="GET",
                path=_PATH,
                id="list_organization_data_integration_configurations",
                summary="List how each data integration stands for an organization",
                handler=self.all_of,
                reply=ConfigurationList,
                errors=(404,),
                tag=TAG,
            ),
            Operation(
                method="PUT",
                path=_PATH + "/{slug}",
                id="update_organization_data_integration_configuration",
                summary="Change how a data integration stands for an organization",
                handler=self.update,
                body=Configure,
                reply=Configuration,
                errors=(404,),
                tag=TAG,
            ),
        ]

    async def all_of(self, call: Call[Nothing, None]) -> ConfigurationList:
        environment_id, organization_id = call.environment_id, call.path["organization_id"]

        def work(tx: Tx) -> ConfigurationList:
            names: dict[str, None] = {
                connection.name: None for connection in connection_store.all_of(tx, environment_id)
            }
            return ConfigurationList(data=[self._render(tx, environment_id, organization_id, name) for name in names])

        return await self.parts.database.transact(work)

    async def update(self, call: Call[Nothing, Configure]) -> Configuration:
        body, environment_id = call.body, call.environment_id
        organization_id, slug = call.path["organization_id"], call.path["slug"]
        nothing = body.enabled is None and isinstance(body.scopes, UnsetType)
        if nothing and body.client_id is None and body.config is None:
            raise Invalid("give at least one of enabled, scopes, client_id and config")
        if (body.client_id is None) != (body.client_secret is None):
            raise Invalid(
                "client_id and client_secret come together",
                fields=[{"field": "client_secret" if body.client_id else "client_id", "code": "required"}],
            )
        if not isinstance(body.scopes, UnsetType) and body.scopes is not None:
            await self._check_scopes(environment_id, slug, body.scopes)
        client = (
            ClientInput(body.client_id, Secret(body.client_secret))
            if body.client_id is not None and body.client_secret is not None
            else None
        )
        await self.parts.connections.override(
            environment_id,
            organization_id,
            slug,
            OverrideChanges(enabled=body.enabled, scopes=body.scopes, client=client, config=body.config),
            call.principal.actor(),
        )
        return await self.parts.database.transact(lambda tx: self._render(tx, environment_id, organization_id, slug))

    async def _check_scopes(self, environment_id: str, slug: str, scopes: list[str]) -> None:
        """An organization may narrow what the integration asks for, not widen it."""

        def work(tx: Tx) -> tuple[str, ...]:
            connection = self.parts.connections.any_of_name(tx, environment_id, slug)
            provider = self.parts.connections.provider(tx, environment_id, connection.provider_slug)
            return effective(connection, provider).scopes

        offered = await self.parts.database.transact(work)
        foreign = [scope for scope in scopes if scope not in offered]
        if foreign:
            raise Unprocessable(
                f"these scopes are not configured on '{slug}': {', '.join(foreign[:10])}",
                fields=[{"field": "scopes", "code": "scope_not_configured"}],
            )

    def _render(self, tx: Tx, environment_id: str, organization_id: str, slug: str) -> Configuration:
        connection = self.parts.connections.any_of_name(tx, environment_id, slug)
        override = connection_store.override(tx, environment_id, organization_id, slug)
        provider = self.parts.connections.provider(tx, environment_id, connection.provider_slug)
        ref = override.client_ref if override else None
        client = connection_store.client(tx, environment_id, ref) if ref else None
        return configuration(
            effective(connection, provider, override),
            override,
            client,
            organization_id,
            self.parts.base_url,
        )

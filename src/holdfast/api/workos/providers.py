"""What an owner can connect and has connected: operations 25 and 26."""

from dataclasses import dataclass

from holdfast.accounts import Owner
from holdfast.accounts import store as account_store
from holdfast.api.operations import Call, Operation
from holdfast.api.workos.inputs import ProvidersQuery
from holdfast.api.workos.outputs import DataProviderList
from holdfast.api.workos.parts import Parts
from holdfast.api.workos.rendering import data_provider
from holdfast.connections import effective
from holdfast.connections import store as connection_store
from holdfast.storage import Connection as Tx

TAG = "Data providers"


@dataclass(frozen=True)
class ProviderOperations:
    parts: Parts

    def operations(self) -> list[Operation]:
        return [
            Operation(
                method="GET",
                path="/user_management/users/{user_id}/data_providers",
                id="list_user_data_providers",
                summary="List what a user can connect, with the user's accounts",
                handler=self.of_user,
                query=ProvidersQuery,
                reply=DataProviderList,
                errors=(404,),
                tag=TAG,
            ),
            Operation(
                method="GET",
                path="/organizations/{organization_id}/data_providers",
                id="list_organization_data_providers",
                summary="List what an organization can connect, with its accounts",
                handler=self.of_organization,
                query=ProvidersQuery,
                reply=DataProviderList,
                errors=(404,),
                tag=TAG,
            ),
        ]

    async def of_user(self, call: Call[ProvidersQuery, None]) -> DataProviderList:
        return await self._list(call, Owner.user(call.path["user_id"], call.query.organization_id))

    async def of_organization(self, call: Call[ProvidersQuery, None]) -> DataProviderList:
        return await self._list(call, Owner.organization(call.path["organization_id"]))

    async def _list(self, call: Call[ProvidersQuery, None], owner: Owner) -> DataProviderList:
        """Enabled connections of the owner's kind, and disabled ones the owner has an account of; oldest first."""
        environment_id = call.environment_id

        def work(tx: Tx) -> DataProviderList:
            overrides = connection_store.overrides_of(tx, environment_id, owner.organization_id)
            mine = account_store.all_of_owner(tx, environment_id, owner)
            rows = []
            for connection in connection_store.all_of(tx, environment_id, owner.kind):
                provider = self.parts.connections.provider(tx, environment_id, connection.provider_slug)
                stands = effective(connection, provider, overrides.get(connection.name))
                accounts = [account for account in mine if account.connection_id == connection.id]
                if stands.enabled or accounts:
                    rows.append(data_provider(stands, accounts, plural=call.query.supports_multiple_connections))
            return DataProviderList(data=rows)

        return await self.parts.database.transact(work)

"""Webhook endpoints: operations 32. What is delivered to them: `notifications`."""

from dataclasses import dataclass

from holdfast import ids
from holdfast.api.operations import Call, Nothing, Operation
from holdfast.api.workos.inputs import CreateWebhookEndpoint, PageQuery, UpdateWebhookEndpoint
from holdfast.api.workos.naming import ENDPOINT, Cursor, bare
from holdfast.api.workos.outputs import WebhookEndpoint, WebhookEndpointList
from holdfast.api.workos.parts import Parts
from holdfast.clock import iso
from holdfast.storage import Connection as Tx
from holdfast.webhooks import Endpoint
from holdfast.webhooks import store as endpoint_store

TAG = "Webhook endpoints"


@dataclass(frozen=True)
class WebhookOperations:
    parts: Parts

    def operations(self) -> list[Operation]:
        return [
            Operation(
                method="GET",
                path="/webhook_endpoints",
                id="list_webhook_endpoints",
                summary="List webhook endpoints",
                handler=self.page,
                query=PageQuery,
                reply=WebhookEndpointList,
                tag=TAG,
            ),
            Operation(
                method="POST",
                path="/webhook_endpoints",
                id="create_webhook_endpoint",
                summary="Create a webhook endpoint",
                handler=self.create,
                body=CreateWebhookEndpoint,
                reply=WebhookEndpoint,
                status=201,
                errors=(409,),
                tag=TAG,
            ),
            Operation(
                method="PATCH",
                path="/webhook_endpoints/{id}",
                id="update_webhook_endpoint",
                summary="Change a webhook endpoint",
                handler=self.update,
                body=UpdateWebhookEndpoint,
                reply=WebhookEndpoint,
                errors=(404, 409),
                tag=TAG,
            ),
            Operation(
                method="DELETE",
                path="/webhook_endpoints/{id}",
                id="delete_webhook_endpoint",
                summary="Delete a webhook endpoint",
                handler=self.delete,
                errors=(404,),
                tag=TAG,
            ),
        ]

    async def page(self, call: Call[PageQuery, None]) -> WebhookEndpointList:
        query = call.query
        cursor = Cursor(ENDPOINT, limit=query.limit, after=query.after, before=query.before, order=query.order)

        def work(tx: Tx) -> list[Endpoint]:
            return endpoint_store.list_endpoints(
                tx,
                call.environment_id,
                limit=cursor.limit + 1,
                after=cursor.after,
                before=cursor.before,
                newest_first=cursor.newest_first,
            )

        rows, metadata = cursor.page(await self.parts.database.transact(work), lambda endpoint: endpoint.id)
        return WebhookEndpointList(data=[await self._render(row) for row in rows], list_metadata=metadata)

    async def create(self, call: Call[Nothing, CreateWebhookEndpoint]) -> WebhookEndpoint:
        endpoint = await self.parts.endpoints.create(
            call.environment_id, call.body.endpoint_url, call.body.events, call.principal.actor()
        )
        return await self._render(endpoint)

    async def update(self, call: Call[Nothing, UpdateWebhookEndpoint]) -> WebhookEndpoint:
        body = call.body
        endpoint = await self.parts.endpoints.update(
            call.environment_id,
            bare(ENDPOINT, call.path["id"], "webhook endpoint"),
            url=body.endpoint_url,
            status=body.status,
            events=body.events,
            actor=call.principal.actor(),
        )
        return await self._render(endpoint)

    async def delete(self, call: Call[Nothing, None]) -> None:
        endpoint_id = bare(ENDPOINT, call.path["id"], "webhook endpoint")
        await self.parts.endpoints.delete(call.environment_id, endpoint_id, call.principal.actor())

    async def _render(self, endpoint: Endpoint) -> WebhookEndpoint:
        return WebhookEndpoint(
            id=ids.with_prefix(ENDPOINT, endpoint.id),
            endpoint_url=endpoint.url,
            secret=(await self.parts.endpoints.reveal(endpoint)).reveal(),
            status=endpoint.status,
            events=list(endpoint.events),
            created_at=iso(endpoint.created_at),
            updated_at=iso(endpoint.updated_at),
        )

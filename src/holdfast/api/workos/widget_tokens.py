"""Operation 29, `/widgets/token`, and the CORS origins that widgets may be used from."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from holdfast import ids
from holdfast.access.widgets import CorsOrigin as Record
from holdfast.access.widgets import Permission, registering
from holdfast.access.widgets import store as origin_store
from holdfast.accounts import Owner
from holdfast.api.operations import Call, Nothing, Operation
from holdfast.api.workos.inputs import OwnerId, PageQuery, Slug, Text
from holdfast.api.workos.naming import Cursor, bare
from holdfast.api.workos.outputs import ListMetadata
from holdfast.api.workos.parts import Parts
from holdfast.clock import iso
from holdfast.errors import Unprocessable
from holdfast.storage import Connection as Tx

TAG = "Widgets"
_ORIGIN = "cors_origin"
_ORIGINS = "/user_management/cors_origins"


class CreateWidgetToken(msgspec.Struct, frozen=True, kw_only=True):
    user_id: OwnerId | None = None
    organization_id: OwnerId | None = None
    scopes: Annotated[list[Permission], Meta(max_length=20)] | None = None
    connections: Annotated[list[Slug], Meta(max_length=100)] | None = None
    """Ours: the slugs that the session is for; without it, all that the user may connect."""


class WidgetToken(msgspec.Struct, frozen=True):
    token: str

    def __repr__(self) -> str:
        return "WidgetToken(<sealed>)"


class CreateCorsOrigin(msgspec.Struct, frozen=True, kw_only=True):
    origin: Text


class CorsOrigin(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["cors_origin"] = "cors_origin"
    id: str
    origin: str
    created_at: str
    updated_at: str


class CorsOriginList(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[CorsOrigin]
    list_metadata: ListMetadata


@dataclass(frozen=True)
class WidgetTokenOperations:
    parts: Parts

    def operations(self) -> list[Operation]:
        return [
            Operation(
                method="POST",
                path="/widgets/token",
                id="create_widget_token",
                summary="Make a token with which a user's browser looks after that user's accounts, for an hour",
                handler=self.token,
                body=CreateWidgetToken,
                reply=WidgetToken,
                status=201,
                errors=(403, 404),
                tag=TAG,
            ),
            Operation(
                method="GET",
                path=_ORIGINS,
                id="list_cors_origins",
                summary="List the origins whose pages may use widgets",
                handler=self.page,
                query=PageQuery,
                reply=CorsOriginList,
                tag=TAG,
            ),
            Operation(
                method="POST",
                path=_ORIGINS,
                id="create_cors_origin",
                summary="Let pages of an origin use widgets",
                handler=self.create,
                body=CreateCorsOrigin,
                reply=CorsOrigin,
                status=201,
                errors=(409,),
                tag=TAG,
            ),
            Operation(
                method="DELETE",
                path=_ORIGINS + "/{id}",
                id="delete_cors_origin",
                summary="Take an origin off the list",
                handler=self.delete,
                errors=(404,),
                tag=TAG,
            ),
        ]

    async def token(self, call: Call[Nothing, CreateWidgetToken]) -> WidgetToken:
        body = call.body
        if body.user_id is None:
            raise Unprocessable("user_id is required", fields=[{"field": "user_id", "code": "required"}])
        if body.scopes and body.organization_id is None:
            raise Unprocessable(
                "scopes need organization_id", fields=[{"field": "organization_id", "code": "required"}]
            )
        user_id, organization_id = body.user_id, body.organization_id

        def check(tx: Tx) -> None:
            owner = Owner.user(user_id, organization_id)
            self.parts.accounts.check_may_act(tx, call.environment_id, owner, user_id)
            for name in body.connections or ():
                self.parts.connections.find(tx, call.environment_id, name, "user")

        await self.parts.database.transact(check)
        token = await self.parts.widgets.issue(
            call.environment_id,
            call.principal.key_id,
            user_id,
            organization_id=organization_id,
            connections=body.connections,
            permissions=body.scopes or (),
            request_id=call.request_id,
        )
        return WidgetToken(token.reveal())

    async def page(self, call: Call[PageQuery, None]) -> CorsOriginList:
        query = call.query
        cursor = Cursor(_ORIGIN, limit=query.limit, after=query.after, before=query.before, order=query.order)
        found = await self.parts.database.transact(
            lambda tx: origin_store.page_origins(
                tx,
                call.environment_id,
                limit=cursor.limit + 1,
                after=cursor.after,
                before=cursor.before,
                newest_first=cursor.newest_first,
            )
        )
        rows, metadata = cursor.page(found, lambda record: record.id)
        return CorsOriginList(data=[_render(row) for row in rows], list_metadata=metadata)

    async def create(self, call: Call[Nothing, CreateCorsOrigin]) -> CorsOrigin:
        made = await registering.register(
            self.parts.database,
            self.parts.clock,
            call.environment_id,
            call.body.origin,
            call.principal.actor(),
            call.request_id,
        )
        return _render(made)

    async def delete(self, call: Call[Nothing, None]) -> None:
        origin_id = bare(_ORIGIN, call.path["id"], "CORS origin")
        await registering.forget(
            self.parts.database,
            self.parts.clock,
            call.environment_id,
            origin_id,
            call.principal.actor(),
            call.request_id,
        )


def _render(record: Record) -> CorsOrigin:
    at = iso(record.created_at)
    return CorsOrigin(id=ids.with_prefix(_ORIGIN, record.id), origin=record.origin, created_at=at, updated_at=at)

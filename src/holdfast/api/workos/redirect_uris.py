"""Redirect URIs: where browsers may be sent back to."""

from dataclasses import dataclass

from holdfast import ids
from holdfast.access import redirect_uris
from holdfast.access import store as access_store
from holdfast.access.redirects import RedirectUri as Record
from holdfast.api.operations import Call, Nothing, Operation
from holdfast.api.workos.inputs import CreateRedirectUri, PageQuery
from holdfast.api.workos.naming import REDIRECT_URI, Cursor, bare
from holdfast.api.workos.outputs import RedirectUri, RedirectUriList
from holdfast.api.workos.parts import Parts
from holdfast.clock import iso
from holdfast.storage import Connection as Tx

TAG = "Redirect URIs"
_PATH = "/user_management/redirect_uris"


@dataclass(frozen=True)
class RedirectUriOperations:
    parts: Parts

    def operations(self) -> list[Operation]:
        return [
            Operation(
                method="GET",
                path=_PATH,
                id="list_redirect_uris",
                summary="List the registered redirect URIs",
                handler=self.page,
                query=PageQuery,
                reply=RedirectUriList,
                tag=TAG,
            ),
            Operation(
                method="POST",
                path=_PATH,
                id="create_redirect_uri",
                summary="Register a place that browsers may be sent back to",
                handler=self.create,
                body=CreateRedirectUri,
                reply=RedirectUri,
                status=201,
                tag=TAG,
            ),
            Operation(
                method="DELETE",
                path=_PATH + "/{id}",
                id="delete_redirect_uri",
                summary="Forget a redirect URI",
                handler=self.delete,
                errors=(404,),
                tag=TAG,
            ),
        ]

    async def page(self, call: Call[PageQuery, None]) -> RedirectUriList:
        query = call.query
        cursor = Cursor(REDIRECT_URI, limit=query.limit, after=query.after, before=query.before, order=query.order)

        def work(tx: Tx) -> tuple[list[Record], str]:
            found = access_store.page_redirect_uris(
                tx,
                call.environment_id,
                limit=cursor.limit + 1,
                after=cursor.after,
                before=cursor.before,
                newest_first=cursor.newest_first,
            )
            oldest = access_store.page_redirect_uris(
                tx, call.environment_id, limit=1, after=None, before=None, newest_first=False
            )
            return found, oldest[0].id if oldest else ""

        found, default = await self.parts.database.transact(work)
        rows, metadata = cursor.page(found, lambda record: record.id)
        return RedirectUriList(data=[_render(row, row.id == default) for row in rows], list_metadata=metadata)

    async def create(self, call: Call[Nothing, CreateRedirectUri]) -> RedirectUri:
        parts, actor = self.parts, call.principal.actor()
        made = await redirect_uris.register(
            parts.database, parts.clock, call.environment_id, call.body.uri, actor, call.request_id
        )
        return _render(*made)

    async def delete(self, call: Call[Nothing, None]) -> None:
        uri_id = bare(REDIRECT_URI, call.path["id"], "redirect URI")
        parts, actor = self.parts, call.principal.actor()
        await redirect_uris.forget(parts.database, parts.clock, call.environment_id, uri_id, actor, call.request_id)


def _render(record: Record, default: bool) -> RedirectUri:
    at = iso(record.created_at)
    return RedirectUri(
        id=ids.with_prefix(REDIRECT_URI, record.id),
        uri=record.uri,
        default=default,
        created_at=at,
        updated_at=at,
    )

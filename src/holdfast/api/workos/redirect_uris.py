"""Redirect URIs: where browsers may be sent back to."""

from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from holdfast import ids
from holdfast.access import store as access_store
from holdfast.access.redirects import RedirectUri as Record
from holdfast.access.redirects import split_redirect
from holdfast.api.operations import Call, Nothing, Operation
from holdfast.api.workos.inputs import CreateRedirectUri, PageQuery
from holdfast.api.workos.naming import REDIRECT_URI, Cursor, bare
from holdfast.api.workos.outputs import RedirectUri, RedirectUriList
from holdfast.api.workos.parts import Parts
from holdfast.clock import iso
from holdfast.errors import Invalid, NotFound, Unprocessable
from holdfast.events import Action, Entry
from holdfast.events import store as log
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
        try:
            parts = split_redirect(call.body.uri)
        except Invalid as error:
            message = error.message.replace("return_to", "uri", 1)
            raise Unprocessable(message, fields=[{"field": "uri", "code": "invalid"}]) from None
        if parts.fragment:
            raise Unprocessable("uri must not hold a fragment", fields=[{"field": "uri", "code": "invalid"}])
        now = self.parts.clock.now()
        record = Record(call.environment_id, ids.new_id(now), call.body.uri, now)

        def work(tx: Tx) -> bool:
            first = not access_store.list_redirect_uris(tx, call.environment_id)
            access_store.add_redirect_uri(tx, record)
            log.append(tx, self._entry(call, "created", record.uri))
            return first

        try:
            return _render(record, await self.parts.database.transact(work))
        except IntegrityError:
            raise Unprocessable(
                "this redirect URI is registered already", fields=[{"field": "uri", "code": "taken"}]
            ) from None

    async def delete(self, call: Call[Nothing, None]) -> None:
        uri_id = bare(REDIRECT_URI, call.path["id"], "redirect URI")

        def work(tx: Tx) -> None:
            if not access_store.delete_redirect_uri(tx, call.environment_id, uri_id):
                raise NotFound("there is no such redirect URI")
            log.append(tx, self._entry(call, "deleted", call.path["id"]))

        await self.parts.database.transact(work)

    def _entry(self, call: "Call[Nothing, object]", what: str, uri: str) -> Entry:
        now = self.parts.clock.now()
        return Entry(
            environment_id=call.environment_id,
            id=ids.new_id(now),
            at=now,
            action=Action.REDIRECT_URI_CHANGED,
            actor=call.principal.actor(),
            request_id=call.request_id,
            data={"what": what, "uri": uri},
        )


def _render(record: Record, default: bool) -> RedirectUri:
    at = iso(record.created_at)
    return RedirectUri(
        id=ids.with_prefix(REDIRECT_URI, record.id),
        uri=record.uri,
        default=default,
        created_at=at,
        updated_at=at,
    )

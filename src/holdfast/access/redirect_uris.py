"""Registering and forgetting the places that browsers may be sent back to."""

from sqlalchemy.exc import IntegrityError

from holdfast import ids
from holdfast.access import store
from holdfast.access.redirects import RedirectUri, split_redirect
from holdfast.clock import Clock
from holdfast.errors import Invalid, NotFound, Unprocessable
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.storage import Connection as Tx
from holdfast.storage import Database


async def register(
    database: Database, clock: Clock, environment_id: str, uri: str, actor: Actor, request_id: str = ""
) -> tuple[RedirectUri, bool]:
    """Register a URI; return it, and whether it is the environment's first. Raises Unprocessable naming `uri`."""
    try:
        parts = split_redirect(uri)
    except Invalid as error:
        raise _wrong(error.message.replace("return_to", "uri", 1), "invalid") from None
    if parts.fragment:
        raise _wrong("uri must not hold a fragment", "invalid")
    now = clock.now()
    record = RedirectUri(environment_id, ids.new_id(now), uri, now)

    def work(tx: Tx) -> bool:
        first = not store.list_redirect_uris(tx, environment_id)
        store.add_redirect_uri(tx, record)
        log.append(tx, _entry(record, "created", actor, now, request_id))
        return first

    try:
        return record, await database.transact(work)
    except IntegrityError:
        raise _wrong("this redirect URI is registered already", "taken") from None


async def forget(
    database: Database, clock: Clock, environment_id: str, uri_id: str, actor: Actor, request_id: str = ""
) -> None:
    """Forget a registered URI. Raises NotFound."""

    def work(tx: Tx) -> None:
        record = next((one for one in store.list_redirect_uris(tx, environment_id) if one.id == uri_id), None)
        if record is None or not store.delete_redirect_uri(tx, environment_id, uri_id):
            raise NotFound("there is no such redirect URI")
        log.append(tx, _entry(record, "deleted", actor, clock.now(), request_id))

    await database.transact(work)


def _wrong(message: str, code: str) -> Unprocessable:
    return Unprocessable(message, fields=[{"field": "uri", "code": code}])


def _entry(record: RedirectUri, what: str, actor: Actor, now: float, request_id: str) -> Entry:
    return Entry(
        environment_id=record.environment_id,
        id=ids.new_id(now),
        at=now,
        action=Action.REDIRECT_URI_CHANGED,
        actor=actor,
        request_id=request_id,
        data={"what": what, "uri": record.uri},
    )

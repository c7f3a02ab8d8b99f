"""Registering and forgetting the sites whose pages may use a widget's token."""

from sqlalchemy.exc import IntegrityError

from holdfast import ids
from holdfast.access.widgets import store
from holdfast.access.widgets.origins import CorsOrigin, check_origin
from holdfast.clock import Clock
from holdfast.errors import Conflict, Invalid, NotFound, Unprocessable
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

MOST_SHOWN = 200


async def register(
    database: Database, clock: Clock, environment_id: str, origin: str, actor: Actor, request_id: str = ""
) -> CorsOrigin:
    """Register an origin. Raises Unprocessable naming the field `origin`, Conflict for one that is there already."""
    try:
        checked = check_origin(origin)
    except Invalid as error:
        raise Unprocessable(error.message, fields=[{"field": "origin", "code": "invalid"}]) from None
    now = clock.now()
    record = CorsOrigin(environment_id, ids.new_id(now), checked, now)

    def work(tx: Tx) -> None:
        store.add_origin(tx, record)
        log.append(tx, _entry(record, "created", actor, now, request_id))

    try:
        await database.transact(work)
    except IntegrityError:
        raise Conflict("this origin is registered already") from None
    return record


async def forget(
    database: Database, clock: Clock, environment_id: str, origin_id: str, actor: Actor, request_id: str = ""
) -> None:
    """Forget a registered origin: from the next request on its pages are refused. Raises NotFound."""

    def work(tx: Tx) -> None:
        record = store.origin(tx, environment_id, origin_id)
        if record is None or not store.remove_origin(tx, environment_id, origin_id):
            raise NotFound("there is no such CORS origin")
        log.append(tx, _entry(record, "deleted", actor, clock.now(), request_id))

    await database.transact(work)


def newest(tx: Tx, environment_id: str) -> list[CorsOrigin]:
    """Return the origins to show on one page, the newest first."""
    return store.page_origins(tx, environment_id, limit=MOST_SHOWN, after=None, before=None, newest_first=True)


def _entry(record: CorsOrigin, what: str, actor: Actor, now: float, request_id: str) -> Entry:
    return Entry(
        environment_id=record.environment_id,
        id=ids.new_id(now),
        at=now,
        action=Action.CORS_ORIGIN_CHANGED,
        actor=actor,
        request_id=request_id,
        data={"what": what, "origin": record.origin},
    )

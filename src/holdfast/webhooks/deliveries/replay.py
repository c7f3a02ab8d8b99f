"""Looking at deliveries, and sending finished ones once more."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.clock import Clock
from holdfast.errors import Conflict, NotFound
from holdfast.events import Actor
from holdfast.events import store as log
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.webhooks import store as endpoint_store
from holdfast.webhooks.deliveries import store
from holdfast.webhooks.deliveries.delivery import Delivery, Renderer
from holdfast.webhooks.endpoint import Dialect, Endpoint
from holdfast.webhooks.endpoints import endpoint_entry

MOST_AT_ONCE = 200
"""Deliveries put back by one transaction, whose endpoint is locked meanwhile."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A delivery and the body that it carries; empty if its entry is gone."""

    delivery: Delivery
    body: bytes


class Replay:
    def __init__(self, database: Database, clock: Clock, renderers: Mapping[Dialect, Renderer]) -> None:
        self._database, self._clock, self._renderers = database, clock, renderers

    def names(self, dialect: Dialect) -> list[str]:
        """Return the events that an endpoint of this dialect can ask for, in a steady order."""
        return sorted(self._renderers[dialect].names)

    async def page(
        self, environment_id: str, endpoint_id: str, *, limit: int, before: str | None = None, status: str | None = None
    ) -> list[Shown]:
        """Return an endpoint's deliveries, newest first. Raises NotFound."""

        def work(tx: Tx) -> list[Shown]:
            endpoint = endpoint_store.get(tx, environment_id, endpoint_id)
            if endpoint is None:
                raise NotFound("there is no such webhook endpoint")
            renderer = self._renderers[endpoint.dialect]
            found = store.list_deliveries(tx, environment_id, endpoint_id, limit=limit, before=before, status=status)
            entries = log.by_ids(tx, environment_id, [delivery.entry_id for delivery in found])
            return [
                Shown(one, renderer.render(entries[one.entry_id][1])[1] if one.entry_id in entries else b"")
                for one in found
            ]

        return await self._database.transact(work)

    async def one(self, environment_id: str, delivery_id: str, actor: Actor) -> None:
        """Send a finished delivery again; who asked is on record. Raises NotFound; Conflict `delivery_under_way` for
        one that is not."""

        def work(tx: Tx) -> None:
            delivery = store.get(tx, environment_id, delivery_id)
            if delivery is None:
                raise NotFound("there is no such delivery")
            endpoint = endpoint_store.get(tx, environment_id, delivery.endpoint_id, lock=True)
            if not self._put_back(tx, delivery):
                raise Conflict("this delivery is on its way already", code="delivery_under_way")
            self._record(tx, endpoint, 1, actor)

        await self._database.transact(work)

    async def failed(self, environment_id: str, endpoint_id: str, actor: Actor) -> int:
        """Send all of an endpoint's dead deliveries again, each account's in their order; return how many. Who asked
        is on record.

        Raises Conflict for an endpoint that is not enabled: they would be dead again at once.
        """

        def work(tx: Tx) -> int:
            endpoint = endpoint_store.get(tx, environment_id, endpoint_id, lock=True)
            if endpoint is not None and endpoint.status != "enabled":
                if total:
                    return 0
                raise Conflict("this endpoint is disabled: enable it first", code="endpoint_disabled")
            dead = store.list_deliveries(
                tx, environment_id, endpoint_id, limit=MOST_AT_ONCE, status="dead", oldest=True
            )
            count = sum(self._put_back(tx, delivery) for delivery in dead)
            self._record(tx, endpoint, count, actor)
            return count

        total = 0
        while count := await self._database.transact(work):
            total += count
        return total

    def _record(self, tx: Tx, endpoint: Endpoint | None, count: int, actor: Actor) -> None:
        if endpoint is not None and count:
            what = f"{count} deliver{'ies' if count != 1 else 'y'} sent again"
            log.append(tx, endpoint_entry(endpoint, what, actor, self._clock.now()))

    def _put_back(self, tx: Tx, delivery: Delivery) -> bool:
        busy = store.busy_queues(tx, delivery.environment_id, delivery.endpoint_id, [delivery.queue])
        return store.put_back(tx, delivery, due_at=None if busy else self._clock.now())

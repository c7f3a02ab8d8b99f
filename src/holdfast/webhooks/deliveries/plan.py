"""Planning: every new entry that an enabled endpoint wants becomes a delivery."""

from collections.abc import Mapping

from holdfast import ids
from holdfast.clock import Clock
from holdfast.events import Entry
from holdfast.events import store as log
from holdfast.events.order import Order
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.webhooks import store as endpoint_store
from holdfast.webhooks.deliveries import store
from holdfast.webhooks.deliveries.delivery import Delivery, Renderer
from holdfast.webhooks.endpoint import Dialect, Endpoint

CURSOR = "webhooks"
MOST_ENTRIES = 256
STRETCH = 5000
"""Positions looked through at once: most are reads that nobody is told of."""


class Planner:
    def __init__(self, database: Database, clock: Clock, order: Order, renderers: Mapping[Dialect, Renderer]) -> None:
        self._database, self._clock, self._order, self._renderers = database, clock, order, renderers
        self._actions = frozenset(action for renderer in renderers.values() for action in renderer.actions)
        self._seen = -1

    async def look(self) -> bool:
        """Plan the next stretch of the log; tell whether there is more.

        Deliveries are made in the transaction that moves the cursor behind their entries, so that none is made twice
        and none is lost, whenever the process ends. Of several replicas one works, the others pass.
        """
        up_to = await self._order.settled()
        if up_to == self._seen:
            return False
        end = await self._database.transact(lambda tx: self._plan(tx, up_to))
        if end is not None and end >= up_to:
            self._seen = up_to
        return end is not None and end < up_to

    def _plan(self, tx: Tx, up_to: int) -> int | None:
        """Return where the cursor stands now; None if another replica has it, and may still fail."""
        cursor = log.take_cursor(tx, CURSOR)
        if cursor is None:
            return None
        if cursor.position >= up_to:
            return cursor.position
        if not endpoint_store.any_enabled(tx):
            log.move_cursor(tx, CURSOR, log.Cursor(up_to))
            return up_to
        end = min(up_to, cursor.position + STRETCH)
        found = log.span(tx, cursor.position, end, limit=MOST_ENTRIES, actions=self._actions)
        if len(found) == MOST_ENTRIES:
            end = found[-1][0]
        by_environment: dict[str, list[tuple[int, Entry]]] = {}
        for position, entry in found:
            by_environment.setdefault(entry.environment_id, []).append((position, entry))
        for environment_id in sorted(by_environment):
            for endpoint in endpoint_store.enabled_in(tx, environment_id):
                self._fill(tx, endpoint, by_environment[environment_id])
        log.move_cursor(tx, CURSOR, log.Cursor(end))
        return end

    def _fill(self, tx: Tx, endpoint: Endpoint, entries: list[tuple[int, Entry]]) -> None:
        renderer, now = self._renderers[endpoint.dialect], self._clock.now()
        wanted = [
            (position, entry, name)
            for position, entry in entries
            if entry.at >= endpoint.created_at and (name := renderer.event_name(entry)) in endpoint.events
        ]
        queues = {entry.account_id or entry.id for _, entry, _ in wanted}
        busy = store.busy_queues(tx, endpoint.environment_id, endpoint.id, queues) if wanted else set[str]()
        made: list[Delivery] = []
        for position, entry, name in wanted:
            queue = entry.account_id or entry.id
            waits = queue in busy
            busy.add(queue)
            made.append(
                Delivery(
                    environment_id=endpoint.environment_id,
                    id=ids.new_id(now),
                    endpoint_id=endpoint.id,
                    entry_id=entry.id,
                    event=name or "",
                    queue=queue,
                    position=position,
                    status="waiting" if waits else "due",
                    due_at=None if waits else now,
                    created_at=now,
                )
            )
        store.add(tx, made)

"""`/metrics`: what Prometheus is told, if it may ask. Gauges are read from the database at most every few seconds."""

import asyncio
import hmac
import time

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from holdfast import metrics
from holdfast.accounts import store as account_store
from holdfast.clock import Clock
from holdfast.config import Config
from holdfast.events import store as log
from holdfast.events.usage.roller import CURSOR as USAGE
from holdfast.readiness import CHECK_SECONDS
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.webhooks.deliveries import store as delivery_store

FRESH_SECONDS = 5.0
"""However many scrape, the database is asked so often."""
MOST_COUNTED = 10_000
"""Of a backlog: counting on would cost more than the number is worth."""


class Scrape:
    def __init__(self, database: Database, clock: Clock, config: Config) -> None:
        self._database, self._clock = database, clock
        self._mode, self._token, self._apart = config.metrics, config.metrics_token, config.workers > 1
        self._gauges: list[metrics.Gauge] = []
        self._looked_at = float("-inf")

    async def answer(self, request: Request) -> Response:
        """Serve `/metrics`: 404 where it is off, 401 without the right token."""
        if self._mode == "off":
            return PlainTextResponse("metrics are off: see HOLDFAST_METRICS\n", 404)
        if self._mode == "token" and not self._may(request.headers.get("authorization", "")):
            return PlainTextResponse("a bearer token is needed\n", 401, headers={"www-authenticate": "Bearer"})
        if time.monotonic() - self._looked_at > FRESH_SECONDS:
            self._looked_at = time.monotonic()
            self._gauges = await self._look()
        body = metrics.exposition(self._gauges, apart=self._apart)
        return Response(body, media_type=metrics.CONTENT_TYPE, headers={"cache-control": "no-store"})

    def _may(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token.encode())

    async def _look(self) -> list[metrics.Gauge]:
        up = "Whether the database answered."
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                found = await self._database.transact(self._read)
        except Exception:  # whatever it is: what this process has counted is told all the same
            return [("holdfast_database_up", up, 0.0)]
        return [("holdfast_database_up", up, 1.0), *found]

    def _read(self, tx: Tx) -> list[metrics.Gauge]:
        now = self._clock.now()
        waiting, since = account_store.overdue(tx, now, MOST_COUNTED)
        pending, oldest = delivery_store.overdue(tx, now, MOST_COUNTED)
        cursor = log.peek_cursor(tx, USAGE)
        behind = log.mark(tx).position - (cursor.position if cursor else 0)
        return [
            ("holdfast_sweep_due", f"Accounts due for a refresh; counted up to {MOST_COUNTED}.", waiting),
            ("holdfast_sweep_lag_seconds", "How long the first of them has been due.", now - since if since else 0.0),
            ("holdfast_deliveries_due", f"Deliveries due; counted up to {MOST_COUNTED}.", pending),
            ("holdfast_deliveries_lag_seconds", "How long the first has been due.", now - oldest if oldest else 0.0),
            ("holdfast_usage_behind_entries", "Positions of the log that are not counted yet.", max(0, behind)),
        ]

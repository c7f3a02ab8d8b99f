"""`/status`: how providers do as seen from here, over all environments. For administrators, or for everybody.

A refused grant or a 4xx is somebody's own affair; what counts against a provider is an answer that never came, a 5xx,
and an endpoint that is left alone after failures in a row.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from holdfast.access import store as access_store
from holdfast.connections import Connections
from holdfast.connections import store as connection_store
from holdfast.dashboard.frame import Frame
from holdfast.events.usage import Counted, Tally, store
from holdfast.events.usage.counts import HOUR, by_connection
from holdfast.providers.entry import Provider
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

DAY = 24
RECENT = 2
"""Hours that the verdict is about: the one that runs, and the one before."""
FEWEST = 5
"""Attempts below which a share says nothing."""
FRESH_SECONDS = 10.0
Verdict = Literal["well", "shaky", "trouble", "unknown"]


@dataclass(frozen=True, slots=True)
class Health:
    name: str
    verdict: Verdict
    recent: Tally
    day: Tally
    resting: bool


class StatusPage:
    def __init__(
        self,
        frame: Frame,
        database: Database,
        connections: Connections,
        resting: Callable[[], frozenset[str]],
        *,
        public: bool,
    ) -> None:
        self._frame, self._database, self._connections = frame, database, connections
        self._resting, self._public = resting, public
        self._kept: dict[bool, tuple[float, list[tuple[Provider, Tally, Tally]]]] = {}

    def routes(self) -> list[BaseRoute]:
        return [Route("/status", self.answer, methods=["GET"])]

    async def answer(self, request: Request) -> Response:
        signed_in = await self._frame.who(request)
        if signed_in is None and not self._public:
            return self._frame.to_sign_in(request)
        now = int(self._frame.clock.now() // HOUR)
        # Who a custom provider is, and that there is one, is its environment's own affair.
        found = await self._found(now, with_custom=signed_in is not None)
        resting = self._resting()
        shown = [
            Health(
                provider.name,
                judge(recent, is_resting=_hosts(provider) & resting != frozenset()),
                recent,
                day,
                bool(_hosts(provider) & resting),
            )
            for provider, recent, day in found
        ]
        shown.sort(key=lambda one: (("trouble", "shaky", "well", "unknown").index(one.verdict), one.name.casefold()))
        return self._frame.plain_page("status.html", shown=shown, public=self._public)

    async def _found(self, now: int, *, with_custom: bool) -> list[tuple[Provider, Tally, Tally]]:
        """Read the counts; however many ask, strangers among them, the database is asked every few seconds."""
        until, found = self._kept.get(with_custom, (0.0, []))
        if time.monotonic() >= until:
            found = await self._database.transact(lambda tx: self._read(tx, now, with_custom=with_custom))
            self._kept[with_custom] = (time.monotonic() + FRESH_SECONDS, found)
        return found

    def _read(self, tx: Tx, now: int, *, with_custom: bool) -> list[tuple[Provider, Tally, Tally]]:
        day = by_connection(_sums(tx, now, DAY))
        recent = by_connection(_sums(tx, now, RECENT))
        found: dict[str, tuple[Provider, Tally, Tally]] = {}
        for environment in access_store.list_environments(tx):
            for connection in connection_store.all_of(tx, environment.id):
                if connection.id not in day:
                    continue
                provider = self._connections.provider(tx, environment.id, connection.provider_slug)
                if provider.custom and not with_custom:
                    continue
                key = f"{environment.id}/{provider.slug}" if provider.custom else provider.slug
                _, one, other = found.setdefault(key, (provider, Tally(), Tally()))
                one.join(recent.get(connection.id, Tally()))
                other.join(day[connection.id])
        return list(found.values())


def judge(recent: Tally, *, is_resting: bool) -> Verdict:
    """Judge a provider by its last hours."""
    if is_resting:
        return "trouble"
    asked = recent.refreshed + recent.refresh_failed + recent.calls
    failed = recent.refresh_unresolved + recent.calls_failed
    if asked < FEWEST:
        return "unknown" if not asked else "well" if not failed else "shaky"
    return "trouble" if failed > asked / 2 else "shaky" if failed > asked / 20 else "well"


def _sums(tx: Tx, now: int, hours: int) -> list[Counted]:
    return store.sums(tx, None, since=now - hours + 1, until=now + 1, bucket=hours)


def _hosts(provider: Provider) -> frozenset[str]:
    dialect = provider.oauth2
    urls = (dialect.refresh_url or dialect.token_url or "",) if dialect else ()
    return frozenset(urlsplit(url).netloc for url in urls if url)

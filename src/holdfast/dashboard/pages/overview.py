"""The front page of an environment: what needs somebody, and what has happened."""

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.access import store as access_store
from holdfast.accounts import Account, Status
from holdfast.accounts import store as account_store
from holdfast.connections import Connection, Connections
from holdfast.connections import store as connection_store
from holdfast.dashboard.frame import Frame, Visit
from holdfast.dashboard.story import Story
from holdfast.events import Action
from holdfast.events.browse import Look, browse
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

LATEST = 12
SOON_DAYS = 14
MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Steps:
    """What a new environment still needs, each ticked by what is there."""

    connection: bool
    enabled: Connection | None
    account: bool
    read: bool

    @property
    def done(self) -> bool:
        return self.connection and self.account and self.read


class OverviewPages:
    def __init__(self, frame: Frame, database: Database, connections: Connections, story: Story) -> None:
        self._frame, self._database, self._connections, self._story = frame, database, connections, story

    def routes(self) -> list[BaseRoute]:
        return [self._frame.get("", self.overview)]

    async def overview(self, visit: Visit) -> Response:
        facts = await self._database.transact(lambda tx: self._facts(tx, visit.environment_id))
        lines, further = await self._story.read(visit.environment_id, Look(), limit=LATEST)
        return self._frame.page(
            visit, "overview.html", **facts, lines=lines, more_lines=further is not None, base_url=self._frame.base_url
        )

    def _facts(self, tx: Tx, environment_id: str) -> dict[str, Any]:
        now = self._frame.clock.now()
        counts = account_store.tally(tx, environment_id)
        total = account_store.total(tx, environment_id)
        connections = connection_store.list_connections(
            tx, environment_id, limit=200, after=None, before=None, newest_first=True
        )
        soon: list[Account] = account_store.ending_soon(
            tx, environment_id, now=now, until=now + SOON_DAYS * 86400.0, limit=MOST_SHOWN + 1
        )
        return {
            "total": _capped(total),
            "counts": {status.value: _capped(number) for status, number in counts.items() if number},
            "alerts": [
                (one, self._connections.provider(tx, environment_id, one.provider_slug))
                for one in connections
                if one.alert
            ][:MOST_SHOWN],
            "soon": soon,
            "steps": self._steps(tx, environment_id, connections, total),
            "keys": access_store.has_key(tx, environment_id),
        }

    def _steps(self, tx: Tx, environment_id: str, connections: list[Connection], total: int) -> Steps:
        usable = next((one for one in connections if self._connections.effective(tx, one).usable), None)
        if total > MOST_SHOWN:
            return Steps(connection=bool(connections), enabled=usable, account=True, read=True)
        connected = account_store.glance(
            tx, environment_id, account_store.Listing(statuses=(Status.ACTIVE,)), limit=1
        ).accounts
        reads = Look(
            actions=(Action.CREDENTIAL_READ, Action.PROXY_CALLED), account_id=connected[0].id if connected else ""
        )
        read = bool(connected) and bool(browse(tx, environment_id, reads, limit=1).entries)
        return Steps(connection=usable is not None, enabled=usable, account=bool(connected), read=read)


def _capped(number: int) -> str:
    most = account_store.MOST_COUNTED
    return f"{most:,}+" if number > most else f"{number:,}"

"""EventsService: the log under this wire's names, newest first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from google.protobuf import json_format

from holdfast.api.scalekit.descriptors import Message, message
from holdfast.api.scalekit.event_bodies import KINDS, event_body, providers_of
from holdfast.api.scalekit.inputs import time_in
from holdfast.api.scalekit.naming import ACCOUNT, CONNECTION, bare
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rpc import Call, Handler
from holdfast.events import Entry
from holdfast.events import store as log
from holdfast.providers.entry import Provider
from holdfast.storage import Connection as Tx

DEFAULT_PAGE, MOST_ON_A_PAGE = 30, 100
MOST_COUNTED = 10_000
"""A log has no end; counting it for each page would cost more than the page."""
_DIRECTORY = 2
"""Source.DIR_SYNC: there are no directories here."""


class _Wanted(TypedDict):
    since: float | None
    until: float | None
    organization_id: str | None
    account_id: str | None
    connection_id: str | None
    up_to: int | None


@dataclass(frozen=True)
class EventRpcs:
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {
            "EventsService.ListEventsPaginated": self.list_events,
            "EventsService.ListEvents": self.list_counted,
        }

    async def list_events(self, call: Call) -> Message:
        return await self._listed(call, counted=False)

    async def list_counted(self, call: Call) -> Message:
        """List events and say how many there are in all: up to 10,000, which stands for more too."""
        return await self._listed(call, counted=True)

    async def _listed(self, call: Call, *, counted: bool) -> Message:
        """Return a page. Types of the wire's other products are known to nobody here and match nothing, as do filters
        by what only those have: who polls for a mixture gets our part of it."""
        request, pages = call.request, self.parts.pages
        given = request.filter
        since, until = time_in(given, "start_time", "filter."), time_in(given, "end_time", "filter.")
        account = bare(ACCOUNT, given.connected_account_id, "account") if given.connected_account_id else None
        connection = bare(CONNECTION, given.connection_id, "connection") if given.connection_id else None
        names = sorted(set(given.event_types) & KINDS.keys()) if given.event_types else sorted(KINDS)
        foreign = given.source == _DIRECTORY or given.auth_request_id or given.interceptor_id
        if foreign or given.interceptor_status or given.interceptor_decision:
            names = []
        what = (",".join(names), str(since), str(until), account or "", connection or "", given.organization_id)
        start = pages.start(call, request.page_token, *what)
        if not names:
            return call.reply()
        size = min(request.page_size or DEFAULT_PAGE, MOST_ON_A_PAGE)

        up_to = await self.parts.order.settled()

        kinds = [kind for name in names for kind in KINDS[name]]
        wanted = _Wanted(
            since=since,
            until=until,
            organization_id=given.organization_id or None,
            account_id=account,
            connection_id=connection,
            up_to=up_to,
        )

        def work(tx: Tx) -> tuple[list[Entry], dict[str, Provider], int | None]:
            found = log.list_entries(
                tx,
                call.environment_id,
                kinds=kinds,
                limit=size + 1,
                after=start.after,
                before=start.before,
                newest_first=True,
                **wanted,
            )
            total = None
            if counted:
                total = log.count_entries(tx, call.environment_id, kinds=kinds, most=MOST_COUNTED, **wanted)
            return found, providers_of(tx, found, self.parts.connections.provider), total

        found, providers, total = await self.parts.database.transact(work)
        rows, more_after, more_before = start.cut(found, size)
        return call.reply(
            **({} if total is None else {"total_size": total}),
            events=[_event(event_body(row, providers.get(row.connection_id))) for row in rows],
            next_page_token=pages.after(call, rows[-1].id, *what) if more_after else None,
            prev_page_token=pages.before(call, rows[0].id, *what) if more_before else None,
        )


def _event(body: dict[str, Any]) -> Message:
    return json_format.ParseDict(body, message("events.ScalekitEvent"))

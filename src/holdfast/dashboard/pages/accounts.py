"""Accounts: the list with its filters, and errands: one act on many of them."""

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.access.administrators import Right
from holdfast.accounts import Account, Listing
from holdfast.accounts import store as account_store
from holdfast.accounts.errands import ACTS, Act, Errands
from holdfast.connections import Connection, Connections
from holdfast.connections import store as connection_store
from holdfast.dashboard.frame import Frame, Visit
from holdfast.dashboard.listing import STATUSES, Filters
from holdfast.errors import Unprocessable
from holdfast.ids import is_id
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

PAGE = 50
MOST_CONNECTIONS = 200
"""In the filter's list; one that is not among them is reached from its own page."""


class AccountsPages:
    def __init__(self, frame: Frame, database: Database, connections: Connections, errands: Errands) -> None:
        self._frame, self._database, self._connections, self._errands = frame, database, connections, errands

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            frame.get("accounts", self.all),
            frame.post("accounts/many", self.ask, Right.CONNECT),
            frame.post("accounts/many/begin", self.begin, Right.CONNECT),
            frame.get("accounts/many/{errand}", self.progress),
            frame.post("accounts/many/{errand}/stop", self.stop, Right.CONNECT),
        ]

    async def all(self, visit: Visit) -> Response:
        return self._frame.page(visit, "accounts.html", **await self._listed(visit, Filters.read(visit.query)))

    async def _listed(self, visit: Visit, filters: Filters) -> dict[str, Any]:
        after, before = visit.query("after") or None, visit.query("before") or None

        def work(tx: Tx) -> tuple[account_store.Glance, dict[str, tuple[Connection, str]]]:
            found = account_store.glance(
                tx, visit.environment_id, filters.listing(), limit=PAGE, after=after, before=before
            )
            return found, self._named(tx, visit, filters.connection)

        found, named = await self._database.transact(work)
        return {
            "found": found,
            "named": named,
            "filters": filters,
            "statuses": STATUSES,
            "choices": [("", "Any connection")]
            + [(one.id, f"{name} · {one.name} ({one.owner_kind}s)") for one, name in named.values()],
            "everything": not filters.given(),
        }

    def _named(self, tx: Tx, visit: Visit, chosen: str) -> dict[str, tuple[Connection, str]]:
        """Return the connections with their providers' names, by id."""
        found = connection_store.list_connections(
            tx, visit.environment_id, limit=MOST_CONNECTIONS, after=None, before=None, newest_first=True
        )
        if chosen and all(one.id != chosen for one in found):
            extra = connection_store.by_id(tx, visit.environment_id, chosen)
            found = [*found, extra] if extra is not None else found
        return {
            one.id: (one, self._connections.provider(tx, visit.environment_id, one.provider_slug).name) for one in found
        }

    async def ask(self, visit: Visit) -> Response:
        """Say what is about to be done to how many, before it is."""
        filters = Filters.read(visit.text)
        try:
            act, which = _act(visit), _which(visit)
        except Unprocessable as error:
            return self._frame.mistakes(visit, "accounts.html", error, **await self._listed(visit, filters))
        everything = which.account_ids is None

        def work(tx: Tx) -> tuple[list[Account], Connection | None]:
            shown = account_store.glance(tx, visit.environment_id, which, limit=10)
            return list(shown.accounts), connection_store.by_id(tx, visit.environment_id, filters.connection)

        some, connection = await self._database.transact(work)
        limits = {**filters.given(), **({"connection": connection.name} if connection else {})}
        count = 0 if which.account_ids is None else len(which.account_ids)
        return self._frame.page(
            visit,
            "accounts_ask.html",
            act=act,
            some=some,
            limits=[("text" if name == "q" else name, value) for name, value in limits.items()],
            count=count,
            everything=everything,
            filters=filters,
            chosen=[] if which.account_ids is None else list(which.account_ids),
        )

    async def begin(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        errand = await self._errands.begin(visit.environment_id, _act(visit), _which(visit), actor)
        return self._frame.done(visit, f"accounts/many/{errand.id}")

    async def progress(self, visit: Visit) -> Response:
        errand = await self._errands.get(visit.environment_id, visit.path["errand"])
        if "x-live" in visit.request.headers:
            return self._frame.part(visit, "errand_state.html", errand=errand)
        return self._frame.page(visit, "errand.html", errand=errand)

    async def stop(self, visit: Visit) -> Response:
        await self._errands.stop(visit.environment_id, visit.path["errand"])
        return self._frame.done(visit, f"accounts/many/{visit.path['errand']}")


def _act(visit: Visit) -> Act:
    wanted = visit.text("act")
    for act in ACTS:
        if act == wanted:
            return act
    raise _wrong("choose what to do: suspend, resume or delete")


def _which(visit: Visit) -> Listing:
    """Return the accounts that were ticked, or all that fit the filters where that was asked for."""
    if visit.text("all"):
        filters = Filters.read(visit.text)
        if not filters.given():
            raise _wrong("choose a filter first: every account of an environment at once is not offered")
        return filters.listing()
    chosen = tuple(dict.fromkeys(one for one in visit.texts("account") if is_id(one)))[:PAGE]
    if not chosen:
        raise _wrong("tick the accounts that are meant, or choose filters and then all that fit them")
    return Listing(account_ids=chosen)


def _wrong(message: str) -> Unprocessable:
    return Unprocessable(message, fields=[{"field": "chosen", "message": message}])

"""Webhooks: endpoints and their events, secrets, deliveries with what was sent and answered, and sending again."""

from collections.abc import Sequence
from typing import Any, get_args

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from holdfast.access.administrators import Right
from holdfast.dashboard.frame import Frame, Visit
from holdfast.dashboard.words import EVENT_WORDS
from holdfast.errors import Conflict, HoldfastError, NotFound, Unprocessable
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.webhooks import Endpoint, Endpoints, store
from holdfast.webhooks.deliveries.replay import Replay
from holdfast.webhooks.endpoint import Dialect

PAGE = 25
MOST_SHOWN = 100
"""Endpoints on one page; who has more finds the newest."""
DIALECTS: dict[Dialect, tuple[str, str]] = {
    "workos": ("WorkOS Pipes", "WorkOS-Signature; what /events shows"),
    "scalekit": ("Scalekit AgentKit", "Standard Webhooks headers"),
    "both": ("WorkOS body, both signatures", "For an app that moves from one to the other"),
}
_STATUSES = ("delivered", "due", "waiting", "dead")


class WebhookPages:
    def __init__(self, frame: Frame, database: Database, endpoints: Endpoints, replay: Replay) -> None:
        self._frame, self._database, self._endpoints, self._replay = frame, database, endpoints, replay

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            frame.get("webhooks", self.all),
            frame.get("webhooks/new", self.new, Right.CONFIGURE),
            frame.post("webhooks/new", self.create, Right.CONFIGURE),
            frame.get("webhooks/{id}", self.one),
            frame.post("webhooks/{id}", self.change, Right.CONFIGURE),
            frame.post("webhooks/{id}/enable", self.enable, Right.CONFIGURE),
            frame.post("webhooks/{id}/disable", self.disable, Right.CONFIGURE),
            frame.post("webhooks/{id}/secret", self.secret, Right.KEYS),
            frame.post("webhooks/{id}/rotate", self.rotate, Right.KEYS),
            frame.get("webhooks/{id}/delete", self.ask_delete, Right.CONFIGURE),
            frame.post("webhooks/{id}/delete", self.delete, Right.CONFIGURE),
            frame.post("webhooks/{id}/replay", self.replay_failed, Right.CONFIGURE),
            frame.post("webhooks/{id}/deliveries/{delivery}/replay", self.replay_one, Right.CONFIGURE),
        ]

    async def all(self, visit: Visit) -> Response:
        def work(tx: Tx) -> list[tuple[Endpoint, tuple[int, int, int]]]:
            found = store.list_endpoints(
                tx, visit.environment_id, limit=MOST_SHOWN, after=None, before=None, newest_first=True
            )
            return [(one, store.figures(tx, visit.environment_id, one.id)) for one in found]

        rows = await self._database.transact(work)
        return self._frame.page(visit, "webhooks.html", rows=rows, dialects=DIALECTS)

    async def new(self, visit: Visit) -> Response:
        dialect = _dialect(visit.query("dialect"))
        return self._frame.page(visit, "webhook_new.html", **self._choices(dialect, self._replay.names(dialect)))

    async def create(self, visit: Visit) -> Response:
        dialect, events = _dialect(visit.text("dialect")), visit.texts("event")
        try:
            self._check(dialect, events)
            made = await self._endpoints.create(
                visit.environment_id,
                visit.text("url"),
                events,
                visit.signed_in.administrator.actor(),
                dialect=dialect,
            )
        except HoldfastError as error:
            return self._frame.mistakes(visit, "webhook_new.html", _beside(error), **self._choices(dialect, events))
        return self._frame.done(visit, f"webhooks/{made.id}", "made")

    async def one(self, visit: Visit) -> Response:
        return self._frame.page(visit, "webhook.html", **await self._facts(visit))

    async def change(self, visit: Visit) -> Response:
        endpoint, events = await self._find(visit), visit.texts("event")
        try:
            self._check(endpoint.dialect, events, endpoint.events)
            await self._update(visit, url=visit.text("url"), events=events)
        except HoldfastError as error:
            facts = {**await self._facts(visit), "ticked": events}
            return self._frame.mistakes(visit, "webhook.html", _beside(error), **facts)
        return self._frame.done(visit, f"webhooks/{endpoint.id}", "saved")

    async def enable(self, visit: Visit) -> Response:
        await self._update(visit, status="enabled")
        return self._frame.done(visit, f"webhooks/{visit.path['id']}", "enabled")

    async def disable(self, visit: Visit) -> Response:
        await self._update(visit, status="disabled")
        return self._frame.done(visit, f"webhooks/{visit.path['id']}", "disabled")

    async def secret(self, visit: Visit) -> Response:
        """Show the signing secret on this one answer, with the former one while it signs too. The log says who saw."""
        secrets = await self._endpoints.show(
            visit.environment_id, visit.path["id"], visit.signed_in.administrator.actor()
        )
        facts = {**await self._facts(visit), "secrets": [one.reveal() for one in secrets]}
        return self._frame.page(visit, "webhook.html", **facts)

    async def rotate(self, visit: Visit) -> Response:
        await self._endpoints.rotate(visit.environment_id, visit.path["id"], visit.signed_in.administrator.actor())
        return await self.secret(visit)

    async def ask_delete(self, visit: Visit) -> Response:
        return self._frame.page(visit, "webhook_delete.html", endpoint=await self._find(visit))

    async def delete(self, visit: Visit) -> Response:
        await self._endpoints.delete(visit.environment_id, visit.path["id"], visit.signed_in.administrator.actor())
        return RedirectResponse(visit.url("webhooks") + "?did=deleted", 303)

    async def replay_one(self, visit: Visit) -> Response:
        try:
            await self._replay.one(visit.environment_id, visit.path["delivery"], visit.signed_in.administrator.actor())
        except Conflict as error:
            return self._frame.mistakes(visit, "webhook.html", error, **await self._facts(visit))
        return self._frame.done(visit, f"webhooks/{visit.path['id']}", "replayed")

    async def replay_failed(self, visit: Visit) -> Response:
        endpoint = await self._find(visit)
        try:
            count = await self._replay.failed(visit.environment_id, endpoint.id, visit.signed_in.administrator.actor())
        except Conflict as error:
            return self._frame.mistakes(visit, "webhook.html", error, **await self._facts(visit))
        return self._frame.done(visit, f"webhooks/{endpoint.id}", "replayed" if count else "none-failed")

    async def _update(self, visit: Visit, **changes: Any) -> Endpoint:
        return await self._endpoints.update(
            visit.environment_id,
            visit.path["id"],
            **{"url": None, "status": None, "events": None, **changes},
            actor=visit.signed_in.administrator.actor(),
        )

    async def _find(self, visit: Visit) -> Endpoint:
        found = await self._database.transact(lambda tx: store.get(tx, visit.environment_id, visit.path["id"]))
        if found is None:
            raise NotFound("there is no such webhook endpoint")
        return found

    async def _facts(self, visit: Visit) -> dict[str, Any]:
        endpoint = await self._find(visit)
        status, before = visit.query("status"), visit.query("before") or None
        shown = await self._replay.page(
            visit.environment_id,
            endpoint.id,
            limit=PAGE + 1,
            before=before,
            status=status if status in _STATUSES else None,
        )
        figures = await self._database.transact(lambda tx: store.figures(tx, visit.environment_id, endpoint.id))
        return {
            "endpoint": endpoint,
            "signs_twice": endpoint.signs_twice(self._frame.clock.now()),
            "figures": figures,
            "deliveries": [(one.delivery, one.body.decode()) for one in shown[:PAGE]],
            "more": len(shown) > PAGE,
            "before": before,
            "wanted": status,
            "secrets": [],
            **self._choices(endpoint.dialect, endpoint.events),
        }

    def _choices(self, dialect: Dialect, ticked: Any) -> dict[str, Any]:
        # What an endpoint asks for already stays on its list, though the wire may have no such event (any more).
        names = [*self._replay.names(dialect), *(name for name in ticked if name not in self._replay.names(dialect))]
        return {
            "dialect": dialect,
            "dialects": DIALECTS,
            "offered": [(name, EVENT_WORDS.get(name.rpartition(".")[2], "")) for name in names],
            "ticked": list(ticked),
        }

    def _check(self, dialect: Dialect, events: list[str], already: Sequence[str] = ()) -> None:
        if not events:
            raise _wrong("event", "tick at least one event")
        if not set(events) <= {*self._replay.names(dialect), *already}:
            raise _wrong("event", f"these events are not of {DIALECTS[dialect][0]}: tick some of the list")


def _dialect(text: str) -> Dialect:
    known: tuple[Dialect, ...] = get_args(Dialect)
    return next((one for one in known if one == text), "workos")


def _wrong(field: str, message: str) -> Unprocessable:
    return Unprocessable(message, fields=[{"field": field, "message": message}])


def _beside(error: HoldfastError) -> HoldfastError:
    """Put what is wrong with the address beside its field."""
    if error.code in ("invalid_url", "duplicate_endpoint") and not error.fields:
        error.fields = ({"field": "url", "message": error.message.replace("endpoint_url must be", "it must be")},)
    return error

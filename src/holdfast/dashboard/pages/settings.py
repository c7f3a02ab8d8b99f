"""An environment's settings: users verified or not, the clean-up with a look at what it would take, redirect URIs,
the widgets' origins; and what this server runs with."""

from collections.abc import Sequence
from typing import Any, get_args

from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.access import redirect_uris
from holdfast.access import store as access_store
from holdfast.access.administrators import Right
from holdfast.access.principal import CleanUpPolicy, UserVerification
from holdfast.access.settings import LONGEST_DAYS, change_environment
from holdfast.access.widgets import registering
from holdfast.accounts import Bulk
from holdfast.dashboard.frame import Frame, Visit
from holdfast.errors import HoldfastError, Unprocessable
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

MOST_SHOWN = 50
_FIRST: tuple[str, ...] = (
    "HOLDFAST_BASE_URL",
    "HOLDFAST_MIN_TTL",
    "HOLDFAST_PROXY_IDLE_TIMEOUT",
    "HOLDFAST_PROXY_TOTAL_TIMEOUT",
)
_FIRST += ("HOLDFAST_PROXY_CALLS_PER_ACCOUNT", "HOLDFAST_PROXY_CALLS_PER_MINUTE", "HOLDFAST_REQUESTS_PER_MINUTE")


class SettingsPages:
    def __init__(
        self, frame: Frame, database: Database, bulk: Bulk, server: Sequence[tuple[str, str]], facts: dict[str, str]
    ) -> None:
        """`server`: every setting's variable and value, secrets taken out. `facts`: what else is good to know of it."""
        self._frame, self._database, self._bulk = frame, database, bulk
        self._server, self._about = list(server), facts

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            frame.get("settings", self.show),
            frame.post("settings/verification", self.verification, Right.CONFIGURE),
            frame.post("settings/clean-up", self.clean_up, Right.CONFIGURE),
            frame.post("settings/redirect-uris", self.register, Right.CONFIGURE),
            frame.post("settings/redirect-uris/{id}/delete", self.forget, Right.CONFIGURE),
            frame.post("settings/origins", self.allow, Right.CONFIGURE),
            frame.post("settings/origins/{id}/delete", self.disallow, Right.CONFIGURE),
        ]

    async def show(self, visit: Visit) -> Response:
        return self._frame.page(visit, "settings.html", **await self._facts(visit))

    async def verification(self, visit: Visit) -> Response:
        asked = visit.text("user_verification")
        mode: UserVerification = next((known for known in get_args(UserVerification) if known == asked), "none")
        await self._change(visit, user_verification=mode)
        return self._frame.done(visit, "settings", "saved")

    async def clean_up(self, visit: Visit) -> Response:
        """Save the policy; or, asked to look first, show what it would take now and take nothing."""
        try:
            policy = CleanUpPolicy(_days(visit, "unused_days"), _days(visit, "expired_days"))
        except HoldfastError as error:
            return self._frame.mistakes(visit, "settings.html", error, **await self._facts(visit))
        if visit.text("go") != "look":
            await self._change(visit, clean_up=policy)
            return self._frame.done(visit, "settings", "saved")
        found = await self._bulk.leftovers(visit.environment_id, policy, limit=MOST_SHOWN + 1)
        facts = {**await self._facts(visit), "leftovers": found[:MOST_SHOWN], "more": len(found) > MOST_SHOWN}
        typed = {"unused_days": visit.text("unused_days"), "expired_days": visit.text("expired_days")}
        return self._frame.page(visit, "settings.html", **facts, typed=typed)

    async def register(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        try:
            await redirect_uris.register(
                self._database, self._frame.clock, visit.environment_id, visit.text("uri"), actor
            )
        except HoldfastError as error:
            words = error.message.replace("uri ", "it ", 1)
            told = Unprocessable(words, fields=[{"field": "uri", "message": words}])
            return self._frame.mistakes(visit, "settings.html", told, **await self._facts(visit))
        return self._frame.done(visit, "settings", "saved")

    async def forget(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        await redirect_uris.forget(self._database, self._frame.clock, visit.environment_id, visit.path["id"], actor)
        return self._frame.done(visit, "settings", "deleted")

    async def allow(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        try:
            await registering.register(
                self._database, self._frame.clock, visit.environment_id, visit.text("origin"), actor
            )
        except HoldfastError as error:
            error.fields = ({"field": "origin", "message": error.message.replace("origin ", "it ", 1)},)
            return self._frame.mistakes(visit, "settings.html", error, **await self._facts(visit))
        return self._frame.done(visit, "settings", "saved")

    async def disallow(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        await registering.forget(self._database, self._frame.clock, visit.environment_id, visit.path["id"], actor)
        return self._frame.done(visit, "settings", "deleted")

    async def _change(self, visit: Visit, **changes: Any) -> None:
        await change_environment(
            self._database,
            self._frame.clock,
            visit.environment_id,
            visit.signed_in.administrator.actor(),
            **changes,
        )

    async def _facts(self, visit: Visit) -> dict[str, Any]:
        uris_after = visit.query("uris") or None

        def work(tx: Tx) -> dict[str, Any]:
            uris = access_store.page_redirect_uris(
                tx, visit.environment_id, limit=MOST_SHOWN + 1, after=uris_after, before=None, newest_first=False
            )
            return {
                "uris": uris[:MOST_SHOWN],
                "more_uris": uris[MOST_SHOWN - 1].id if len(uris) > MOST_SHOWN else "",
                "uris_after": uris_after,
                "origins": registering.newest(tx, visit.environment_id),
            }

        return {
            **await self._database.transact(work),
            "leftovers": None,
            "more": False,
            "about": self._about,
            "first": [(name, value) for name, value in self._server if name in _FIRST],
            "others": [(name, value) for name, value in self._server if name not in _FIRST],
        }


def _days(visit: Visit, field: str) -> int | None:
    text = visit.text(field)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LONGEST_DAYS):
        message = f"1 to {LONGEST_DAYS} days, or nothing for never"
        raise Unprocessable(message, fields=[{"field": field, "message": message}])
    return int(text)

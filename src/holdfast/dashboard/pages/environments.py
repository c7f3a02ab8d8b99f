"""Environments: see them, go from one to another, make one."""

import re
from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from holdfast.access import ensure_environment
from holdfast.access import store as access_store
from holdfast.access.administrators import Right
from holdfast.dashboard.frame import Frame, Visit, environment_url
from holdfast.errors import Conflict, HoldfastError, Unprocessable
from holdfast.storage import Database
from holdfast.vault import Vault

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
TAKEN = frozenset({"environments", "sign-in", "sign-out", "static", "welcome"})
"""Pages of the dashboard that stand where an environment's name does."""


class EnvironmentPages:
    def __init__(self, frame: Frame, database: Database, vault: Vault) -> None:
        self._frame, self._database, self._vault = frame, database, vault

    def routes(self) -> list[BaseRoute]:
        return [
            self._frame.get_installation("environments", self.all),
            self._frame.post_installation("environments", self.create, Right.OWN),
        ]

    async def all(self, visit: Visit) -> Response:
        return self._frame.page(visit, "environments.html", **await self._facts())

    async def create(self, visit: Visit) -> Response:
        name = visit.text("name")
        try:
            if _NAME.fullmatch(name) is None or name in TAKEN:
                raise _beside(Unprocessable("small letters, digits and hyphens, and no word that a page has"))
            made, is_new = await ensure_environment(
                self._database, self._vault, self._frame.clock, name, visit.signed_in.administrator.actor()
            )
            if not is_new:
                raise _beside(Conflict("there is an environment of that name already"))
        except HoldfastError as error:
            return self._frame.mistakes(visit, "environments.html", error, **await self._facts())
        return RedirectResponse(environment_url(made) + "?did=made", 303)

    async def _facts(self) -> dict[str, Any]:
        found = await self._database.transact(access_store.list_environments)
        return {"environments": [(one, environment_url(one)) for one in found]}


def _beside(error: HoldfastError) -> HoldfastError:
    error.fields = ({"field": "name", "message": error.message},)
    return error

"""API keys: make, list, revoke. A key is shown on the one answer that made it."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.access import Keys
from holdfast.access import store as access_store
from holdfast.access.administrators import Right
from holdfast.dashboard.frame import Frame, Visit
from holdfast.errors import NotFound, Unprocessable
from holdfast.storage import Database


class KeyPages:
    def __init__(self, frame: Frame, database: Database, keys: Keys) -> None:
        self._frame, self._database, self._keys = frame, database, keys

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            frame.get("keys", self.all, Right.KEYS),
            frame.post("keys", self.create, Right.KEYS),
            frame.post("keys/{id}/revoke", self.revoke, Right.KEYS),
        ]

    async def all(self, visit: Visit, made: str = "") -> Response:
        keys = await self._database.transact(lambda tx: access_store.list_keys(tx, visit.environment_id))
        return self._frame.page(visit, "keys.html", keys=keys, made=made)

    async def create(self, visit: Visit) -> Response:
        name = " ".join(visit.text("name").split())
        if not 1 <= len(name) <= 100:
            error = Unprocessable("a name", fields=[{"field": "name", "message": "say what the key is for"}])
            keys = await self._database.transact(lambda tx: access_store.list_keys(tx, visit.environment_id))
            return self._frame.mistakes(visit, "keys.html", error, keys=keys, made="")
        _, text = await self._keys.create(visit.environment_id, name, visit.signed_in.administrator.actor())
        return await self.all(visit, made=text.reveal())

    async def revoke(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        if not await self._keys.revoke(visit.environment_id, visit.path["id"], actor):
            raise NotFound("there is no such key in force")
        return self._frame.done(visit, "keys", "revoked")

"""API keys and SDK clients: make, list, revoke. A key, or a client's secret, is shown once."""

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.access import Clients, Keys
from holdfast.access import store as access_store
from holdfast.access.administrators import Right
from holdfast.access.clients import client_id
from holdfast.dashboard.frame import Frame, Visit
from holdfast.errors import NotFound, Unprocessable
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

PAGE = 40
"""Of each: keys stay on the page when they are revoked."""


class KeyPages:
    def __init__(self, frame: Frame, database: Database, keys: Keys, clients: Clients) -> None:
        self._frame, self._database, self._keys, self._clients = frame, database, keys, clients

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            frame.get("keys", self.all, Right.KEYS),
            frame.post("keys", self.create, Right.KEYS),
            frame.post("keys/{id}/revoke", self.revoke, Right.KEYS),
            frame.post("keys/clients", self.create_client, Right.KEYS),
            frame.post("keys/clients/{id}/revoke", self.revoke_client, Right.KEYS),
        ]

    async def all(self, visit: Visit) -> Response:
        return await self._page(visit)

    async def create(self, visit: Visit) -> Response:
        try:
            name = _name(visit, "name", "say what the key is for")
        except Unprocessable as error:
            return self._frame.mistakes(visit, "keys.html", error, **await self._facts(visit))
        _, text = await self._keys.create(visit.environment_id, name, visit.signed_in.administrator.actor())
        return await self._page(visit, made=text.reveal())

    async def revoke(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        if not await self._keys.revoke(visit.environment_id, visit.path["id"], actor):
            raise NotFound("there is no such key in force")
        return self._frame.done(visit, "keys", "revoked")

    async def create_client(self, visit: Visit) -> Response:
        try:
            name = _name(visit, "client_name", "say what the client is for")
        except Unprocessable as error:
            return self._frame.mistakes(visit, "keys.html", error, **await self._facts(visit))
        made, secret = await self._clients.create(visit.environment_id, name, visit.signed_in.administrator.actor())
        return await self._page(visit, made_client=(client_id(made), secret.reveal()))

    async def revoke_client(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        if not await self._clients.revoke(visit.environment_id, visit.path["id"], actor):
            raise NotFound("there is no such client in force")
        return self._frame.done(visit, "keys", "revoked")

    async def _page(self, visit: Visit, **made: Any) -> Response:
        return self._frame.page(visit, "keys.html", **{**await self._facts(visit), **made})

    async def _facts(self, visit: Visit) -> dict[str, Any]:
        at, keys_before, clients_before = visit.environment_id, visit.query("keys"), visit.query("clients")

        def work(tx: Tx) -> dict[str, Any]:
            keys = access_store.newest_keys(tx, at, limit=PAGE + 1, before=keys_before or None)
            clients = access_store.newest_keys(tx, at, "client", limit=PAGE + 1, before=clients_before or None)
            return {
                "keys": keys[:PAGE],
                "older_keys": keys[PAGE - 1].id if len(keys) > PAGE else "",
                "clients": [(one, client_id(one)) for one in clients[:PAGE]],
                "older_clients": clients[PAGE - 1].id if len(clients) > PAGE else "",
                "paged": bool(keys_before or clients_before),
            }

        return {"made": "", "made_client": None, **await self._database.transact(work)}


def _name(visit: Visit, field: str, otherwise: str) -> str:
    name = " ".join(visit.text(field).split())
    if not 1 <= len(name) <= 100:
        raise Unprocessable(otherwise, fields=[{"field": field, "message": otherwise}])
    return name

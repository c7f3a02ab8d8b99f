"""A new account: choose the connection, say whose it is, and get the link that its owner connects it with."""

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.access.administrators import Right
from holdfast.accounts import Given, Keeping, Owner
from holdfast.accounts.keeping import LONGEST_OWNER
from holdfast.authorization import Links
from holdfast.connections import Connection, Connections
from holdfast.connections import store as connection_store
from holdfast.connections.connection import Effective
from holdfast.dashboard.frame import Frame, Visit
from holdfast.dashboard.pages.account import show_link, verify_url_of
from holdfast.errors import HoldfastError, NotFound, Unprocessable
from holdfast.providers.entry import ConfigField, Provider
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

MOST_CONNECTIONS = 200


class AccountNewPages:
    def __init__(
        self, frame: Frame, database: Database, connections: Connections, keeping: Keeping, links: Links
    ) -> None:
        self._frame, self._database, self._connections = frame, database, connections
        self._keeping, self._links = keeping, links

    def routes(self) -> list[BaseRoute]:
        return [
            self._frame.get("accounts/new", self.choose, Right.CONNECT),
            self._frame.get("accounts/new/{connection}", self.ask, Right.CONNECT),
            self._frame.post("accounts/new/{connection}", self.create, Right.CONNECT),
        ]

    async def choose(self, visit: Visit) -> Response:
        def work(tx: Tx) -> list[tuple[Connection, Provider, Effective]]:
            found = connection_store.list_connections(
                tx, visit.environment_id, limit=MOST_CONNECTIONS, after=None, before=None, newest_first=True
            )
            return [
                (one, self._connections.provider(tx, visit.environment_id, one.provider_slug), effective)
                for one in found
                if (effective := self._connections.effective(tx, one)) is not None
            ]

        return self._frame.page(visit, "account_choose.html", rows=await self._database.transact(work))

    async def ask(self, visit: Visit) -> Response:
        return self._frame.page(visit, "account_new.html", **await self._facts(visit))

    async def create(self, visit: Visit) -> Response:
        facts = await self._facts(visit)
        connection: Connection = facts["connection"]
        try:
            owner = _owner(visit, connection)
            verify_url_of(self._frame, visit)  # before an account is made
            given = Given(config=_config(visit, facts["settings"]))
            actor = visit.signed_in.administrator.actor()
            account, made = await self._keeping.get_or_create(
                visit.environment_id, connection.name, owner, given, actor
            )
            if not made and given.config:
                account = await self._keeping.update(visit.environment_id, account.id, given, actor)
            return await show_link(self._frame, self._links, visit, account, facts["effective"])
        except HoldfastError as error:
            error.fields = tuple(
                {"field": item["field"].replace("config.", "setting."), "message": item.get("message", error.message)}
                for item in error.fields
                if "field" in item
            )
            return self._frame.mistakes(visit, "account_new.html", error, **facts)

    async def _facts(self, visit: Visit) -> dict[str, Any]:
        def work(tx: Tx) -> dict[str, Any]:
            connection = connection_store.by_id(tx, visit.environment_id, visit.path["connection"])
            if connection is None:
                raise NotFound("there is no such connection")
            effective = self._connections.effective(tx, connection)
            return {"connection": connection, "effective": effective, "provider": effective.provider}

        facts = await self._database.transact(work)
        provider: Provider = facts["provider"]
        settings = {
            name: item
            for name, item in provider.config.items()
            if item.scope == "installation" and item.source == "user" and not item.secret
        }
        return {**facts, "settings": settings}


def _owner(visit: Visit, connection: Connection) -> Owner:
    identifier = visit.text("identifier")
    if not identifier:
        whose = "user" if connection.owner_kind == "user" else "organization"
        message = f"the id that your app knows the {whose} by"
        raise Unprocessable(message, fields=[{"field": "identifier", "message": message}])
    for field in ("identifier", "organization"):
        if len(visit.text(field)) > LONGEST_OWNER:
            message = f"{LONGEST_OWNER} characters at most"
            raise Unprocessable("too long", fields=[{"field": field, "message": message}])
    if connection.owner_kind == "organization":
        return Owner.organization(identifier)
    return Owner.user(identifier, visit.text("organization") or None)


def _config(visit: Visit, settings: dict[str, ConfigField]) -> dict[str, str]:
    return {name: value for name in settings if (value := visit.text(f"setting.{name}"))}

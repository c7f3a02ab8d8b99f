"""The catalogue: search it, look at one provider, and begin a connection to it."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.connections import Connections
from holdfast.connections import store as connection_store
from holdfast.dashboard.frame import Frame, Visit
from holdfast.providers import store as provider_store
from holdfast.providers.entry import Provider
from holdfast.providers.loader import Catalog
from holdfast.storage import Connection as Tx
from holdfast.storage import Database


class ProviderPages:
    def __init__(self, frame: Frame, database: Database, connections: Connections, catalog: Catalog) -> None:
        self._frame, self._database, self._connections, self._catalog = frame, database, connections, catalog

    def routes(self) -> list[BaseRoute]:
        return [
            self._frame.get("providers", self.all),
            self._frame.get("providers/{slug}", self.one),
        ]

    async def all(self, visit: Visit) -> Response:
        wanted = visit.query("q").strip()
        own = await self._database.transact(lambda tx: provider_store.all_of(tx, visit.environment_id))
        found = [*own, *self._connections.extra(), *self._catalog]
        if wanted:
            found = [provider for provider in found if matches(provider, wanted)]
        found.sort(
            key=lambda provider: (not provider.name.casefold().startswith(wanted.casefold()), provider.name.casefold())
        )
        return self._frame.page(visit, "providers.html", providers=found, wanted=wanted)

    async def one(self, visit: Visit) -> Response:
        slug = visit.path["slug"]

        def work(tx: Tx) -> tuple[Provider, list[object]]:
            provider = self._connections.provider(tx, visit.environment_id, slug)
            mine = [
                item
                for item in connection_store.all_of(tx, visit.environment_id)
                if item.provider_slug == provider.slug
            ]
            return provider, list(mine)

        provider, mine = await self._database.transact(work)
        return self._frame.page(visit, "provider.html", provider=provider, connections=mine)


def matches(provider: Provider, wanted: str) -> bool:
    text = " ".join((provider.slug, provider.name, *provider.aliases, *provider.categories)).casefold()
    return all(word in text for word in wanted.casefold().split())

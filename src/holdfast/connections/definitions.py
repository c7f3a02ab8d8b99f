"""Custom providers by themselves: defining, changing and deleting one, apart from any connection to it."""

from holdfast.clock import Clock
from holdfast.connections import store
from holdfast.connections.settings import Connections, provider_entry
from holdfast.errors import Conflict, NotFound
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.providers import custom
from holdfast.providers import store as provider_store
from holdfast.providers.entry import Provider
from holdfast.storage import Connection as Tx
from holdfast.storage import Database


class Definitions:
    def __init__(self, database: Database, clock: Clock, connections: Connections, *, allow_http: bool) -> None:
        self._database, self._clock, self._connections = database, clock, connections
        self._allow_http = allow_http

    def check(self, provider: Provider, *, exists: bool = False) -> None:
        """Raise Invalid or Conflict if the provider may not be defined like this."""
        custom.check_custom(
            provider,
            catalogue_has=lambda slug: self._connections.built_in(slug) is not None,
            allow_http=self._allow_http,
            exists=exists,
        )
        custom.check_api(provider, allow_http=self._allow_http)

    def find(self, tx: Tx, environment_id: str, slug: str) -> Provider:
        """Return a custom provider. Raises NotFound."""
        found = provider_store.get(tx, environment_id, slug)
        if found is None:
            raise NotFound(f"there is no custom provider '{slug}'")
        return found

    async def define(self, environment_id: str, provider: Provider, actor: Actor) -> None:
        """Add a provider to an environment. Raises Conflict if there is one of that slug, Invalid."""
        self.check(provider)

        def work(tx: Tx) -> None:
            if provider_store.get(tx, environment_id, provider.slug) is not None:
                raise Conflict(f"there is a custom provider '{provider.slug}' already", code="provider_exists")
            now = self._clock.now()
            provider_store.save(tx, environment_id, provider, now)
            log.append(tx, provider_entry(environment_id, provider, Action.PROVIDER_DEFINED, actor, now))

        await self._database.transact(work)

    async def change(self, environment_id: str, provider: Provider, actor: Actor) -> bool:
        """Change a provider; tell whether client secrets were cleared, as they were given for other hosts.

        Raises NotFound; Conflict `host_in_use` if its API would move to another host while there are connections:
        their accounts' credentials were entrusted to the one there is. Invalid.
        """
        self.check(provider, exists=True)

        def work(tx: Tx) -> bool:
            before = self.find(tx, environment_id, provider.slug)
            if self._used(tx, environment_id, provider.slug) and custom.api_hosts(provider) - custom.api_hosts(before):
                raise Conflict(
                    "connections use this provider, so its API cannot move to another host: define another provider",
                    code="host_in_use",
                )
            now = self._clock.now()
            provider_store.save(tx, environment_id, provider, now)
            moved = bool(custom.hosts(provider) - custom.hosts(before))
            if moved:
                store.clear_secrets(tx, environment_id, provider.slug, keep=None, at=now)
            log.append(tx, provider_entry(environment_id, provider, Action.PROVIDER_CHANGED, actor, now))
            return moved

        return await self._database.transact(work)

    async def delete(self, environment_id: str, slug: str, actor: Actor) -> None:
        """Delete a provider that no connection uses. Raises NotFound, Conflict `provider_in_use`."""

        def work(tx: Tx) -> None:
            provider = self.find(tx, environment_id, slug)
            if self._used(tx, environment_id, slug):
                raise Conflict("connections use this provider: delete them first", code="provider_in_use")
            provider_store.remove(tx, environment_id, slug)
            now = self._clock.now()
            log.append(tx, provider_entry(environment_id, provider, Action.PROVIDER_DELETED, actor, now))

        await self._database.transact(work)

    def _used(self, tx: Tx, environment_id: str, slug: str) -> bool:
        return any(one.provider_slug == slug for one in store.all_of(tx, environment_id))

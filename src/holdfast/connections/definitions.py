"""An environment's own providers: defined along with a connection or by themselves, changed, and deleted."""

from collections.abc import Callable, Mapping
from typing import Any

from holdfast import ids
from holdfast.clock import Clock
from holdfast.connections import store
from holdfast.errors import Conflict, Invalid, NotFound
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.providers import custom
from holdfast.providers import store as provider_store
from holdfast.providers.entry import Provider
from holdfast.providers.store import Custom
from holdfast.storage import Connection as Tx
from holdfast.storage import Database


class ProviderInUse(Conflict):
    """Connections use the provider, so it cannot go."""

    default_code = "provider_in_use"


class Definitions:
    def __init__(
        self, database: Database, clock: Clock, *, built_in: Callable[[str], Provider | None], allow_http: bool
    ) -> None:
        self._database, self._clock, self._built_in, self._allow_http = database, clock, built_in, allow_http

    async def define(
        self, environment_id: str, provider: Provider, notes: Mapping[str, Any], actor: Actor, request_id: str = ""
    ) -> Custom:
        """Define a provider by itself: it stays until it is deleted. Raises Invalid, or Conflict for a taken slug."""
        self.check(provider, exists=False)
        now = self._clock.now()

        def work(tx: Tx) -> Custom:
            if provider_store.get(tx, environment_id, provider.slug) is not None:
                raise Conflict(f"there is a custom provider '{provider.slug}' already")
            define(tx, environment_id, provider, actor, now, notes=notes, request_id=request_id)
            return Custom(provider, notes)

        return await self._database.transact(work)

    async def redefine(
        self,
        environment_id: str,
        slug: str,
        change: Callable[[Custom], Custom],
        actor: Actor,
        request_id: str = "",
    ) -> Custom:
        """Change a custom provider, also one that was defined along with a connection. `change` sees it as it stands.

        Where it moves to another host, the client secrets of its connections are forgotten: they were given for the
        former one. Raises NotFound, Invalid.
        """
        now = self._clock.now()

        def work(tx: Tx) -> Custom:
            before = provider_store.custom(tx, environment_id, slug, lock=True)
            if before is None:
                raise NotFound(f"there is no custom provider '{slug}'")
            after = change(before)
            self.check(after.provider, exists=True)
            redefine(tx, environment_id, after.provider, actor, now, notes=after.notes, request_id=request_id)
            return after

        return await self._database.transact(work)

    async def remove(self, environment_id: str, slug: str, actor: Actor, request_id: str = "") -> None:
        """Delete a custom provider that no connection uses. Raises NotFound, or ProviderInUse naming connections."""
        now = self._clock.now()

        def work(tx: Tx) -> None:
            found = provider_store.custom(tx, environment_id, slug, lock=True)
            if found is None:
                raise NotFound(f"there is no custom provider '{slug}'")
            users = [one.name for one in store.all_of(tx, environment_id) if one.provider_slug == slug]
            if users:
                named = ", ".join(users[:3]) + (f" and {len(users) - 3} more" if len(users) > 3 else "")
                raise ProviderInUse(f"connections use this provider: delete them first ({named})")
            provider_store.remove(tx, environment_id, slug)
            log.append(
                tx, provider_entry(environment_id, found.provider, Action.PROVIDER_DELETED, actor, now, request_id)
            )

        await self._database.transact(work)

    def find(self, tx: Tx, environment_id: str, slug: str) -> Provider:
        """Return a custom provider. Raises NotFound."""
        found = provider_store.get(tx, environment_id, slug)
        if found is None:
            raise NotFound(f"there is no custom provider '{slug}'")
        return found

    def check(self, provider: Provider, *, exists: bool = False) -> None:
        """Raise Invalid or Conflict if the provider may not be defined like this."""
        custom.check_custom(
            provider,
            catalogue_has=lambda slug: self._built_in(slug) is not None,
            allow_http=self._allow_http,
            exists=exists,
        )


def define(
    tx: Tx,
    environment_id: str,
    provider: Provider,
    actor: Actor,
    now: float,
    *,
    notes: Mapping[str, Any] | None = None,
    request_id: str = "",
) -> None:
    provider_store.save(tx, environment_id, provider, now, notes)
    log.append(tx, provider_entry(environment_id, provider, Action.PROVIDER_DEFINED, actor, now, request_id))


def redefine(
    tx: Tx,
    environment_id: str,
    provider: Provider,
    actor: Actor,
    now: float,
    *,
    keep: str | None = None,
    notes: Mapping[str, Any] | None = None,
    request_id: str = "",
) -> None:
    """Store the changed entry. `keep` is the client whose secret was given along with it. Raises Invalid."""
    before = provider_store.get(tx, environment_id, provider.slug)
    if before is None:
        raise Invalid("custom_provider can be changed on custom providers only")
    if custom.api_hosts(provider) - custom.api_hosts(before) and _used(tx, environment_id, provider.slug):
        # Accounts' credentials were entrusted to the hosts there are, and the proxy would take them to the new one.
        raise Conflict(
            "connections use this provider, so its API cannot move to another host: define another provider",
            code="host_in_use",
        )
    provider_store.save(tx, environment_id, provider, now, notes)
    if custom.hosts(provider) - custom.hosts(before):
        # Secrets given for the old hosts are not sent to new ones: they have to be supplied again.
        store.clear_secrets(tx, environment_id, provider.slug, keep=keep, at=now)
    log.append(tx, provider_entry(environment_id, provider, Action.PROVIDER_CHANGED, actor, now, request_id))


def _used(tx: Tx, environment_id: str, slug: str) -> bool:
    return any(one.provider_slug == slug for one in store.all_of(tx, environment_id))


def provider_entry(
    environment_id: str, provider: Provider, action: Action, actor: Actor, now: float, request_id: str = ""
) -> Entry:
    data: dict[str, Any] = {"provider": provider.slug, "hosts": sorted(custom.hosts(provider))}
    if provider.api is not None:
        data["api"] = provider.api.base_url
    return Entry(
        environment_id=environment_id,
        id=ids.new_id(now),
        at=now,
        action=action,
        actor=actor,
        request_id=request_id,
        data=data,
    )

"""Providers by this wire's names for them: `GITHUB` is the catalogue's `github`, `ACMEX7K2QP` the environment's own
`acme-x7k2qp`. A slug is understood too."""

from collections.abc import Iterable

from holdfast.api.scalekit.naming import provider_key
from holdfast.connections import Connections
from holdfast.errors import NotFound
from holdfast.providers import store as provider_store
from holdfast.providers.entry import Provider
from holdfast.providers.loader import Catalog
from holdfast.providers.store import Custom
from holdfast.storage import Connection as Tx


class ProviderKeys:
    def __init__(self, connections: Connections, catalog: Catalog) -> None:
        self._connections, self._catalog = connections, catalog
        slugs = [*catalog.slugs(), *(provider.slug for provider in connections.extra())]
        self._slugs = {provider_key(slug): slug for slug in slugs}

    def built_in(self) -> list[Provider]:
        """Return every built-in provider, by slug."""
        return sorted([*self._catalog, *self._connections.extra()], key=lambda provider: provider.slug)

    def find(self, tx: Tx, environment_id: str, key: str) -> Provider:
        """Return the provider of that name. Raises NotFound."""
        slug = self._slugs.get(provider_key(key))
        found = self._connections.built_in(slug or key.lower())
        return found or self.custom(tx, environment_id, key).provider

    def custom(self, tx: Tx, environment_id: str, key: str) -> Custom:
        """Return the environment's own provider of that name. Raises NotFound."""
        own = provider_store.custom(tx, environment_id, key.lower())
        if own is not None:
            return own
        wanted = provider_key(key)
        for one in provider_store.customs(tx, environment_id):
            if provider_key(one.provider.slug) == wanted:
                return one
        raise NotFound(f"there is no provider '{key}'", code="provider_not_found")

    def slugs(self, tx: Tx, environment_id: str, keys: Iterable[str]) -> frozenset[str]:
        """Return the slugs of those names; unknown ones have none."""
        wanted = {provider_key(key) for key in keys}
        found = {slug for key, slug in self._slugs.items() if key in wanted}
        if wanted - {provider_key(slug) for slug in found}:
            own = (one.slug for one in provider_store.all_of(tx, environment_id))
            found |= {slug for slug in own if provider_key(slug) in wanted}
        return frozenset(found)
